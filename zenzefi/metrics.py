"""`/metrics`: the counters of this process, and the state that all processes share."""

from django.http import HttpRequest, HttpResponse
from django_prometheus.exports import ExportToDjangoView

from billing import nightly_verification


def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics in the Prometheus text format."""
    nightly_verification.update_metrics()
    exported: HttpResponse = ExportToDjangoView(request)
    return exported
