"""How an instance shares cameras out with others."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from yolostream.errors import ServiceError
from yolostream.service.leases.coordinator import CameraHost, Coordinator
from yolostream.service.leases.folder import FolderStore
from yolostream.service.leases.kubernetes import KubernetesStore
from yolostream.service.leases.store import Store

DURATION_S = 8
"""With looks every two seconds, cameras of an instance that died run elsewhere 8 to 12 s later."""

_KUBERNETES = "kubernetes:"
_GROUP = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INSTANCE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,99}")


@dataclass(frozen=True)
class Sharing:
    """Where the leases are, and who we are."""

    store: Store
    instance: str
    """Our name."""
    duration_s: int = DURATION_S
    """Seconds without a sign after which we are taken for dead."""

    @classmethod
    def of(
        cls, leases: str, *, instance: str | None = None, duration_s: int = DURATION_S
    ) -> Sharing:
        """What the command's options say. Nothing is asked of the store yet.

        Args:
            leases: `kubernetes:NAME`, or a folder.
            instance: our name; by default the host's.
            duration_s: seconds without a sign after which we are taken for dead.

        Raises:
            ServiceError: a name cannot be used, or leases of Kubernetes are wanted elsewhere.
        """
        name = instance or socket.gethostname()
        if not _INSTANCE.fullmatch(name):
            raise ServiceError(
                f"an instance cannot be called {name!r}: use at most 100 letters, digits, '-' and "
                "'.', as in --instance north-1"
            )
        return cls(_store_of(leases), name, duration_s)

    def coordinator(self, host: CameraHost) -> Coordinator:
        """Who looks after the leases of a host."""
        return Coordinator(self.store, self.instance, self.duration_s, host)


def _store_of(leases: str) -> Store:
    if not leases.startswith(_KUBERNETES):
        return FolderStore(Path(leases))
    group = leases.removeprefix(_KUBERNETES)
    if not _GROUP.fullmatch(group):
        raise ServiceError(
            f"leases cannot be called {group!r}: use at most 63 small letters, digits and '-', as "
            "in --leases kubernetes:cameras"
        )
    return KubernetesStore(group)
