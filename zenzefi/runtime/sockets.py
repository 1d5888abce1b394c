"""Listening sockets of the main command, for one worker or several."""

import socket
import sys

BACKLOG = 2048


class PortTaken(Exception):
    """Somebody else listens there already."""


def bind(host: str, port: int, setting: str = "PORT", *, shared: bool = False) -> socket.socket:
    """A socket that has the port, taken before anything else is done. Raises `PortTaken`, which names the setting.

    It does not listen yet: until the server serves, a balancer is refused at once instead of made to wait.
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
        raise port_taken(host, port, setting, error) from error
    bound.setblocking(False)
    return bound


def bind_for_workers(host: str, port: int, count: int) -> list[socket.socket]:
    """A socket for each worker, between which the kernel shares out what connects; see `bind`.

    One for all where the kernel cannot: of several processes that accept from one socket, whoever wakes first takes
    all that connect at once, and one worker has all the work.
    """
    unshared = bind(host, port)
    if count == 1 or sys.platform != "linux":
        return [unshared]
    unshared.close()  # nobody else listens there
    _claim(host, port)
    return [bind(host, port, shared=True) for _ in range(count)]


def _claim(host: str, port: int) -> None:
    """Refuse another gateway of the same user, whom the kernel lets have a shared port, until this process ends."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0zenzefi {host}:{port}")
    except OSError as error:
        claim.close()
        raise port_taken(host, port, "PORT", error) from error
    claim.detach()


def listen(host: str, port: int, setting: str = "PORT") -> socket.socket:
    """The same, and it listens."""
    listener = bind(host, port, setting)
    listener.listen(BACKLOG)
    return listener


def port_taken(host: str, port: int, setting: str, error: OSError) -> PortTaken:
    reason = (error.strerror or str(error)).lower()
    return PortTaken(f"Port {port} on {host} is not to be had ({reason}): free it, or set {setting}.")
