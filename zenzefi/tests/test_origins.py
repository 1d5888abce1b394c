"""Forms from other sites, by the evidence that a browser sends, and requests that need no known host."""

import pytest
from django.test import Client

OWN, EVIL = "https://testserver", "https://evil.example"


# `None` means that the field is absent.
@pytest.mark.parametrize(
    ("origin", "site", "referrer", "allowed"),
    [
        (OWN, None, None, True), (OWN, "same-origin", None, True), (OWN, "none", None, True),
        (OWN, "cross-site", None, False), (OWN, "same-site", None, False),
        ("null", "same-origin", None, True), ("null", None, f"{OWN}/", False), ("null", "none", None, False),
        ("null", "same-site", None, False), ("null", "cross-site", f"{OWN}/", False), ("null", "", None, False),
        (EVIL, "same-origin", f"{OWN}/", False), (EVIL, "cross-site", None, False), (EVIL, None, None, False),
        (None, "same-origin", None, True), (None, None, f"{OWN}/x", True), (None, None, None, False),
        (None, None, f"{EVIL}/", False), (None, "cross-site", None, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_token", [True, False])
@pytest.mark.django_db
def test_forms_of_the_site(settings, origin, site, referrer, allowed, with_token):
    settings.ALLOWED_HOSTS = ["testserver"]
    client = Client(enforce_csrf_checks=True)
    client.get("/accounts/login/", secure=True)
    token = client.cookies["zenzefi_csrftoken"].value
    fields = {"Origin": origin, "Sec-Fetch-Site": site, "Referer": referrer}
    response = client.post(
        "/language",
        {"language": "ru", **({"csrfmiddlewaretoken": token} if with_token else {})},
        secure=True,
        headers={name: value for name, value in fields.items() if value is not None},
    )
    assert (response.status_code != 403) is (allowed and with_token)


@pytest.mark.parametrize("host", ["10.1.2.3:8000", "worker-1", "evil.example"])
@pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/", 400), ("/api/v1/tariffs", 400)])
@pytest.mark.django_db
def test_the_metrics_are_shown_on_every_host(settings, host, path, status):
    settings.ALLOWED_HOSTS = ["testserver"]
    assert Client(raise_request_exception=False).get(path, headers={"Host": host}).status_code == status
