"""Small requests: who carries how many of them a second."""

from bench.goals import Findings
from bench.load import CONNECTIONS, Run, Task, measure
from bench.servers import FILES
from bench.stage import Stage

GET = Task("GET 1 KB", "/1k", FILES["1k"])
_GET_WORKERS = Task("GET 1 KB, beside one worker", "/1k", FILES["1k"])
_POST = Task("POST 10 KB", "/upload", 2, method="POST", body_bytes=10 * 1024)
_GET_LARGE = Task("GET 100 KB", "/100k", FILES["100k"])


def get(stage: Stage) -> Findings:
    """GET 1 KB by everybody. All send the same headers, so that all read as much."""
    headers = stage.zenzefi.headers
    servers = [stage.direct, stage.nginx, stage.fastapi, stage.zenzefi]
    runs = [Run(GET, server, headers) for server in servers]
    measure(stage, runs)
    _direct, nginx, fastapi, ours = runs
    return Findings([run.figure for run in runs], {"get / fastapi": ours.to(fastapi), "get / nginx": ours.to(nginx)})


def workers(stage: Stage) -> Findings:
    """The same with two workers, which agree through Redis, beside one that need not ask anybody."""
    one, two = (
        # Each of the two has as many as the one has in `get`.
        Run(_GET_WORKERS, gateway, gateway.headers, connections=2 * CONNECTIONS)
        for gateway in (stage.zenzefi, stage.two_workers)
    )
    measure(stage, [one, two])
    return Findings([one.figure, two.figure], {"workers": two.to(one)})


def bodies(stage: Stage) -> Findings:
    """Larger requests and larger answers."""
    headers = stage.zenzefi.headers
    findings = Findings([], {})
    for key, task in (("post / fastapi", _POST), ("100k / fastapi", _GET_LARGE)):
        fastapi, ours = (Run(task, server, headers) for server in (stage.fastapi, stage.zenzefi))
        measure(stage, [fastapi, ours])
        findings.figures += [fastapi.figure, ours.figure]
        findings.measured[key] = ours.to(fastapi)
    return findings
