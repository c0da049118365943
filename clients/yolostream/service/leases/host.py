"""Interface between the coordinator of the leases and the service that runs the cameras."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, Protocol

from yolostream.service.leases.lease import Lease, Owner

PreviousLease = Literal["none", "released", "expired"]
"""What became of the lease before: there was none, its holder released it, or its holder died."""


class CameraHost(Protocol):
    """Runs the cameras whose leases this instance holds."""

    def enabled_cameras(self) -> Collection[str]:
        """Names of all cameras that should run on some instance."""

    def extend(self, session: str, until_s: float) -> None:
        """Make leases of this session valid until `until_s`, and those of others invalid."""

    def acquire(self, camera: str, lease: Lease, previous: PreviousLease | None = None) -> None:
        """Run a camera, unless it already runs with this lease or is not enabled any more.

        Args:
            camera: name of the camera.
            lease: lease of this instance.
            previous: what became of the lease before; None if this one was acquired earlier.
        """

    def release(self, camera: str) -> None:
        """Begin to stop a camera if it runs here."""

    def is_stopped(self, camera: str) -> bool:
        """Whether the camera does not run here and its outputs are closed."""

    def lose_leases(self, reason: str) -> None:
        """Stop all cameras: their leases have expired."""

    def note_owners(self, owners: Mapping[str, Owner]) -> None:
        """Update which cameras run on other instances."""
