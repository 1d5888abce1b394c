"""A gateway process with the scenery in its database."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from zenzefi.tests.browser.registry import SitePage
from zenzefi.tests.support.command import ROOT, Command, environment_of

CHROMIUM = {"executable_path": "/usr/bin/chromium", "args": ["--no-sandbox"]}
SESSION_COOKIE = "zenzefi_session"
_LIMITS = dict.fromkeys(("RATE_LIMIT_AUTH", "RATE_LIMIT_API", "RATE_LIMIT_PROXY"), "")


@dataclass(frozen=True)
class Site:
    """A running gateway and its scenery."""

    url: str
    names: dict[str, str]
    sessions: dict[str, str]
    command: Command

    def path(self, page: SitePage) -> str:
        return page.path.format(**self.names)

    def open(self, browser: Browser, who: str, *, width: int = 1280, **options: Any) -> BrowserContext:
        """Return a browser context with a logged-in user; by default on a desktop, in English and light."""
        context = browser.new_context(
            base_url=self.url,
            viewport={"width": width, "height": 900},
            **{"locale": "en-GB", "timezone_id": "Europe/Berlin", "color_scheme": "light", **options},
        )
        if session := self.sessions[who]:
            context.add_cookies([{"name": SESSION_COOKIE, "value": session, "url": self.url}])
        return context


@contextmanager
def running(data_dir: Path, **given: str) -> Iterator[Site]:
    """Prepare and start a gateway with these settings. Stop it when the block ends."""
    settings = {**_LIMITS, **given}
    prepared = subprocess.run(
        [sys.executable, "-m", "zenzefi.tests.browser.prepare"],
        cwd=ROOT,
        env=environment_of(data_dir, **settings),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    command = Command(data_dir, **settings)
    try:
        command.wait_ready()
        yield Site(f"http://127.0.0.1:{command.port}", command=command, **json.loads(prepared.stdout))
    finally:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.wait()
