"""Outages and rejections of the mock provider."""

from billing.errors import ProviderRefused, ProviderUnavailable
from billing.providers.mock import MockProvider

REFUSED = ProviderRefused("card testing")
UNAVAILABLE = ProviderUnavailable("no response")


def take_down(monkeypatch, *calls, error=UNAVAILABLE):
    """Let these calls of the provider fail until `monkeypatch.undo()`. Return the list of the calls made."""
    called = []

    def failing(name):
        def fail(_self, payment, *_arguments):
            called.append((name, payment.pk))
            raise error

        return fail

    for name in calls or ("create", "fetch", "refund"):
        monkeypatch.setattr(MockProvider, name, failing(name))
    return called


def lose_response(monkeypatch, name):
    """Let the provider carry out a call whose response is then lost."""
    act = getattr(MockProvider, name)

    def lose(self, *arguments):
        act(self, *arguments)
        raise ProviderUnavailable("the connection broke")

    monkeypatch.setattr(MockProvider, name, lose)
