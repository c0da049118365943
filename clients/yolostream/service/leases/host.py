"""What the coordinator of the leases needs of the service that runs the cameras."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from yolostream.service.leases.lease import Lease, Owner


class CameraHost(Protocol):
    """Runs the cameras whose leases this instance holds."""

    def enabled_cameras(self) -> Collection[str]:
        """Names of all cameras that should run on some instance."""

    def extend(self, session: str, until_s: float) -> None:
        """Make leases of this session valid until `until_s`, and those of others invalid."""

    def acquire(self, camera: str, lease: Lease) -> None:
        """Run a camera, unless it already runs with this lease or is not enabled any more."""

    def release(self, camera: str) -> None:
        """Begin to stop a camera, if it runs here."""

    def is_stopped(self, camera: str) -> bool:
        """Whether the camera does not run here and its outputs are closed."""

    def lose_leases(self, reason: str) -> None:
        """Stop all cameras: their leases have expired."""

    def note_owners(self, owners: Mapping[str, Owner]) -> None:
        """Update which cameras run on other instances."""
