"""Figures of the data plane: counted as plain numbers, handed to prometheus_client twice a second.

The requests' path touches no metric object, and with `PROMETHEUS_MULTIPROC_DIR` the figures of several workers add up
at `/metrics`, where a collector would show those of one.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

import prometheus_client
from prometheus_client.core import Metric

from proxy.dataplane.admission.grant_cache import Grants
from proxy.dataplane.denials.log import Refusals
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.sessions.in_flight import Registry

# Made once per process and registered with the figures, which come and go with their data plane.
_ANSWERS = prometheus_client.Counter("zenzefi_proxy_answers", "Proxied answers by status", ["status"], registry=None)
_DENIALS = prometheus_client.Counter("zenzefi_proxy_denials", "Refusals by code", ["code"], registry=None)
_CUTS = prometheus_client.Counter(
    "zenzefi_proxy_cuts", "Requests and WebSockets ended by the gateway, by code", ["code"], registry=None
)
_CUT_DELAY = prometheus_client.Histogram(
    "zenzefi_proxy_cut_delay_seconds",
    "From a revocation or an expiry to the end of what was being carried, by code",
    ["code"],
    buckets=(0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5),
    registry=None,
)
_UNRECORDED = prometheus_client.Counter(
    "zenzefi_proxy_denials_unrecorded", "Refusals of which no record was kept: there were too many", registry=None
)
_BYTES = prometheus_client.Counter("zenzefi_proxy_bytes", "Bytes carried in both directions", registry=None)
_LIVE = prometheus_client.Gauge(
    "zenzefi_proxy_live", "Requests and WebSockets being carried", multiprocess_mode="livesum", registry=None
)
_CACHED_GRANTS = prometheus_client.Gauge(
    "zenzefi_proxy_cached_grants", "Tokens known without the database", multiprocess_mode="livesum", registry=None
)
_METRICS = (_ANSWERS, _DENIALS, _UNRECORDED, _CUTS, _CUT_DELAY, _BYTES, _LIVE, _CACHED_GRANTS)


class Figures:
    """What one data plane counts since its start; a collector for prometheus_client's registry."""

    def __init__(self, registry: Registry, grants: Grants, accounting: Accounting, refusals: Refusals) -> None:
        self.answers: Counter[int] = Counter()
        self.denials: Counter[str] = Counter()
        self._registry = registry
        self._grants = grants
        self._accounting = accounting
        self._refusals = refusals
        self._told: Counter[prometheus_client.Counter] = Counter()
        # A scrape comes in a thread of its own.
        self._telling = threading.Lock()

    def tell(self) -> None:
        """Bring the metrics up to date."""
        with self._telling:
            self._add_each(_ANSWERS, self.answers)
            self._add_each(_DENIALS, self.denials)
            self._add(_UNRECORDED, self._refusals.dropped)
            self._add_each(_CUTS, self._registry.cuts)
            self._add(_BYTES, self._accounting.total_bytes)
            while self._registry.cut_delays:
                code, seconds = self._registry.cut_delays.popleft()
                _CUT_DELAY.labels(code).observe(seconds)
            _LIVE.set(len(self._registry))
            _CACHED_GRANTS.set(len(self._grants))

    def _add_each(self, metric: prometheus_client.Counter, counts: Mapping[int, int] | Mapping[str, int]) -> None:
        for label, count in list(counts.items()):
            self._add(metric.labels(label), count)

    def _add(self, metric: prometheus_client.Counter, count: int) -> None:
        """Add what was counted since the last time."""
        metric.inc(count - self._told[metric])
        self._told[metric] = count

    def collect(self) -> Iterator[Metric]:
        self.tell()
        for metric in _METRICS:
            yield from metric.collect()
