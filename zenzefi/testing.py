"""A pytest plugin that is loaded before the settings, so that tests ignore `.env` and the developer's environment.

`TEST_SERVICES=1` (`make test-services`) keeps `DATABASE_URL` and `REDIS_URL`. The tests use, and clear, a separate
Redis database: 15 or, for parallel workers, those below it.
"""

import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

_example = (Path(__file__).parent.parent / ".env.example").read_text(encoding="utf-8")
DOCUMENTED = frozenset(re.findall(r"^# ([A-Z][A-Z0-9_]+)=", _example, re.MULTILINE))

_services = bool(os.environ.get("TEST_SERVICES"))
for _name in DOCUMENTED - ({"DATABASE_URL", "REDIS_URL"} if _services else set()):
    os.environ.pop(_name, None)
if _services:
    _worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    _redis = urlsplit(os.environ.get("REDIS_URL", ""))
    if _redis.scheme:
        os.environ["REDIS_URL"] = _redis._replace(path=f"/{15 - _worker}").geturl()

_data_dir = tempfile.TemporaryDirectory(prefix="zenzefi-test-")
os.environ |= {
    "ENV_FILE": os.devnull,
    "DATA_DIR": _data_dir.name,
    # Collected by the first session and kept for the next.
    "STATIC_ROOT": str(Path(__file__).parent.parent / "var" / "static"),
    "RATE_LIMIT_AUTH": "",
    "RATE_LIMIT_API": "",
    "RATE_LIMIT_PROXY": "",
}
