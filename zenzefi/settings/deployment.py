"""Environment, addresses, hosts and folders of a deployment."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from zenzefi import env

# Allows generic types such as `ModelAdmin[User]` at run time.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parents[2]
env.load_dotenv(BASE_DIR / os.environ.get("ENV_FILE", ".env"))

ENVIRONMENT = env.choice("ENVIRONMENT", "demo", ("demo", "production"))
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.boolean("DEBUG", default=False)
DATA_DIR = Path(env.text("DATA_DIR") or BASE_DIR / "var").resolve()

HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8000, low=1, high=65_535)
WORKERS = env.integer("WORKERS", 1, low=1, high=64)
BACKEND_URL = env.url("BACKEND_URL", f"http://127.0.0.1:{PORT}")
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS",
    ",".join({"localhost", "127.0.0.1", "[::1]", urlsplit(BACKEND_URL).hostname or "localhost"}),
)
_backend = urlsplit(BACKEND_URL)
PROXY_HOST = env.host("PROXY_HOST", scheme=_backend.scheme)
if PROXY_HOST:
    _proxy_name = urlsplit(f"//{PROXY_HOST}").hostname
    if _proxy_name == _backend.hostname:
        raise ImproperlyConfigured(
            f"PROXY_HOST={PROXY_HOST!r} is the host of BACKEND_URL. Give the upstream another host name, or leave "
            "PROXY_HOST empty. Another port is not enough: browsers share cookies between the ports of a host."
        )
    ALLOWED_HOSTS.append(f"[{_proxy_name}]" if ":" in f"{_proxy_name}" else f"{_proxy_name}")
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
