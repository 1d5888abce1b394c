"""Connections in one state, of which a worker keeps a limited number."""

from typing import Protocol


class Retirable(Protocol):
    """A connection that can be closed to make room for another."""

    def retire(self) -> None: ...


class ConnectionQueue:
    """The connections in one state, in the order in which they entered it; the oldest are closed above `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: dict[Retirable, None] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Retirable) -> None:
        """Add a connection that has entered the state."""
        self._connections[connection] = None
        if len(self._connections) > self._most:
            oldest = next(iter(self._connections))
            del self._connections[oldest]
            oldest.retire()

    def discard(self, connection: Retirable) -> None:
        """Remove a connection that has left the state, if it is there."""
        self._connections.pop(connection, None)
