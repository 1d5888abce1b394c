"""Database, cache, and the store of rate limits."""

from typing import Any

from zenzefi import env, problems
from zenzefi.common import postgresql
from zenzefi.settings.deployment import DATA_DIR, PRODUCTION, WORKERS

DATABASE_URL = env.service_url("DATABASE_URL", "postgres", "POSTGRES", user="postgres", port=5432)
# Authorities for a rediss:// server whose certificate is not signed by a public one.
REDIS_CA_FILE = env.authorities("REDIS_CA_FILE")
_redis = env.redis("REDIS_URL", "REDIS", ca_file=REDIS_CA_FILE)
REDIS_URL = _redis.client if _redis else ""

DATABASES: dict[str, dict[str, Any]] = {
    "default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'zenzefi.sqlite3'}")
}
SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
DATABASES["default"]["CONN_MAX_AGE"] = 0
if SQLITE:
    if not PRODUCTION:
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
    DATABASES["default"]["ENGINE"] = "zenzefi.common.postgresql"
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
RATE_LIMIT_STORAGE = _redis.limits if _redis else "memory://"
BROKER_URL = _redis.broker if _redis else "memory://localhost/"

if WORKERS > 1 and not REDIS_URL and env.is_usable("REDIS_URL"):
    problems.add(
        f"WORKERS={WORKERS} needs REDIS_URL. Without Redis the workers cannot share devices and rate limits."
    )
