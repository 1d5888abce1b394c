"""ASGI types, and the keys that the gateway adds to the scope of a connection."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# The protocol object of the connection.
CONNECTION = "zenzefi.connection"
# The request target, byte for byte as the client sent it.
TARGET = "zenzefi.target"
# The chain of addresses that the upstream gets as `X-Forwarded-For`.
FORWARDED_FOR = "zenzefi.forwarded_for"
# Present if the request is for PROXY_HOST.
ON_PROXY_HOST = "zenzefi.proxy_host"
