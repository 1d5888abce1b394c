"""Database, cache, and the store of rate limits."""

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from zenzefi import env
from zenzefi.common import postgresql
from zenzefi.settings.deployment import DATA_DIR, WORKERS

DATABASE_URL = env.service_url("DATABASE_URL", "postgres", "POSTGRES", user="postgres", port=5432)
REDIS_URL = env.service_url("REDIS_URL", "redis", "REDIS", user="", port=6379)

DATABASES: dict[str, dict[str, Any]] = {
    "default": environ.Env.db_url_config(DATABASE_URL or f"sqlite:///{DATA_DIR / 'zenzefi.sqlite3'}")
}
SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
DATABASES["default"]["CONN_MAX_AGE"] = 0
if SQLITE:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 30,  # seconds to wait for the write lock
        "transaction_mode": "IMMEDIATE",  # writers wait for the lock when their transaction begins
        # INSERT OR REPLACE deletes rows; the append-only triggers notice it only if triggers are recursive.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA recursive_triggers=ON;",
    }
    # A file: the threads of a live server cannot share a database in memory.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    DATABASES["default"]["OPTIONS"] = {
        "pool": {
            "connection_class": postgresql.Connection,
            "min_size": 1,
            "max_size": 16,
            "timeout": 2,  # seconds to wait for a connection
            "max_waiting": 256,
            # Seconds. The pool doubles its pauses; after this time the next request makes it try again.
            "reconnect_timeout": 1,
        },
        "connect_timeout": 2,
        # A host that vanishes is noticed within five to ten seconds.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": 5000,
        # The server releases the locks of a client that vanished within a transaction: it checks the connection every
        # two seconds during a query, and waits at most eight seconds, the time of a request, for the next query. The
        # time zone is set here because Django would need another query to set it on each new connection.
        "options": "-c client_connection_check_interval=2s -c idle_in_transaction_session_timeout=8s -c timezone=UTC",
        **DATABASES["default"].get("OPTIONS", {}),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "zenzefi",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1},
    }
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
RATE_LIMIT_STORAGE = REDIS_URL or "memory://"

if WORKERS > 1 and not REDIS_URL:
    raise ImproperlyConfigured(
        f"WORKERS={WORKERS} needs REDIS_URL. Without Redis the workers cannot share devices and rate limits."
    )
