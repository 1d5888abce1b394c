"""Metrics of the data plane: counted as plain numbers, published to prometheus_client twice a second.

Requests touch no metric object. With `PROMETHEUS_MULTIPROC_DIR` the numbers of all workers add up at `/metrics`; a
collector would show those of one worker only.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

import prometheus_client
from prometheus_client.core import Metric

from proxy.dataplane.admission.grant_cache import GrantCache
from proxy.dataplane.denials.log import DenialLog
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.sessions.in_flight import InFlightRegistry

# Created once per process; registered through `Metrics`, which lives as long as its data plane.
_RESPONSES = prometheus_client.Counter(
    "zenzefi_proxy_responses", "Proxied responses by status", ["status"], registry=None
)
_DENIALS = prometheus_client.Counter("zenzefi_proxy_denials", "Denials by code", ["code"], registry=None)
_CUTS = prometheus_client.Counter(
    "zenzefi_proxy_cuts", "Requests and WebSockets cut off by the gateway, by code", ["code"], registry=None
)
_CUT_DELAY = prometheus_client.Histogram(
    "zenzefi_proxy_cut_delay_seconds",
    "Time from a revocation or an expiry to the end of what was in flight, by code",
    ["code"],
    buckets=(0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5),
    registry=None,
)
_UNRECORDED = prometheus_client.Counter(
    "zenzefi_proxy_denials_unrecorded", "Denials without a record, because there were too many", registry=None
)
_BYTES = prometheus_client.Counter("zenzefi_proxy_bytes", "Bytes transferred in both directions", registry=None)
_IN_FLIGHT = prometheus_client.Gauge(
    "zenzefi_proxy_in_flight", "Requests and WebSockets in flight", multiprocess_mode="livesum", registry=None
)
_CACHED_GRANTS = prometheus_client.Gauge(
    "zenzefi_proxy_cached_grants", "Tokens known without the database", multiprocess_mode="livesum", registry=None
)
_METRICS = (_RESPONSES, _DENIALS, _UNRECORDED, _CUTS, _CUT_DELAY, _BYTES, _IN_FLIGHT, _CACHED_GRANTS)


class Metrics:
    """The counts of one data plane since its start; a collector for prometheus_client's registry."""

    def __init__(
        self, in_flight: InFlightRegistry, grants: GrantCache, accounting: Accounting, denial_log: DenialLog
    ) -> None:
        self.responses: Counter[int] = Counter()
        self.denials: Counter[str] = Counter()
        self._in_flight = in_flight
        self._grants = grants
        self._accounting = accounting
        self._denial_log = denial_log
        self._published: Counter[prometheus_client.Counter] = Counter()
        # Each scrape runs in a separate thread.
        self._publishing = threading.Lock()

    def publish(self) -> None:
        """Bring the metric objects up to date."""
        with self._publishing:
            self._add_each(_RESPONSES, self.responses)
            self._add_each(_DENIALS, self.denials)
            self._add(_UNRECORDED, self._denial_log.dropped)
            self._add_each(_CUTS, self._in_flight.cuts)
            self._add(_BYTES, self._accounting.total.bytes)
            while self._in_flight.cut_delays:
                code, seconds = self._in_flight.cut_delays.popleft()
                _CUT_DELAY.labels(code).observe(seconds)
            _IN_FLIGHT.set(len(self._in_flight))
            _CACHED_GRANTS.set(len(self._grants))

    def _add_each(self, metric: prometheus_client.Counter, counts: Mapping[int, int] | Mapping[str, int]) -> None:
        for label, count in list(counts.items()):
            self._add(metric.labels(label), count)

    def _add(self, metric: prometheus_client.Counter, count: int) -> None:
        """Add the difference to the count that was published last."""
        metric.inc(count - self._published[metric])
        self._published[metric] = count

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, brought up to date."""
        self.publish()
        for metric in _METRICS:
            yield from metric.collect()
