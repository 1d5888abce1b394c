"""Listening sockets of the main command, for one worker or several."""

import errno
import socket
import sys

BACKLOG = 2048


class PortUnavailable(Exception):
    """A port that cannot be opened; the text tells the operator what to do."""


def bind(host: str, port: int, setting: str = "PORT", *, shared: bool = False) -> socket.socket:
    """Return a socket bound to the port. Raise `PortUnavailable`, which names the setting.

    The socket does not listen yet: until the server is ready, the kernel refuses connections at once, so that a load
    balancer does not wait.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise port_unavailable(host, port, setting, error) from error
    bound.setblocking(False)
    return bound


def bind_for_workers(host: str, port: int, count: int) -> list[socket.socket]:
    """Return one socket per worker, among which the kernel distributes new connections; see `bind`.

    Return a single socket on systems other than Linux, which do not distribute. If several processes accept from one
    socket, the first that wakes takes all connections of a burst, and one worker has all the work.
    """
    unshared = bind(host, port)
    if count == 1 or sys.platform != "linux":
        return [unshared]
    unshared.close()  # it has shown that no other program uses the port
    _lock_port(host, port)
    return [bind(host, port, shared=True) for _ in range(count)]


def _lock_port(host: str, port: int) -> None:
    """Keep other gateways of the same user off the port until this process ends.

    With SO_REUSEPORT the kernel would let them share it.
    """
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0zenzefi {host}:{port}")
    except OSError as error:
        lock.close()
        raise port_unavailable(host, port, "PORT", error) from error
    lock.detach()


def listen(host: str, port: int, setting: str = "PORT") -> socket.socket:
    """Return a socket that listens on the port; see `bind`."""
    listener = bind(host, port, setting)
    listener.listen(BACKLOG)
    return listener


def port_unavailable(host: str, port: int, setting: str, error: OSError) -> PortUnavailable:
    """Return the exception for an error of `bind` or `listen`."""
    if error.errno == errno.EADDRINUSE:
        return PortUnavailable(f"Port {port} on {host} is already in use. Stop the other program or set {setting}.")
    reason = error.strerror or str(error)
    settings = "HOST and PORT" if setting == "PORT" else setting
    return PortUnavailable(f"Port {port} on {host} cannot be opened: {reason}. Check {settings}.")
