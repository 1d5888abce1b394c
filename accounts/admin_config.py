"""The app config of the admin, which selects the project's own admin site."""

from django.contrib.admin.apps import AdminConfig


class OperatorsConfig(AdminConfig):
    default_site = "accounts.admin_site.OperatorsSite"
