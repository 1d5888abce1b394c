"""Upstream, data plane, and the limits of both planes."""

from zenzefi import env
from zenzefi.settings.deployment import PRODUCTION

RATE_LIMIT_AUTH = env.rate("RATE_LIMIT_AUTH", "5/hour")
RATE_LIMIT_API = env.rate("RATE_LIMIT_API", "100/minute")
RATE_LIMIT_PROXY = env.rate("RATE_LIMIT_PROXY", "6000/minute")
MAX_CONNECTIONS_PER_TOKEN = env.integer("MAX_CONNECTIONS_PER_TOKEN", 256, low=1, high=100_000)
DEVICE_RESETS_PER_DAY = env.integer("DEVICE_RESETS_PER_DAY", 3, low=0, high=1000)

DEMO_UPSTREAM_PORT = env.integer("DEMO_UPSTREAM_PORT", 8001, low=1, high=65_535)
_target = env.url("ZENZEFI_TARGET_URL")
DEMO_UPSTREAM = not _target and not PRODUCTION
ZENZEFI_TARGET_URL = _target or (f"http://127.0.0.1:{DEMO_UPSTREAM_PORT}" if DEMO_UPSTREAM else "")
ZENZEFI_VERIFY_TLS = env.boolean("ZENZEFI_VERIFY_TLS", default=True)
ZENZEFI_CA_FILE = env.authorities("ZENZEFI_CA_FILE")
ZENZEFI_CLIENT_CERT = env.client_certificate("ZENZEFI_CLIENT_CERT", key_name="ZENZEFI_CLIENT_KEY")
ZENZEFI_CLIENT_KEY = env.existing_file("ZENZEFI_CLIENT_KEY")
UPSTREAM_CONNECT_TIMEOUT = env.seconds("UPSTREAM_CONNECT_TIMEOUT", 5)
UPSTREAM_TIMEOUT = env.seconds("UPSTREAM_TIMEOUT", 60)
MAX_HEADER_BYTES = env.integer("MAX_HEADER_BYTES", 32 * 1024, low=4096, high=2**20)
HEADER_TIMEOUT_SECONDS = env.seconds("HEADER_TIMEOUT_SECONDS", 10)
CLIENT_BODY_TIMEOUT = env.seconds("CLIENT_BODY_TIMEOUT", 30)
SESSION_TIMEOUT_SECONDS = env.integer("SESSION_TIMEOUT_SECONDS", 300, low=1, high=86_400)
WEBSOCKET_MAX_MESSAGE_BYTES = env.integer("WEBSOCKET_MAX_MESSAGE_BYTES", 16 * 2**20, low=1024, high=2**30)
DRAIN_DELAY = env.integer("DRAIN_DELAY", 5 if PRODUCTION else 0, low=0, high=600)
DRAIN_SECONDS = env.integer("DRAIN_SECONDS", 25, low=0, high=3600)
MAINTENANCE = env.boolean("MAINTENANCE", default=False)
COOKIE_SECURE = env.boolean("COOKIE_SECURE", default=PRODUCTION)
COOKIE_SAMESITE = env.choice("COOKIE_SAMESITE", "Lax", ("Strict", "Lax", "None"))
