"""The app of the admin, with the site that uses the login of the customers' pages."""

from django.contrib.admin.apps import AdminConfig


class OperatorsConfig(AdminConfig):
    default_site = "accounts.admin_site.OperatorsSite"
