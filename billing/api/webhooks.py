"""`POST /currency/webhooks/{provider}`."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import ErrorSerializer
from accounts.requests import address_of
from billing import webhooks
from billing.api.serializers import (
    ReceivedSerializer,
)
from billing.errors import WebhookTooLarge
from billing.providers.base import WebhookRequest

MAX_WEBHOOK_BYTES = 64 * 1024


class WebhookView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()  # a provider sends many from few addresses, and checking a forged one is cheap

    @extend_schema(
        operation_id="currency_webhook",
        tags=["currency"],
        request={"application/json": {"type": "object"}},
        responses={
            200: ReceivedSerializer,
            413: OpenApiResponse(ErrorSerializer, description="The body is larger than 64 KiB"),
        },
    )
    def post(self, request: Request, provider: str) -> Response:
        """Receive a message of a payment provider. A repeated message changes nothing."""
        with webhooks.count_rejections(provider):
            sent = WebhookRequest(request.headers, _raw_body(request), address_of(request))
            webhooks.receive(provider, sent)
        return Response(ReceivedSerializer({"received": True}).data)


def _raw_body(request: Request) -> bytes:
    """Return the body as received, because the signature covers its bytes. Read no more than the limit.

    Raises `WebhookTooLarge`.
    """
    body: bytes = request.stream.read(MAX_WEBHOOK_BYTES + 1) if request.stream else b""
    if len(body) > MAX_WEBHOOK_BYTES:
        raise WebhookTooLarge
    return body
