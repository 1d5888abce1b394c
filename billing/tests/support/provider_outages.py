"""The mock provider while it does not respond, and when it says no."""

from billing.errors import ProviderRefused, ProviderUnavailable
from billing.providers.mock import MockProvider

NO = ProviderRefused("card testing")
SILENCE = ProviderUnavailable("no response")


def down(monkeypatch, *calls, error=SILENCE):
    """Until `monkeypatch.undo()`, these calls of the provider fail; gives the list of what was called."""
    called = []

    def failing(name):
        def fail(_self, payment, *_arguments):
            called.append((name, payment.pk))
            raise error

        return fail

    for name in calls or ("create", "fetch", "refund"):
        monkeypatch.setattr(MockProvider, name, failing(name))
    return called


def response_lost(monkeypatch, name):
    """The provider does what it is asked for, and its response never arrives."""
    act = getattr(MockProvider, name)

    def lose(self, *arguments):
        act(self, *arguments)
        raise ProviderUnavailable("the connection broke")

    monkeypatch.setattr(MockProvider, name, lose)
