"""The temporary folder of one run of the embedded Triton, and the removal of leftovers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from yolostream.server import processes
from yolostream.server.gpus import SERVER_MPS_SHARE
from yolostream.server.mps import PIPES, stop_leftover

RUN_PREFIX = "yolostream-server-"
MPS_FOLDER = "mps"
"""Subfolder of a run, for the MPS of its server."""

GRPC_PORT_FILE = "grpc_port"
"""File in the folder of a run, with the gRPC port of its server."""

_SHARED_MEMORY = Path("/dev/shm")
_HERE = ("127.", "localhost", "0.0.0.0", "[::1]")


def remove_leftovers() -> None:
    """Remove the processes and files of servers whose owner was killed."""
    for run in _runs():
        # The owner holds this lock while it lives.
        with contextlib.suppress(OSError), locked(run, fcntl.LOCK_NB):
            _kill_orphans(run)
            stop_leftover(run / MPS_FOLDER)
            remove_shared_memory(run)
            shutil.rmtree(run)


def _runs() -> Iterator[Path]:
    """Folders of this user's runs. Folders of other users are not trusted."""
    for run in Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*"):
        with contextlib.suppress(OSError):
            if run.lstat().st_uid == os.geteuid():
                yield run


@contextlib.contextmanager
def locked(run: Path, flags: int = 0) -> Iterator[None]:
    """Hold the lock of a run's folder.

    The folder itself is locked, because systemd-tmpfiles does not clean up locked folders.

    Args:
        run: folder of the run.
        flags: `fcntl.LOCK_NB` if the call must not wait for the lock.

    Raises:
        BlockingIOError: another process holds the lock, and `flags` says not to wait.
    """
    descriptor = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(descriptor)


def _kill_orphans(run: Path) -> None:
    """Kill tritonserver and its steps, whose arguments contain the name of the run."""
    for pid in processes.with_argument(run.name):
        program, *_ = processes.arguments(pid) or [""]
        if Path(program).name.startswith("triton"):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def gpu_sharing_of(url: str) -> dict[str, str]:
    """Environment variables for a client that shares the GPU of the server at `url` through MPS.

    Without MPS, the server and a client that decodes on the same GPU use it in turns.

    Returns:
        The variables; empty if the server runs on another machine, does not use MPS, or was not
        started by this package.
    """
    host, _, port = url.rpartition(":")
    if not host.startswith(_HERE):
        return {}
    for run in _runs():
        pipe = run / MPS_FOLDER / "pipe"
        with contextlib.suppress(OSError):
            if (run / GRPC_PORT_FILE).read_text() == port and pipe.is_dir():
                return {PIPES: str(pipe), **SERVER_MPS_SHARE}
    return {}


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Make a temporary folder that is locked until the block ends, and remove it then."""
    # It is renamed once it is locked, because other processes remove unlocked folders with the
    # prefix.
    unnamed = Path(tempfile.mkdtemp(prefix=f".{RUN_PREFIX}"))
    with locked(unnamed):
        run = unnamed.rename(unnamed.with_name(unnamed.name.removeprefix(".")))
        try:
            yield run
        finally:
            remove_shared_memory(run)
            shutil.rmtree(run, ignore_errors=True)


def remove_shared_memory(run: Path) -> None:
    """Remove the files of a killed server from /dev/shm."""
    for region in _SHARED_MEMORY.glob(f"{run.name}*"):
        region.unlink(missing_ok=True)
