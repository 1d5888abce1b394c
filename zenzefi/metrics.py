"""`/metrics`: what this process counted, and what is known to all."""

from django.http import HttpRequest, HttpResponse
from django_prometheus.exports import ExportToDjangoView

from billing import proof


def metrics(request: HttpRequest) -> HttpResponse:
    proof.tell_metrics()
    exported: HttpResponse = ExportToDjangoView(request)
    return exported
