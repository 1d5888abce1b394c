"""Static files: cached forever under the hash of their content, briefly under their own name, and compressed."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.test import AsyncClient, Client

from zenzefi.runtime.static_files import CollectedStorage, collect_if_outdated

CSS = Path(django_settings.BASE_DIR / "static/site.css")


@pytest.mark.django_db  # Django checks the connections at the end of a request
class TestServing:
    def test_the_hashed_name_is_cached_forever(self, client: Client) -> None:
        url = static("site.css")
        assert url != "/static/site.css"
        response = client.get(url)
        assert response.content == CSS.read_bytes()
        assert response["Cache-Control"] == "max-age=315360000, public, immutable"
        assert response["Content-Type"] == 'text/css; charset="utf-8"'

    def test_the_plain_name_is_cached_for_a_minute(self, client: Client) -> None:
        response = client.get("/static/site.css")
        assert (response.status_code, response["Cache-Control"]) == (200, "max-age=60, public")

    def test_compressed(self, client: Client) -> None:
        response = client.get(static("site.css"), headers={"accept-encoding": "gzip, br"})
        assert (response["Content-Encoding"], response["Vary"]) == ("gzip", "Accept-Encoding")
        assert int(response["Content-Length"]) == len(response.content) < CSS.stat().st_size / 2
        assert gzip.decompress(response.content) == CSS.read_bytes()

    def test_head_has_no_body(self, client: Client) -> None:
        response = client.head("/static/site.css")
        assert (response.status_code, response.content) == (200, b"")
        assert int(response["Content-Length"]) == CSS.stat().st_size

    def test_a_range_refers_to_the_uncompressed_file(self, client: Client) -> None:
        response = client.get("/static/site.css", headers={"range": "bytes=3-9", "accept-encoding": "gzip"})
        assert (response.status_code, response.content) == (206, CSS.read_bytes()[3:10])

    def test_an_unchanged_file_is_not_sent_again(self, client: Client) -> None:
        tag = client.get("/static/site.css")["ETag"]
        response = client.get("/static/site.css", headers={"if-none-match": tag, "accept-encoding": "gzip"})
        assert (response.status_code, response.content) == (304, b"")

    @pytest.mark.parametrize(
        "path",
        ["site.000000000000.css", "nothing.css", "", "vendor", "../manage.py", "%2e%2e/manage.py", "/etc/passwd"],
    )
    def test_nothing_else_is_served(self, client: Client, path: str) -> None:
        assert client.get(f"/static/{path}").status_code == 404

    @pytest.mark.parametrize(
        "name",
        ["admin/css/base.css", "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js", "site.js"],
    )
    def test_under_asgi(self, name: str) -> None:
        response = async_to_sync(AsyncClient().get)(static(name), headers={"accept-encoding": "gzip"})
        assert (response.status_code, response["Content-Encoding"]) == (200, "gzip")


def test_a_name_without_a_file_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"Missing staticfiles manifest entry for 'gone\.css'"):
        static("gone.css")


class TestCollecting:
    @pytest.fixture
    def source(self, settings: Any, tmp_path: Path) -> Path:
        """Return the only source of static files: a folder with the file `a.txt`."""
        folder = tmp_path / "source"
        folder.mkdir()
        settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
        settings.STATICFILES_DIRS = [folder]
        settings.STATIC_ROOT = str(tmp_path / "data" / "static")
        (folder / "a.txt").write_text("first")
        return folder

    def collected(self) -> dict[str, str]:
        """Return the content of each collected text file by its name."""
        root = Path(django_settings.STATIC_ROOT)
        return {path.name: path.read_text() for path in root.rglob("*.txt")}

    def hashed(self) -> str:
        return str(CollectedStorage().stored_name("a.txt"))

    def test_nothing_is_done_if_nothing_has_changed(self, source: Path) -> None:
        collect_if_outdated()
        manifest = Path(django_settings.STATIC_ROOT) / "staticfiles.json"
        first = manifest.stat()

        collect_if_outdated()

        assert (manifest.stat().st_ino, manifest.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
        assert self.collected() == {"a.txt": "first", self.hashed(): "first"}

    def test_the_files_of_the_version_before_stay(self, source: Path) -> None:
        """Check that the files of the last version stay for open pages and running gateways, and older ones go."""
        names = []
        for content in ("first", "second", "third"):
            (source / "a.txt").write_text(content)
            collect_if_outdated()
            names.append(self.hashed())

        assert self.collected() == {"a.txt": "third", names[1]: "second", names[2]: "third"}

    def test_a_folder_that_cannot_be_written_is_an_error(self, source: Path, settings: Any) -> None:
        settings.STATIC_ROOT = str(source / "a.txt" / "static")
        with pytest.raises(ImproperlyConfigured, match="set STATIC_ROOT"):
            collect_if_outdated()

    def test_a_folder_that_cannot_be_written_is_enough_if_it_is_up_to_date(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        collect_if_outdated()
        monkeypatch.setattr("tempfile.TemporaryDirectory", None)
        collect_if_outdated()
