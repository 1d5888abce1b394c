"""Small requests per second through each server."""

from bench.goals import Findings
from bench.load import CONNECTIONS, Run, Task, measure
from bench.servers import FILES
from bench.stage import Stage

GET = Task("GET 1 KB", "/1k", FILES["1k"])
_GET_WORKERS = Task("GET 1 KB, one and two workers", "/1k", FILES["1k"])
_POST = Task("POST 10 KB", "/upload", 2, method="POST", body_bytes=10 * 1024)
_GET_LARGE = Task("GET 100 KB", "/100k", FILES["100k"])


def get(stage: Stage) -> Findings:
    """Measure GET 1 KB on all servers. All requests have the same headers, so that all servers read equally much."""
    headers = stage.zenzefi.headers
    servers = [stage.direct, stage.nginx, stage.fastapi, stage.zenzefi]
    runs = [Run(GET, server, headers) for server in servers]
    measure(stage, runs)
    _direct, nginx, fastapi, ours = runs
    return Findings(
        [run.figure for run in runs], {"get / fastapi": ours.ratio_to(fastapi), "get / nginx": ours.ratio_to(nginx)}
    )


def workers(stage: Stage) -> Findings:
    """Measure GET 1 KB with two workers, which coordinate through Redis, and with one."""
    one, two = (
        # As many connections per worker as in `get`.
        Run(_GET_WORKERS, gateway, gateway.headers, connections=2 * CONNECTIONS)
        for gateway in (stage.zenzefi, stage.two_workers)
    )
    measure(stage, [one, two])
    return Findings([one.figure, two.figure], {"workers": two.ratio_to(one)})


def bodies(stage: Stage) -> Findings:
    """Measure larger requests and larger responses."""
    headers = stage.zenzefi.headers
    findings = Findings([], {})
    for key, task in (("post / fastapi", _POST), ("100k / fastapi", _GET_LARGE)):
        fastapi, ours = (Run(task, server, headers) for server in (stage.fastapi, stage.zenzefi))
        measure(stage, [fastapi, ours])
        findings.figures += [fastapi.figure, ours.figure]
        findings.measured[key] = ours.ratio_to(fastapi)
    return findings
