"""The admin, entered through the site's login."""

from django.contrib.admin.apps import AdminConfig


class OperatorsConfig(AdminConfig):
    default_site = "accounts.admin_site.OperatorsSite"
