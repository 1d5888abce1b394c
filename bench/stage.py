"""The servers that measurements share. Each starts when it is first needed and ends with the benchmark."""

import contextlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.gateway import Gateway, redis, zenzefi
from bench.servers import Server, fastapi_proxy_lib, nginx_alone, nginx_as_proxy


@dataclass
class Stage:
    """The shared servers, the directory for their files, and the number and length of the rounds."""

    directory: Path
    python: Path
    rounds: int
    seconds: int
    servers: contextlib.ExitStack

    @cached_property
    def direct(self) -> Server:
        return self.servers.enter_context(nginx_alone(self.directory / "upstream"))

    @cached_property
    def nginx(self) -> Server:
        return self.servers.enter_context(nginx_as_proxy(self.directory / "proxy", self.direct))

    @cached_property
    def fastapi(self) -> Server:
        return self.servers.enter_context(fastapi_proxy_lib(self.directory, self.direct))

    @cached_property
    def zenzefi(self) -> Gateway:
        return self.servers.enter_context(zenzefi(self.directory / "zenzefi", self.python, self.direct))

    @cached_property
    def redis(self) -> str:
        return self.servers.enter_context(redis(self.directory))

    @cached_property
    def two_workers(self) -> Gateway:
        shared = {"WORKERS": "2", "REDIS_URL": self.redis}
        return self.servers.enter_context(
            zenzefi(self.directory / "zenzefi-workers", self.python, self.direct, **shared)
        )
