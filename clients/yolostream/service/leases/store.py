"""The store of leases that all instances share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from yolostream.errors import ServiceError

Kind = Literal["camera", "member"]


class StoreUnavailable(ServiceError):
    """The store does not answer, or answers with an error. A later request may succeed."""


class Conflict(Exception):
    """The record was changed or deleted by another instance since it was read."""


@dataclass(frozen=True)
class Record:
    """A lease of a camera, or the session of an instance (a member)."""

    kind: Kind
    name: str
    """Name of the camera; for a member, its session."""
    holder: str = ""
    """Session that holds the camera; empty if it is free. For a member, its session; empty if the
    instance has stopped and released all its leases."""
    number: int = 0
    """Number of holders that the camera has had: the fencing number. It never decreases."""
    duration_s: int = 1
    """Seconds without a change after which a member counts as dead."""
    cameras: str = ""
    """Digest of the names of a member's enabled cameras."""
    version: str = field(default="", compare=False)
    """Version in the store, which changes with each write; empty before the first write."""


class Store(Protocol):
    """Stores records with compare-and-set. It may be used from any thread."""

    def records(self, timeout_s: float) -> Mapping[tuple[Kind, str], Record]:
        """All records. The member that holds a camera is included unless it was deleted.

        Raises:
            StoreUnavailable: they cannot be read within the timeout.
        """

    def write(self, record: Record, timeout_s: float) -> Record:
        """Create the record if its version is empty, or replace that version.

        Returns:
            The record with its new version.

        Raises:
            Conflict: the stored version is another one. It may also be raised if the write
                succeeded and another one followed at once.
            StoreUnavailable: the store failed; the record may have been written.
        """

    def delete(self, record: Record, timeout_s: float) -> None:
        """Delete a member if its version is still the same.

        Raises:
            Conflict: the stored version is another one.
            StoreUnavailable: the store failed; the member may have been deleted.
        """
