"""Options of an instance that shares cameras with others."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from yolostream.errors import ServiceError
from yolostream.service.leases.coordinator import Coordinator
from yolostream.service.leases.folder import FolderStore
from yolostream.service.leases.host import CameraHost
from yolostream.service.leases.kubernetes import KubernetesStore
from yolostream.service.leases.store import Store

DURATION_S = 8
"""Default of `--lease-seconds`: cameras of a dead instance run elsewhere after about 10 s."""

_KUBERNETES = "kubernetes"
_GROUP = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INSTANCE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,99}")


@dataclass(frozen=True)
class Sharing:
    """Where the leases are stored, and the name of this instance."""

    store: Store
    instance: str
    """Name of this instance."""
    duration_s: int = DURATION_S
    """Seconds after which this instance is considered dead if it does not renew its session."""

    @classmethod
    def of(
        cls, leases: str, *, instance: str | None = None, duration_s: int = DURATION_S
    ) -> Sharing:
        """Check the options of the command. The store is not contacted yet.

        Args:
            leases: `kubernetes:NAME`, or a folder.
            instance: name of this instance; by default the host name.
            duration_s: see the attribute.

        Raises:
            ServiceError: a name is not valid, there is no such folder, or `kubernetes:` is used
                outside of a pod.
        """
        name = socket.gethostname() if instance is None else instance
        if not _INSTANCE.fullmatch(name):
            raise ServiceError(
                f"{name!r} is not a valid name of an instance: use at most 100 letters, digits, "
                "'-' and '.', as in --instance north-1"
            )
        return cls(_store_of(leases), name, duration_s)

    def coordinator(self, host: CameraHost) -> Coordinator:
        """A coordinator of the cameras that `host` runs."""
        return Coordinator(self.store, self.instance, self.duration_s, host)


def _store_of(leases: str) -> Store:
    if not leases:
        raise ServiceError("--leases is empty: use a folder, or --leases kubernetes:cameras")
    scheme, _, group = leases.partition(":")
    # `kubernetes` without a name is not a folder: each pod would have its own, and run all cameras.
    if scheme.lower() != _KUBERNETES:
        folder = Path(leases)
        # It is not created: an instance with a misspelt folder would run all cameras, too.
        if not folder.is_dir():
            raise ServiceError(
                f"there is no folder {folder} for --leases: create it once for all instances, or "
                "correct its name"
            )
        return FolderStore(folder)
    if not _GROUP.fullmatch(group):
        raise ServiceError(
            f"{group!r} is not a valid name for leases: use at most 63 lower-case letters, digits "
            "and '-', as in --leases kubernetes:cameras"
        )
    return KubernetesStore(group)
