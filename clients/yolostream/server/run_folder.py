"""What one run of the embedded Triton leaves on disk, and how it is found and removed."""

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
"""In the folder of a run: of the MPS that shares its GPU."""

GRPC_PORT_FILE = "grpc_port"
"""In the folder of a run: of its server, once that is known."""

_SHARED_MEMORY = Path("/dev/shm")
_HERE = ("127.", "localhost", "0.0.0.0", "[::1]")


def remove_leftovers() -> None:
    """Clean up after servers whose owner was killed before it could."""
    for run in _runs():
        # The owner holds this lock for as long as it lives.
        with contextlib.suppress(OSError), locked(run, fcntl.LOCK_NB):
            _kill_orphans(run)
            stop_leftover(run / MPS_FOLDER)
            remove_shared_memory(run)
            shutil.rmtree(run)


def _runs() -> Iterator[Path]:
    """Folders of runs of this user; nobody else's may tell us what to end, and where to connect."""
    for run in Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*"):
        with contextlib.suppress(OSError):
            if run.lstat().st_uid == os.geteuid():
                yield run


@contextlib.contextmanager
def locked(run: Path, flags: int = 0) -> Iterator[None]:
    """Hold the lock of a run's folder.

    It is on the folder itself, so systemd-tmpfiles leaves alone what lies in there for weeks.

    Args:
        run: its folder.
        flags: `fcntl.LOCK_NB`, not to wait for it.

    Raises:
        BlockingIOError: somebody else holds it, and is not waited for.
    """
    descriptor = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(descriptor)


def _kill_orphans(run: Path) -> None:
    """End tritonserver and its steps, all of which have the name of the run in their arguments."""
    for pid in processes.with_argument(run.name):
        program, *_ = processes.arguments(pid) or [""]
        if Path(program).name.startswith("triton"):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def gpu_sharing_of(url: str) -> dict[str, str]:
    """Environment variables for a client that shares the GPU of the server at `url`.

    Without the server's MPS, a client that decodes on that GPU and the server use it in turns.

    Returns:
        Nothing where the server runs elsewhere, shares no GPU, or was not started by this package.
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
    """A temporary folder that is locked while its owner lives, and gone afterwards."""
    # It gets its name once it is locked: others remove folders of that name without a lock.
    unnamed = Path(tempfile.mkdtemp(prefix=f".{RUN_PREFIX}"))
    with locked(unnamed):
        run = unnamed.rename(unnamed.with_name(unnamed.name.removeprefix(".")))
        try:
            yield run
        finally:
            remove_shared_memory(run)
            shutil.rmtree(run, ignore_errors=True)


def remove_shared_memory(run: Path) -> None:
    """Remove what a server that was killed has left in /dev/shm."""
    for region in _SHARED_MEMORY.glob(f"{run.name}*"):
        region.unlink(missing_ok=True)
