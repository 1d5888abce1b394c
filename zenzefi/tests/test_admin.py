"""Every model is in the admin, can be searched, and its list opens."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.sessions import WebSession

MODELS = [
    model
    for app in ("accounts", "billing", "access", "proxy")
    for model in apps.get_app_config(app).get_models()
    if model is not WebSession  # its key opens the account: no operator may see it
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_model_is_registered_and_searchable(client: Client, olga: User, model: type) -> None:
    client.force_login(olga)
    assert admin.site.get_model_admin(model).search_fields
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")

    for query in ({}, {"q": "alice"}, {"q": "\x00'\"%"}):
        assert client.get(address, query).status_code == 200
