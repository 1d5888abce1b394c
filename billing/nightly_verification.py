"""The ledger's nightly proof: what it found is kept for `/metrics`, and the operators hear of what is off."""

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

# How many discrepancies are named; the rest is counted.
NAMED = 50
_CACHE_KEY = "ledger-proof"
# Seconds. So long without a proof, and nobody looks at the figure of the last one.
_KEPT = 30 * 24 * 3600
_A_DAY = 24 * 3600

# Told at each scrape by the process that is scraped, as the proof is made in another one.
_DISCREPANCIES = prometheus_client.Gauge(
    "zenzefi_ledger_discrepancies",
    "What was off in the ledger at its last proof; NaN before the first",
    multiprocess_mode="mostrecent",
)
_VERIFIED_AT = prometheus_client.Gauge(
    "zenzefi_ledger_proved_timestamp_seconds",
    "When the last proof of the ledger ended; NaN before the first",
    multiprocess_mode="mostrecent",
)


@dataclass(frozen=True)
class Result:
    """How many discrepancies there are, and the first `NAMED` of them as lines."""

    discrepancies: int
    named: list[str]


def run() -> Result:
    """Recompute everything now. The outcome is kept for `update_metrics`, where the cache can be reached."""
    found = iter(verification.verify_all())
    named = [str(discrepancy) for discrepancy in islice(found, NAMED)]
    result = Result(len(named) + sum(1 for _rest in found), named)
    if result.discrepancies:
        logger.error("ledger_discrepancies", extra={"count": result.discrepancies, "named": named})
    store_result(result.discrepancies, time.time())
    return result


def store_result(discrepancies: int, ended_at: float) -> None:
    """Let `/metrics` of every process show this outcome of a proof that ended then (UNIX seconds)."""
    try:
        cache.set(_CACHE_KEY, (discrepancies, ended_at), timeout=_KEPT)
    except (RedisError, OSError) as error:
        logger.warning("the outcome of the ledger's proof could not be kept: %s", error)


def update_metrics() -> None:
    """Bring the metrics to the last proof; they stay as they are while the cache cannot be reached."""
    try:
        discrepancies, ended_at = cache.get(_CACHE_KEY) or (float("nan"), float("nan"))
    except (RedisError, OSError) as error:
        logger.warning("the outcome of the ledger's proof could not be read: %s", error)
        return
    _DISCREPANCIES.set(discrepancies)
    _VERIFIED_AT.set(ended_at)


def claim_daily_alarm() -> bool:
    """True once a day (UTC), however often a job is delivered; also where the cache cannot be reached."""
    try:
        return bool(cache.add(f"ledger-alarm-{timezone.now():%Y-%m-%d}", 1, timeout=_A_DAY))
    except (RedisError, OSError):
        return True


def send_alarm(discrepancies: int, named: list[str]) -> None:
    """Tell every operator by e-mail what is off."""
    operators = User.objects.filter(is_superuser=True, is_active=True).exclude(email="").order_by("email")
    addresses = list(operators.values_list("email", flat=True))
    if not addresses:
        logger.error("nobody hears that the ledger does not hold: there is no active operator with an e-mail address")
        return
    send_mail(_("The Zenzefi ledger has discrepancies"), _text(discrepancies, named), None, addresses)


def _text(discrepancies: int, named: list[str]) -> str:
    head = ngettext(
        "The nightly check of the ledger found %(count)d discrepancy:",
        "The nightly check of the ledger found %(count)d discrepancies:",
        discrepancies,
    )
    parts = [head % {"count": discrepancies}, "\n".join(named)]
    if discrepancies > len(named):
        parts.append(_("and %(count)d more.") % {"count": discrepancies - len(named)})
    parts.append(_("Run `manage.py verify_ledger` to list all of them. docs/ledger.md explains each one."))
    return "\n\n".join(parts)
