"""Static files: for ever under the name of their content, briefly under their own, compressed where it helps."""

import gzip
from contextlib import closing
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.templatetags.static import static
from django.test import AsyncClient, Client

pytestmark = pytest.mark.django_db  # the end of an answer looks after the connections
CSS = Path(settings.BASE_DIR / "static/site.css")


def test_the_name_of_the_content_is_kept_for_ever(client: Client) -> None:
    address = static("site.css")
    assert address != "/static/site.css"
    with closing(client.get(address)) as answer:
        assert b"".join(answer.streaming_content) == CSS.read_bytes()
        assert answer["Cache-Control"] == "max-age=315360000, public, immutable"
        assert answer["Content-Type"] == 'text/css; charset="utf-8"'


def test_its_own_name_is_not(client: Client) -> None:
    with closing(client.get("/static/site.css")) as answer:
        assert (answer.status_code, answer["Cache-Control"]) == (200, "max-age=60, public")


def test_compressed(client: Client) -> None:
    answer = client.get(static("site.css"), headers={"accept-encoding": "gzip, br"})
    assert (answer["Content-Encoding"], answer["Vary"]) == ("gzip", "Accept-Encoding")
    assert int(answer["Content-Length"]) == len(answer.content) < CSS.stat().st_size / 2
    assert gzip.decompress(answer.content) == CSS.read_bytes()


def test_a_part_is_a_part_of_the_file(client: Client) -> None:
    given = {"range": "bytes=3-9", "accept-encoding": "gzip"}
    with closing(client.get("/static/site.css", headers=given)) as answer:
        assert (answer.status_code, answer.getvalue()) == (206, CSS.read_bytes()[3:10])


def test_what_did_not_change_is_not_sent_again(client: Client) -> None:
    with closing(client.get("/static/site.css")) as first:
        tag = first["ETag"]
    again = client.get("/static/site.css", headers={"if-none-match": tag, "accept-encoding": "gzip"})
    assert (again.status_code, again.getvalue()) == (304, b"")


@pytest.mark.parametrize(
    "path", ["site.000000000000.css", "nothing.css", "", "vendor", "../manage.py", "%2e%2e/manage.py", "/etc/passwd"]
)
def test_nothing_else_is_served(client: Client, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_under_asgi() -> None:
    answer = async_to_sync(AsyncClient().get)(static("site.js"), headers={"accept-encoding": "gzip"})
    assert (answer.status_code, answer["Content-Encoding"]) == (200, "gzip")


def test_a_name_without_a_file_is_a_mistake() -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no static file gone\.css"):
        static("gone.css")
