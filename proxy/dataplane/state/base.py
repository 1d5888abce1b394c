"""What the workers of a gateway must agree on."""

from typing import Protocol
from uuid import UUID


class State(Protocol):
    """Device leases and rate permits. Every method may raise `StateUnavailable`."""

    async def acquire_lease(self, token_id: UUID, device: str, seconds: float) -> bool:
        """Take or renew the token's lease for a device; False while another device holds it. Atomic."""

    async def lease_holder(self, token_id: UUID) -> str | None:
        """The device that holds the token now."""

    async def release_lease(self, token_id: UUID) -> None:
        """Free the token for any device."""

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        """Take `count` permits of the user's moving window; False, taking none, where fewer are left."""

    async def seconds_until_permit(self, user_id: UUID) -> int:
        """Whole seconds until the window has a permit again, at least 1."""


class StateUnavailable(Exception):
    """The state store cannot be reached."""
