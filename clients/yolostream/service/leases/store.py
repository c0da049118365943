"""Where leases are kept, for all instances to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from yolostream.errors import ServiceError

Kind = Literal["camera", "member"]


class StoreAway(ServiceError):
    """The store does not answer, or does not do what was asked; it may later."""


class Conflict(Exception):
    """Somebody else changed a record since it was read, or deleted it."""


@dataclass(frozen=True)
class Record:
    """What all instances know of a camera, or of one of them."""

    kind: Kind
    name: str
    """Of the camera; of a member, its session."""
    holder: str = ""
    """The session that runs the camera; empty where nobody does. Of a member, itself."""
    number: int = 0
    """How many holders the camera has had. It never falls."""
    duration_s: int = 1
    """Of a member: one whose record stays as it is for so long is gone."""
    cameras: str = ""
    """Of a member: digest of the cameras that it knows."""
    version: str = field(default="", compare=False)
    """Another one after each change; empty where it was not stored."""


class Store(Protocol):
    """Keeps records, and lets one of two win who change the same. Any thread may use it."""

    def records(self, timeout_s: float) -> Mapping[tuple[Kind, str], Record]:
        """All of them. A member that wrote a camera is there, unless it was deleted since.

        Raises:
            StoreAway: they cannot be read in time.
        """

    def write(self, record: Record, timeout_s: float) -> Record:
        """Create a record whose version is empty, or replace the version that it has.

        Returns:
            It, with its new version.

        Raises:
            Conflict: that is not its version any more; also where it was, and another one came at
                once.
            StoreAway: it is not known whether it was written.
        """

    def delete(self, record: Record, timeout_s: float) -> None:
        """Delete a member, if this is still its version.

        Raises:
            Conflict: it is not.
            StoreAway: it is not known whether it was deleted.
        """
