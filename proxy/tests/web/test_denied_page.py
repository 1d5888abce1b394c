"""The page about a denial: details for its owner, the meaning of the code for others."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from proxy.models import DenialRecord
from proxy.web.denials import LOOKUPS, PER_PAGE

pytestmark = pytest.mark.django_db(transaction=True)  # tokens are sold in transactions
URL = "/denied/number-0001"


def record(sold=None, at=None, **given):
    values = {
        "request_id": "number-0001",
        "code": "token_expired",
        "status": 401,
        "ip": "203.0.113.9",
        "device": "7b",
    }
    owner = {"token": sold.token, "user": sold.token.user} if sold else {}
    detail = {"expired_at": (timezone.now() - timedelta(minutes=3, seconds=1)).isoformat()} if sold else {}
    values |= {"path": "/api/v1/proxy/private", "detail": detail, **owner, **given}
    return DenialRecord.objects.create(at=at or timezone.now(), **values)


@pytest.fixture
def signed_in():
    def signed_in(user):
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def heading(response):
    return re.search("<h1[^>]*>(.*?)</h1>", response.content.decode())[1]


def test_the_owner_sees_the_details(signed_in, alice, alice_token):
    record(alice_token)
    response = signed_in(alice).get(URL)
    assert heading(response) == "Your token expired 3 minutes ago."
    for detail in ("203.0.113.9", "…7b", "/api/v1/proxy/private", "1 hour, full access", "token_expired"):
        assert detail in response.content.decode()


@pytest.mark.parametrize("who", ["anonymous", "bob", "olga"])
def test_others_see_what_the_code_means(client, signed_in, bob, olga, alice_token, who):
    record(alice_token, code="device_conflict", detail={"holder": "41", "held_until": timezone.now().isoformat()})
    visitor = {"anonymous": client, "bob": signed_in(bob), "olga": signed_in(olga)}[who]
    response = visitor.get(URL)
    assert heading(response) == "Another device is using this token."
    text = response.content.decode()
    for secret in ("203.0.113.9", "…41", "…7b", "/api/v1/proxy/private", str(alice_token.token.pk), "1 hour, full"):
        assert secret not in text
    assert ("Log in to see more" in text) is (who == "anonymous")


def test_an_id_of_two_denials(client, signed_in, alice, bob, alice_token, bob_token):
    """Show the newest denial of the request id, which the client may choose, and the user's own first."""
    earlier = timezone.now() - timedelta(minutes=1)
    record(alice_token, at=earlier)
    record(alice_token, at=earlier - timedelta(minutes=1), code="scope_denied", detail={})
    record(bob_token, code="rate_limited", status=429, detail={"retry_after": 7})
    assert heading(signed_in(alice).get(URL)) == "Your token expired 3 minutes ago."
    assert heading(signed_in(bob).get(URL)) == heading(client.get(URL))
    assert "7 seconds" not in signed_in(bob).get(URL).content.decode()  # the time to wait has passed


def test_try_again_links_to_the_path(client, signed_in, alice, alice_token):
    record(alice_token, code="upstream_timeout", status=504)
    assert 'href="/api/v1/proxy/private">Try again<' in signed_in(alice).get(URL).content.decode()
    assert ">Try again<" not in client.get(URL).content.decode()


@pytest.mark.parametrize("path", ["", "/" + "x" * 199, "/a\ufffd"])
def test_no_link_to_a_truncated_path(signed_in, alice, alice_token, path):
    record(alice_token, code="upstream_timeout", status=504, path=path)
    assert ">Try again<" not in signed_in(alice).get(URL).content.decode()


def test_a_denial_that_is_not_written_yet(client):
    response = client.get(URL)
    assert (response.status_code, heading(response)) == (200, "Looking up the denial…")
    assert 'hx-get="?lookups=1"' in response.content.decode()
    record()
    assert heading(client.get(URL + "?lookups=1")) == "This token has expired."


def test_an_unknown_denial(client):
    response = client.get(f"{URL}?lookups={LOOKUPS}")
    assert (response.status_code, heading(response)) == (404, "We have no record of this denial.")
    assert "hx-get" not in response.content.decode()
    assert client.get(f"{URL}?lookups={LOOKUPS}", headers={"HX-Request": "true"}).status_code == 200
    assert client.get(f"{URL}?lookups=²").status_code == 200
    for other in ("short", "x" * 129, "with space1", "semi;colon"):
        assert client.get(f"/denied/{other}").status_code == 404


def test_the_list_has_the_users_own_denials(client, signed_in, alice, alice_token, bob_token):
    for number in range(PER_PAGE + 1):
        record(alice_token, request_id=f"number-{number:04}", at=timezone.now() - timedelta(hours=number))
    record(bob_token, request_id="number-of-bob")
    first = signed_in(alice).get("/denied").content.decode()
    assert first.count("/denied/number-") == PER_PAGE
    assert "number-of-bob" not in first
    assert "/denied/number-0020" in signed_in(alice).get("/denied?page=2").content.decode()
    assert client.get("/denied")["Location"] == "/accounts/login/?next=/denied"


def test_an_empty_list(signed_in, alice):
    assert "No denials" in signed_in(alice).get("/denied").content.decode()


def test_in_russian(signed_in, alice, alice_token):
    record(alice_token)
    alice.language = "ru"
    alice.save(update_fields=["language"])
    assert heading(signed_in(alice).get(URL)) == "Срок действия вашего токена истёк 3 минуты назад."


def test_the_operator_finds_them(signed_in, olga, alice, alice_token, bob_token):
    record(alice_token)
    record(bob_token, request_id="number-0002", code="scope_denied")
    admin = signed_in(olga)
    url = "/admin/proxy/denialrecord/"
    everything = admin.get(url).content.decode()
    assert "number-0001" in everything
    assert "number-0002" in everything
    of_alice = (f"?user__id__exact={alice.pk}", f"?token__id__exact={alice_token.token.pk}")
    for query in (*of_alice, "?code=token_expired", "?q=number-0001"):
        found = admin.get(url + query).content.decode()
        assert "number-0001" in found
        assert "number-0002" not in found
    pk = DenialRecord.objects.first().pk
    assert admin.get(f"{url}{pk}/change/").status_code == 200
    assert admin.post(f"{url}{pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin.get(f"{url}add/").status_code == 403
