"""Notifications sent as YooKassa sends them."""

from rest_framework.test import APIClient

URL = "/api/v1/currency/webhooks/yookassa"
YOOKASSA_ADDRESS = "185.71.76.1"


def send(body, address=YOOKASSA_ADDRESS, **headers):
    return APIClient().post(URL, body, content_type="application/json", REMOTE_ADDR=address, headers=headers)
