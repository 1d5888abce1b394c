"""`/metrics`: what this process counted, and what is known to all."""

from django.http import HttpRequest, HttpResponse
from django_prometheus.exports import ExportToDjangoView

from billing import nightly_verification


def metrics(request: HttpRequest) -> HttpResponse:
    nightly_verification.update_metrics()
    exported: HttpResponse = ExportToDjangoView(request)
    return exported
