"""Is the gateway healthy? Checked by a background job; `/health` answers from what it found."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from django.conf import settings
from django.core.cache import cache
from django.db import Error as DatabaseError
from django.db import connection
from django.utils import timezone
from redis.exceptions import RedisError

from proxy.tls import upstream_tls
from zenzefi.common.postgresql import answers_within

logger = logging.getLogger(__name__)

_CACHE_KEY = "health"
# Three missed checks: what is older says nothing.
KEPT_SECONDS = 3 * settings.HEALTH_CHECK_INTERVAL_SECONDS
_DATABASE_SECONDS = 2.0


def check() -> dict[str, Any]:
    """Check database, cache and upstream now, and keep the answer: `{status, checks, checked_at}`.

    `unhealthy` without the database or the cache; `degraded` where only the upstream is missing.
    """
    probes = {"database": _database, "cache": _cache, "upstream": _upstream}
    checks = {name: _ok(probe, name) for name, probe in probes.items()}
    if not (checks["database"] and checks["cache"]):
        status = "unhealthy"
    else:
        status = "healthy" if checks["upstream"] else "degraded"
    report = {
        "status": status,
        "checks": {name: "ok" if fine else "failed" for name, fine in checks.items()},
        "checked_at": timezone.now().isoformat().replace("+00:00", "Z"),
    }
    if checks["cache"]:
        _ok(partial(cache.set, _CACHE_KEY, report, timeout=KEPT_SECONDS), "keeping the report")
    return report


def last_report() -> dict[str, Any] | None:
    """What the last check found where all was well; what was missing then may be back. None where there is none, or
    the cache cannot be reached."""
    try:
        report: dict[str, Any] | None = cache.get(_CACHE_KEY)
    except (RedisError, OSError):
        return None
    return report if report and report["status"] == "healthy" else None


def _ok(probe: Callable[[], object], name: str) -> bool:
    try:
        probe()
    except (DatabaseError, RedisError, httpx.HTTPError, OSError) as error:
        logger.warning("health: %s failed: %s", name, error)
        return False
    return True


def _database() -> None:
    with answers_within(_DATABASE_SECONDS), connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _cache() -> None:
    stamp = time.time()
    cache.set("health-probe", stamp, timeout=10)
    if cache.get("health-probe") != stamp:
        raise OSError("the cache forgot what it was told")


def _upstream() -> None:
    """Any answer below 500 shows that the server is there."""
    answer = httpx.get(
        settings.ZENZEFI_TARGET_URL,
        timeout=settings.UPSTREAM_CONNECT_TIMEOUT,
        trust_env=False,
        verify=upstream_tls() or True,
    )
    if answer.status_code >= 500:
        raise OSError(f"the upstream answers {answer.status_code}")
