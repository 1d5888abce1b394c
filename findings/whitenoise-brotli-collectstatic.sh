#!/usr/bin/env bash
# Finding: installing the package brotli makes collectstatic many times slower, although no setting changes.
#
# Guess:     WhiteNoise's CompressedManifestStaticFilesStorage compresses with gzip; a Brotli library in the same
#            environment (for another purpose, such as decoding HTTP responses) changes nothing until a setting asks
#            for it, and if it did, the time would perhaps double.
# Happens:   WhiteNoise compresses each file with Brotli as well as soon as `import brotli` works, at the highest
#            quality. With the assets of Django's admin and of drf-spectacular-sidecar (Swagger UI and Redoc, 9 MB)
#            collectstatic took 3.0 s without brotli and 62 s with it on a 2-core machine (20 times).
# Follows:   A program that collects its files when it starts must not inherit this from a dependency: pass
#            use_brotli=False to the compressor, or collect while the image is built.
# Versions:  Django 5.2.19, whitenoise 6.12.0, brotli 1.2.0, drf-spectacular-sidecar 2026.10.1, Python 3.11
# Source:    whitenoise/compress.py (Compressor: use_brotli defaults to True if the import works)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install django==5.2.19 whitenoise==6.12.0 drf-spectacular-sidecar==2026.10.1

cat > "$folder/collect.py" <<'PYTHON'
import pathlib
import tempfile
import time

import django
from django.conf import settings
from django.core.management import call_command

root = tempfile.mkdtemp()
settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.staticfiles",
        "drf_spectacular_sidecar",
    ],
    STATIC_URL="/static/",
    STATIC_ROOT=root,
    STORAGES={"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}},
)
django.setup()
began = time.process_time()
call_command("collectstatic", interactive=False, verbosity=0)
print(f"{time.process_time() - began:.1f} {len(list(pathlib.Path(root).rglob('*.br')))}")
PYTHON

read -r without files_without < <("$folder/venv/bin/python" "$folder/collect.py")
pip install brotli==1.2.0
read -r with files_with < <("$folder/venv/bin/python" "$folder/collect.py")
"$folder/venv/bin/python" -m pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(django|whitenoise|brotli|drf-spectacular-sidecar) '
echo "without brotli: $without s of CPU time, $files_without .br files"
echo "with brotli:    $with s of CPU time, $files_with .br files"
"$folder/venv/bin/python" - "$without" "$with" "$files_without" "$files_with" <<'PYTHON'
import sys

without, with_brotli, files_without, files_with = map(float, sys.argv[1:])
sys.exit(0 if files_without == 0 and files_with > 0 and with_brotli > 5 * without else "The behaviour has changed.")
PYTHON
