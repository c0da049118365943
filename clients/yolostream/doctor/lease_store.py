"""Checks the store of leases that several instances of `yolostream run` share."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from yolostream.doctor.check import Check, Problem, Verdict, bad
from yolostream.errors import ServiceError
from yolostream.extras import needed

if TYPE_CHECKING:
    from yolostream.service.leases.kubernetes import KubernetesStore

TIMEOUT_S = 5.0
"""Timeout of a request to the store."""
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs")
"""File systems whose clients see changes late: two instances could run the same camera."""

_PART = "leases"
_MOUNTS = Path("/proc/self/mountinfo")


def check(where: str) -> Check:
    """Check whether instances can share their cameras in a store.

    In a folder, a temporary file is created and removed. In Kubernetes, nothing is written.

    Args:
        where: `kubernetes:NAME` or a folder, as for `yolostream run --leases`.

    Raises:
        PackageMissing: the packages of `yolostream run` are not installed.
    """
    with needed("service", "'yolostream doctor --leases'"):
        from yolostream.service.leases.kubernetes import KubernetesStore
        from yolostream.service.leases.sharing import Sharing
    try:
        store = Sharing.of(where).store
        if isinstance(store, KubernetesStore):
            return kubernetes(store, where)
        store.records(TIMEOUT_S)
        return folder(Path(where))
    except ServiceError as error:
        return _failed(error)


def kubernetes(store: KubernetesStore, name: str) -> Check:
    """Check the API server of Kubernetes, and the rights of the service account.

    Args:
        store: store of the leases.
        name: `kubernetes:NAME`.
    """
    try:
        if denied := store.denied_verbs(TIMEOUT_S):
            what = f"the service account may not {', '.join(denied)} leases of {name}"
            fix = "give it a role with these verbs on leases of coordination.k8s.io"
            return bad(Problem(_PART, what, fix))
        found = len(store.records(TIMEOUT_S))
    except ServiceError as error:
        return _failed(error)
    return Check(_PART, Verdict.good, f"{name} can be read and written; leases: {found}")


def folder(path: Path) -> Check:
    """Check that a folder is on a local file system, and that its files can be hard-linked.

    Args:
        path: an existing folder.
    """
    fix = "use a local file system that all instances may write to, or --leases kubernetes:NAME"
    kind = _file_system(path)
    if kind in NETWORK_FILE_SYSTEMS:
        what = f"{path} is on a network file system ({kind}), which shows old leases for seconds"
        return bad(Problem(_PART, what, fix))
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=path) as trial:
            file = Path(trial) / "1"
            file.touch()
            file.with_name("2").hardlink_to(file)
    except OSError as error:
        what = f"no files can be created and hard-linked in {path} ({error.strerror})"
        return bad(Problem(_PART, what, fix))
    return Check(_PART, Verdict.good, f"{path} can be read and written ({kind})")


def _file_system(path: Path) -> str:
    """Type of the file system of a path, such as `ext4`."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in _MOUNTS.read_text().splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == number:
            return source.split()[0]
    # A subvolume of Btrfs has a device number of its own.
    return "unknown file system"


def _failed(error: ServiceError) -> Check:
    what, _, fix = str(error).rpartition(": ")
    return bad(Problem(_PART, what, fix))
