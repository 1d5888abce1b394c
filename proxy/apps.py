from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProxyConfig(AppConfig):
    name = "proxy"
    verbose_name = _("Proxy")

    def ready(self) -> None:
        from proxy.revocation_pubsub import publish_revocations

        publish_revocations()
