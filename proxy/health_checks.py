"""Health checks of the database, the cache and the upstream, run by a background job and read by `/health`."""

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
from zenzefi.common.iso_times import iso_time
from zenzefi.common.postgresql import database_time_limit

logger = logging.getLogger(__name__)

_CACHE_KEY = "health"
# A report is outdated after three missed checks.
KEPT_SECONDS = 3 * settings.HEALTH_CHECK_INTERVAL_SECONDS
_DATABASE_SECONDS = 2.0


def check() -> dict[str, Any]:
    """Check the database, the cache and the upstream now. Keep the report and return it.

    The report is `{status, checks, checked_at}`. The status is `unhealthy` if the database or the cache failed, and
    `degraded` if only the upstream failed.
    """
    probes = {"database": _check_database, "cache": _check_cache, "upstream": _check_upstream}
    checks = {name: _run(probe, name) for name, probe in probes.items()}
    if not (checks["database"] and checks["cache"]):
        status = "unhealthy"
    else:
        status = "healthy" if checks["upstream"] else "degraded"
    report = {
        "status": status,
        "checks": {name: "ok" if passed else "failed" for name, passed in checks.items()},
        "checked_at": iso_time(timezone.now()),
    }
    if checks["cache"]:
        _run(partial(cache.set, _CACHE_KEY, report, timeout=KEPT_SECONDS), "storing the report")
    return report


def last_healthy_report() -> dict[str, Any] | None:
    """Return the report of the last check if it was healthy, else None, because a failed service may be back.

    Return None if there is no report or the cache is unreachable.
    """
    try:
        report: dict[str, Any] | None = cache.get(_CACHE_KEY)
    except (RedisError, OSError):
        return None
    return report if report and report["status"] == "healthy" else None


def _run(probe: Callable[[], object], name: str) -> bool:
    try:
        probe()
    except (DatabaseError, RedisError, httpx.HTTPError, OSError) as error:
        logger.warning("health_check_failed", extra={"check": name, "error": str(error)})
        return False
    return True


def _check_database() -> None:
    with database_time_limit(_DATABASE_SECONDS), connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _check_cache() -> None:
    stamp = time.time()
    cache.set("health-probe", stamp, timeout=10)
    if cache.get("health-probe") != stamp:
        raise OSError("the cache did not return the value that was just set")


def _check_upstream() -> None:
    # Any status below 500 shows that the server is up.
    response = httpx.get(
        settings.ZENZEFI_TARGET_URL,
        timeout=settings.UPSTREAM_CONNECT_TIMEOUT,
        trust_env=False,
        verify=upstream_tls() or True,
    )
    if response.status_code >= 500:
        raise OSError(f"the upstream returned status {response.status_code}")
