from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProxyConfig(AppConfig):
    name = "proxy"
    verbose_name = _("Proxy")

    def ready(self) -> None:
        from proxy.revocation_pubsub import publish_revocations
        from proxy.web import browser_cookies  # noqa: F401  (connects the signals)

        publish_revocations()
