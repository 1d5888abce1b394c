"""Settings from the environment, and values that stop the start."""

import importlib
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from zenzefi.testing import DOCUMENTED

ROOT = Path(__file__).parents[2]
Load = Callable[..., dict[str, Any]]
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 50,
    "TOKEN_ENCRYPTION_KEYS": KEY,
    "DATABASE_URL": "postgres://zenzefi@127.0.0.1/zenzefi",
    "ZENZEFI_TARGET_URL": "http://10.0.0.5:61000",
    "ALLOWED_HOSTS": "zenzefi.example",
}
STRIPE = {"PAYMENT_PROVIDER": "stripe", "STRIPE_SECRET_KEY": "sk_live_a", "STRIPE_WEBHOOK_SECRETS": "whsec_a"}
YOOKASSA = {"PAYMENT_PROVIDER": "yookassa", "YOOKASSA_SHOP_ID": "100500", "YOOKASSA_SECRET_KEY": "live_a"}
BOTH = {**YOOKASSA, **STRIPE, "PAYMENT_PROVIDER": "stripe,yookassa"}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads the settings again, from the given environment only."""

    def load(**environment: str) -> dict[str, Any]:
        for name in DOCUMENTED:
            monkeypatch.setenv(name, "")  # so that monkeypatch also restores variables that `.env` sets
            monkeypatch.delenv(name)
        for name, value in {"DATA_DIR": str(tmp_path), "ENV_FILE": os.devnull, **environment}.items():
            monkeypatch.setenv(name, value)
        for name in [name for name in sys.modules if name.startswith("zenzefi.settings")]:
            monkeypatch.delitem(sys.modules, name)
        return vars(importlib.import_module("zenzefi.settings"))

    return load


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "prod"),
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("WORKERS", "-1"),
        ("DEBUG", "maybe"),
        ("RATE_LIMIT_AUTH", "five"),
        ("RATE_LIMIT_API", "100/fortnight"),
        ("RATE_LIMIT_PROXY", "-1/minute"),
        ("TOKEN_PRICE_1H", "0"),
        ("TOKEN_PRICE_24H", "1.005"),
        ("TOKEN_PRICE_30D", "NaN"),
        ("MAX_DEPOSIT", "lots"),
        ("SESSION_TIMEOUT_SECONDS", "1.5"),
        ("UPSTREAM_TIMEOUT", "inf"),
        ("UPSTREAM_CONNECT_TIMEOUT", "0"),
        ("ZENZEFI_TARGET_URL", "upstream:8000"),
        ("ZENZEFI_TARGET_URL", "http://user@upstream"),
        ("BACKEND_URL", "ftp://zenzefi.example"),
        ("PROXY_HOST", "http://proxy.example"),
        ("PROXY_HOST", "proxy.example/"),
        ("PROXY_HOST", "user@proxy.example"),
        ("PROXY_HOST", "proxy.example:0"),
        ("PROXY_HOST", "proxy.example:65536"),
        ("PROXY_HOST", "proxy.example:"),
        ("PROXY_HOST", ".example"),
        ("PROXY_HOST", "*"),
        ("PROXY_HOST", "[::::]"),
        ("PROXY_HOST", "a.example,b.example"),
        ("PROXY_HOST", "127.0.0.1:9000"),  # the host of the site, on another port
        ("PROXY_HOST", "127.0.0.1"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TOKEN_ENCRYPTION_KEYS", "short"),
        ("SECRET_KEY", "short"),
        ("DATABASE_URL", "mysql://root@127.0.0.1/zenzefi"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("COOKIE_SAMESITE", "lax-ish"),
        ("ZENZEFI_CA_FILE", "/nowhere/ca.pem"),
        ("SECRET_KEY_FILE", "/nowhere/key"),
        ("PAYMENT_PROVIDER", "piggybank"),
        ("PAYMENT_PROVIDER", "mock,piggybank"),
        ("PAYMENT_PROVIDER", "mock,mock"),
        ("PAYMENT_CURRENCY", "EURO"),
        ("PAYMENT_CURRENCY", "eur"),
        ("PAYMENT_CURRENCY", "ZNC"),
        ("PAYMENT_CURRENCY", "KWD"),
        ("ZNC_PRICE", "0"),
        ("ZNC_PRICE", "-1"),
        ("ZNC_PRICE", "NaN"),
        ("ZNC_PRICE", "0.0000001"),
        ("ZNC_PRICE", "1,50"),
        ("STRIPE_SECRET_KEY", "pk_live_publishable"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_new,we_old"),
        ("YOOKASSA_SHOP_ID", "my shop"),
        ("YOOKASSA_SECRET_KEY", "secret"),
    ],
)
def test_a_wrong_value_stops_the_start_and_is_named(load: Load, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        load(**{name: value})


def test_the_command_line_prints_one_sentence(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(tmp_path), "PORT": "eighty"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.returncode == 1
    assert outcome.stderr == (
        "Zenzefi cannot start: PORT='eighty' cannot be used: it must be a whole number from 1 to 65535.\n"
    )


def test_production_starts_with_what_it_needs(load: Load, tmp_path: Path) -> None:
    settings = load(**PRODUCTION)

    assert (settings["ENVIRONMENT"], settings["PAYMENT_PROVIDERS"], settings["DEMO_UPSTREAM"]) == (
        "production",
        (),
        False,
    )
    assert settings["SESSION_COOKIE_SECURE"] is settings["CSRF_COOKIE_SECURE"] is True
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"DEBUG": "true"}, "DEBUG"),
        ({"SECRET_KEY": ""}, "SECRET_KEY"),
        ({"SECRET_KEY": "k" * 49}, "SECRET_KEY"),
        ({"TOKEN_ENCRYPTION_KEYS": ""}, "TOKEN_ENCRYPTION_KEYS"),
        ({"PAYMENT_PROVIDER": "mock"}, "mock"),  # case B27
        ({**STRIPE, "STRIPE_SECRET_KEY": "sk_test_a"}, "test keys"),
        ({**YOOKASSA, "YOOKASSA_SECRET_KEY": "test_a"}, "test keys"),
        ({**YOOKASSA, "STRIPE_SECRET_KEY": "sk_test_a"}, "test keys"),
        ({"DATABASE_URL": ""}, "SQLite"),
        ({"DATABASE_URL": "sqlite:////tmp/zenzefi.sqlite3"}, "SQLite"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"ALLOWED_HOSTS": "zenzefi.example,*"}, "ALLOWED_HOSTS"),
        ({"ZENZEFI_TARGET_URL": ""}, "ZENZEFI_TARGET_URL"),
    ],
)
def test_production_rejects(load: Load, change: dict[str, str], named: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=named):
        load(**{**PRODUCTION, **change})


@pytest.mark.parametrize("environment", [STRIPE, YOOKASSA, BOTH])
def test_a_provider_needs_its_keys(load: Load, environment: dict[str, str]) -> None:
    names = environment["PAYMENT_PROVIDER"].split(",")
    assert load(**PRODUCTION, **environment)["PAYMENT_PROVIDERS"] == tuple(names)
    for missing in environment.keys() - {"PAYMENT_PROVIDER"}:
        with pytest.raises(ImproperlyConfigured, match=f"needs {missing}"):
            load(**{**PRODUCTION, **environment, missing: ""})


@pytest.mark.parametrize(
    "environment",
    [
        {**BOTH, "STRIPE_SECRET_KEY": "rk_test_a"},
        {**BOTH, "YOOKASSA_SECRET_KEY": "test_a"},
        {**STRIPE, "PAYMENT_PROVIDER": "stripe,mock"},
    ],
)
def test_real_and_test_payments_are_not_offered_together(load: Load, environment: dict[str, str]) -> None:
    with pytest.raises(ImproperlyConfigured, match="real and test payments"):
        load(**environment)


def test_test_keys_and_the_mock_go_together_in_the_demo(load: Load) -> None:
    tests = {"STRIPE_SECRET_KEY": "sk_test_a", "YOOKASSA_SECRET_KEY": "test_a"}
    names = "mock,stripe,yookassa"
    assert load(**{**BOTH, **tests, "PAYMENT_PROVIDER": names})["PAYMENT_PROVIDERS"] == tuple(names.split(","))


def test_the_keys_of_providers_may_come_from_files(load: Load, tmp_path: Path) -> None:
    given = {"STRIPE_WEBHOOK_SECRETS": "whsec_new, whsec_old\n"}
    for name, value in {**BOTH, **given}.items():
        (tmp_path / name).write_text(value)
    settings = load(**{f"{name}_FILE": str(tmp_path / name) for name in BOTH})

    assert settings["PAYMENT_PROVIDERS"] == ("stripe", "yookassa")
    assert settings["STRIPE_WEBHOOK_SECRETS"] == ["whsec_new", "whsec_old"]
    assert (settings["YOOKASSA_SHOP_ID"], settings["YOOKASSA_SECRET_KEY"]) == ("100500", "live_a")


@pytest.mark.parametrize(
    "name", ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS", "YOOKASSA_SHOP_ID", "YOOKASSA_SECRET_KEY"]
)
def test_a_wrong_secret_is_not_shown(load: Load, name: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        load(**{name: "misplaced password"})
    assert "misplaced" not in str(error.value)


@pytest.mark.parametrize(
    ("backend", "given", "host", "allowed"),
    [
        ("https://zenzefi.example", "Proxy.Example:443", "proxy.example", "proxy.example"),
        ("https://zenzefi.example", "proxy.example:80", "proxy.example:80", "proxy.example"),
        ("http://127.0.0.1:8000", "proxy.localhost:8000", "proxy.localhost:8000", "proxy.localhost"),
        ("http://127.0.0.1:8000", "localhost:80", "localhost", "localhost"),
        ("http://127.0.0.1:8000", "[::1]:8000", "[::1]:8000", "[::1]"),
    ],
)
def test_the_upstreams_own_host(load: Load, backend: str, given: str, host: str, allowed: str) -> None:
    settings = load(BACKEND_URL=backend, PROXY_HOST=given, ALLOWED_HOSTS="zenzefi.example")
    assert (settings["PROXY_HOST"], settings["ALLOWED_HOSTS"]) == (host, ["zenzefi.example", allowed])
    assert settings["CSRF_TRUSTED_ORIGINS"] == [backend]


def test_there_is_none_by_default(load: Load) -> None:
    assert load()["PROXY_HOST"] == ""
    assert load(ALLOWED_HOSTS="zenzefi.example")["ALLOWED_HOSTS"] == ["zenzefi.example"]


def test_several_workers_need_redis(load: Load) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL"):
        load(WORKERS="2")


def test_secrets_are_generated_once_and_private(load: Load, tmp_path: Path) -> None:
    first, second = load(), load()

    assert len(first["SECRET_KEY"]) >= 64
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert first["TOKEN_ENCRYPTION_KEYS"] == second["TOKEN_ENCRYPTION_KEYS"]
    for name in ("secret_key", "token_encryption_key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_secret_may_come_from_a_file(load: Load, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("f" * 60 + "\n")

    assert load(SECRET_KEY_FILE=str(key))["SECRET_KEY"] == "f" * 60


def test_dotenv_is_read_and_the_environment_wins(load: Load, tmp_path: Path) -> None:
    dotenv = tmp_path / "dotenv"
    dotenv.write_text("PORT=9100\nMAX_DEPOSIT=50\n")

    settings = load(ENV_FILE=str(dotenv), PORT="9200")

    assert (settings["PORT"], settings["MAX_DEPOSIT"]) == (9200, 50)


@pytest.mark.parametrize(
    ("given", "shown", "expected"),
    [
        (
            {"POSTGRES_SERVER": "db", "POSTGRES_PASSWORD": "p@ss/word", "POSTGRES_DB": "shop"},
            "DATABASE_URL",
            "postgres://postgres:p%40ss%2Fword@db:5432/shop",
        ),
        ({"POSTGRES_SERVER": "db", "DATABASE_URL": "postgres://other/x"}, "DATABASE_URL", "postgres://other/x"),
        ({"REDIS_HOST": "cache", "REDIS_PASSWORD": "s3"}, "REDIS_URL", "redis://:s3@cache:6379/0"),
        ({"REDIS_HOST": "cache", "REDIS_PORT": "7000", "REDIS_DB": "2"}, "REDIS_URL", "redis://cache:7000/2"),
        ({"RATE_LIMIT_API": ""}, "RATE_LIMIT_API", ""),
        ({"PORT": "9000"}, "BACKEND_URL", "http://127.0.0.1:9000"),
        ({"ZENZEFI_TARGET_URL": "http://up:1/"}, "ZENZEFI_TARGET_URL", "http://up:1"),
        ({"ZENZEFI_TARGET_URL": "http://up:1/"}, "DEMO_UPSTREAM", False),
        ({}, "DEMO_UPSTREAM", True),
    ],
)
def test_values_are_built_from_their_parts(load: Load, given: dict[str, str], shown: str, expected: object) -> None:
    assert load(**given)[shown] == expected


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    sources = [*(ROOT / "zenzefi/settings").glob("*.py"), ROOT / "zenzefi/management/commands/serve.py"]
    code = "".join(path.read_text() for path in sources)
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z][A-Z0-9_]+)"', code))
    for prefix, host in (("POSTGRES", "SERVER"), ("REDIS", "HOST")):
        if f'"{prefix}"' in code:
            read |= {f"{prefix}_{part}" for part in (host, "PORT", "USER", "PASSWORD", "DB")}

    assert read - {"REDIS_USER"} == DOCUMENTED
