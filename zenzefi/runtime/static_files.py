"""Static files collected into STATIC_ROOT: compressed, and named by the hash of their content."""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.management.commands import collectstatic
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

_DIGEST_FILE = "sources.sha256"
_HASHED = re.compile(r"\.[0-9a-f]{12}(\.|$)")


class CollectedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """Storage that notes the digest of its sources. It compresses by gzip: Brotli would take minutes."""

    def create_compressor(self, **options: Any) -> Compressor:
        """Return a compressor for gzip only."""
        return Compressor(use_brotli=False, **options)

    def post_process(self, *args: Any, **options: Any) -> Iterator[Any]:
        """Hash and compress the files, then write the digest of their sources."""
        yield from super().post_process(*args, **options)
        if not options.get("dry_run"):
            Path(self.path(_DIGEST_FILE)).write_text(sources_digest())


def collect_if_outdated() -> None:
    """Collect the static files, unless STATIC_ROOT holds those of this version of the program.

    Raises `ImproperlyConfigured` if STATIC_ROOT is outdated and cannot be written.
    """
    root = Path(settings.STATIC_ROOT)
    digest_file = root / _DIGEST_FILE
    if digest_file.is_file() and digest_file.read_text() == sources_digest():
        return
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{root.name}-", dir=root.parent) as draft:
            _collect(Path(draft))
            _publish(Path(draft), root)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The static files in {root} are missing or outdated, and new ones cannot be written there ({error}). "
            "Run `manage.py collectstatic` as a user who may write there, or set STATIC_ROOT to another folder."
        ) from error


def sources_digest() -> str:
    """Return a digest of all static files and of the libraries that process them."""
    digest = hashlib.sha256(f"{version('django')} {version('whitenoise')}".encode())
    for finder in get_finders():
        for name, storage in finder.list(StaticFilesConfig.ignore_patterns):
            prefix = getattr(storage, "prefix", None) or ""
            content = hashlib.sha256(Path(storage.path(name)).read_bytes()).hexdigest()
            digest.update(f"\n{prefix}/{name} {content}".encode())
    return digest.hexdigest()


def _collect(folder: Path) -> None:
    command = collectstatic.Command()
    command.storage = CollectedStorage(location=folder)
    call_command(command, interactive=False, verbosity=0)


def _publish(draft: Path, root: Path) -> None:
    """Move the files to `root` one by one, the digest last: a gateway that is still running finds its files there.

    The hashed files of the previous version stay, as pages that browsers have open refer to them; older ones go.
    """
    kept = _names_in_manifest(root)
    names = {path.relative_to(draft) for path in draft.rglob("*") if path.is_file()}
    for name in sorted(names, key=lambda name: name.name == _DIGEST_FILE):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).replace(root / name)
    for path in list(root.rglob("*")):
        name = path.relative_to(root)
        if _HASHED.search(path.name) and name not in names and str(name).removesuffix(".gz") not in kept:
            path.unlink(missing_ok=True)


def _names_in_manifest(root: Path) -> set[str]:
    """Return the hashed names in the manifest in `root`, if there is one."""
    manifest = root / CollectedStorage.manifest_name
    return set(json.loads(manifest.read_text())["paths"].values()) if manifest.is_file() else set()
