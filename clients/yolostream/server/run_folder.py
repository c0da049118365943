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
    for run in Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*"):
        with contextlib.suppress(OSError), (run / "lock").open() as lock:
            # The owner holds this lock for as long as it lives.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _kill_orphans(run)
            stop_leftover(run / MPS_FOLDER)
            remove_shared_memory(run)
            shutil.rmtree(run)


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
    for run in Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*"):
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
    with (unnamed / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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
