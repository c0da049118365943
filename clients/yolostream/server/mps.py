"""NVIDIA's Multi-Process Service: kernels of several processes run at once, instead of in turns."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
PIPES = "CUDA_MPS_PIPE_DIRECTORY"

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_TIMEOUT_S = 30.0


@contextlib.contextmanager
def running(folder: Path) -> Iterator[dict[str, str] | None]:
    """Run the service until the block ends.

    Args:
        folder: For its pipes and logs; a path of more than 100 characters is too long for a socket.

    Yields:
        Environment variables for the processes that share a GPU through it; None where it is not
        installed or does not start. Empty if the environment names a service that runs already:
        then that one is used.
    """
    if PIPES in os.environ:
        yield {}
        return
    folders = {PIPES: folder / "pipe", "CUDA_MPS_LOG_DIRECTORY": folder / "log"}
    variables = {name: str(path) for name, path in folders.items()}
    if shutil.which(CONTROL) is None:
        yield None
        return
    for path in folders.values():
        path.mkdir(parents=True)
    try:
        yield variables if _tell(variables, "-d") else None
    finally:
        _end(folders[PIPES])


def stop_leftover(folder: Path) -> None:
    """End a service whose owner was killed before it could.

    Args:
        folder: As `running` was given it.
    """
    pipe = folder / "pipe"
    if _pid(pipe) is not None:
        _end(pipe)


def _end(pipe: Path) -> None:
    """Ask a service to end, which waits for its clients; kill it if it does not do so."""
    if not _tell({PIPES: str(pipe)}, words="quit\n") and (pid := _pid(pipe)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pid(pipe: Path) -> int | None:
    """The process of the service behind a pipe, while it runs."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((pipe / f"{CONTROL}.pid").read_text())
        # The system may have given the number to another process since.
        if CONTROL.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _tell(variables: dict[str, str], *options: str, words: str = "") -> bool:
    """Talk to the service; return whether it did as it was told."""
    # The service has to see all GPUs: its clients choose, with the numbers they have without it.
    inherited = {name: value for name, value in os.environ.items() if name != _VISIBLE}
    try:
        done = subprocess.run(
            [CONTROL, *options],
            input=words,
            # Not captured: the daemon would keep the pipes open, and `run` would wait for it.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**inherited, **variables},
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
