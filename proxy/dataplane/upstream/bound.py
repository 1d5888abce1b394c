"""Idle connections that the upstream has authenticated, or begun to, each for one client."""

from collections.abc import Iterator

from proxy.dataplane.rules.authentication import Handshake
from proxy.dataplane.upstream.http1 import Client, Connection


class BoundConnections:
    """Connections by the client that alone may use them."""

    def __init__(self) -> None:
        self._idle: dict[Client | None, list[Connection]] = {}

    def __bool__(self) -> bool:
        return bool(self._idle)

    def __iter__(self) -> Iterator[Connection]:
        for connections in self._idle.values():
            yield from connections

    def take(self, client: Client, handshake: Handshake) -> Connection | None:
        """Return a connection of this client, or None.

        A half authenticated one waits for the next message of its handshake. Several of them, behind a proxy that
        mixes the client's own connections, are taken in the order in which they began.
        """
        idle = [each for each in self._idle.get(client, ()) if not each.transport.is_closing()]
        half = [each for each in idle if each.expects_next]
        whole = [each for each in reversed(idle) if not each.expects_next]
        chosen = next(iter(half if half and handshake is Handshake.CONTINUES else whole), None)
        if chosen is not None:
            self.discard(chosen)
        return chosen

    def keep(self, connection: Connection) -> None:
        """Keep an idle connection for the client of its last request."""
        self._idle.setdefault(connection.client, []).append(connection)

    def discard(self, connection: Connection) -> bool:
        """Remove a connection, and return whether it was kept."""
        connections = self._idle.get(connection.client, [])
        if connection not in connections:
            return False
        connections.remove(connection)
        if not connections:
            del self._idle[connection.client]
        return True

    def has(self, client: Client) -> bool:
        """Return whether the client has idle connections."""
        return client in self._idle

    def close(self, client: Client) -> None:
        """Close the idle connections of a client that left."""
        for connection in self._idle.pop(client, ()):
            connection.transport.close()
