"""The nightly verification of the ledger: its result is shown at `/metrics`, and operators get an alarm by e-mail."""

import logging
import time
from dataclasses import dataclass
from itertools import islice

import prometheus_client
from django.core.cache import cache
from django.core.mail import send_mail
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis.exceptions import RedisError

from accounts.models import User
from billing import verification

logger = logging.getLogger(__name__)

# Discrepancies that are listed; the rest is only counted.
MAX_LISTED = 50
_CACHE_KEY = "ledger-proof"
_RESULT_SECONDS = 30 * 24 * 3600
_DAY_SECONDS = 24 * 3600

# Set at each scrape by the worker that is scraped, because another process runs the verification.
_DISCREPANCIES = prometheus_client.Gauge(
    "zenzefi_ledger_discrepancies",
    "Discrepancies found by the last verification of the ledger; NaN before the first",
    multiprocess_mode="mostrecent",
)
_VERIFIED_AT = prometheus_client.Gauge(
    "zenzefi_ledger_proved_timestamp_seconds",
    "End of the last verification of the ledger (UNIX time); NaN before the first",
    multiprocess_mode="mostrecent",
)


@dataclass(frozen=True)
class Result:
    """The number of discrepancies, and the first `MAX_LISTED` of them as lines."""

    discrepancies: int
    listed: list[str]


def run() -> Result:
    """Recompute the whole ledger, and store the result for `update_metrics` if the cache is reachable."""
    found = iter(verification.verify_all())
    listed = [str(discrepancy) for discrepancy in islice(found, MAX_LISTED)]
    result = Result(len(listed) + sum(1 for _rest in found), listed)
    if result.discrepancies:
        logger.error("ledger_discrepancies", extra={"count": result.discrepancies, "listed": listed})
    store_result(result.discrepancies, time.time())
    return result


def store_result(discrepancies: int, ended_at: float) -> None:
    """Store the result of a verification that ended at `ended_at` (UNIX seconds) for `/metrics` of every worker."""
    try:
        cache.set(_CACHE_KEY, (discrepancies, ended_at), timeout=_RESULT_SECONDS)
    except (RedisError, OSError) as error:
        logger.warning("verification_result_not_stored", extra={"error": repr(error)})


def update_metrics() -> None:
    """Set the metrics to the last result. They keep their values if the cache is unreachable."""
    try:
        discrepancies, ended_at = cache.get(_CACHE_KEY) or (float("nan"), float("nan"))
    except (RedisError, OSError) as error:
        logger.warning("verification_result_not_read", extra={"error": repr(error)})
        return
    _DISCREPANCIES.set(discrepancies)
    _VERIFIED_AT.set(ended_at)


def claim_daily_alarm() -> bool:
    """Return True once a day (UTC), even if the job is delivered twice. Return True if the cache is unreachable."""
    try:
        return bool(cache.add(f"ledger-alarm-{timezone.now():%Y-%m-%d}", 1, timeout=_DAY_SECONDS))
    except (RedisError, OSError):
        return True


def send_alarm(discrepancies: int, listed: list[str]) -> None:
    """Send an e-mail with the discrepancies to every active superuser that has an address."""
    operators = User.objects.filter(is_superuser=True, is_active=True).exclude(email="").order_by("email")
    addresses = list(operators.values_list("email", flat=True))
    if not addresses:
        logger.error(
            "ledger_alarm_not_sent",
            extra={"hint": "Give an active superuser an e-mail address to receive the alarm."},
        )
        return
    send_mail(_("The Zenzefi ledger has discrepancies"), _text(discrepancies, listed), None, addresses)


def _text(discrepancies: int, listed: list[str]) -> str:
    head = ngettext(
        "The nightly check of the ledger found %(count)d discrepancy:",
        "The nightly check of the ledger found %(count)d discrepancies:",
        discrepancies,
    )
    parts = [head % {"count": discrepancies}, "\n".join(listed)]
    if discrepancies > len(listed):
        parts.append(_("and %(count)d more.") % {"count": discrepancies - len(listed)})
    parts.append(_("Run `manage.py verify_ledger` to list all of them. docs/ledger.md explains each one."))
    return "\n\n".join(parts)
