"""Figures of the data plane, kept as plain numbers and shown at `/metrics` when somebody asks."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from proxy.dataplane.accounting import Accounting
from proxy.dataplane.grants import Grants
from proxy.dataplane.registry import Registry


class Figures:
    """What one worker counted since its start; a collector for prometheus_client's registry."""

    def __init__(self, registry: Registry, grants: Grants, accounting: Accounting) -> None:
        self.answers: Counter[int] = Counter()
        self.denials: Counter[str] = Counter()
        self._registry = registry
        self._grants = grants
        self._accounting = accounting

    def collect(self) -> Iterator[Metric]:
        yield _counter("answers", "Proxied answers by status", "status", self.answers)
        yield _counter("denials", "Refusals by code", "code", self.denials)
        yield _counter("cuts", "Requests and WebSockets ended by the gateway, by code", "code", self._registry.cuts)
        carried = self._accounting.total_bytes
        yield CounterMetricFamily("zenzefi_proxy_bytes", "Bytes carried in both directions", value=carried)
        live = len(self._registry)
        yield GaugeMetricFamily("zenzefi_proxy_live", "Requests and WebSockets being carried", value=live)
        known = len(self._grants)
        yield GaugeMetricFamily("zenzefi_proxy_cached_grants", "Tokens known without the database", value=known)


def _counter(name: str, text: str, label: str, counts: Mapping[int, int] | Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"zenzefi_proxy_{name}", text, labels=[label])
    for value, count in list(counts.items()):
        family.add_metric([str(value)], count)
    return family
