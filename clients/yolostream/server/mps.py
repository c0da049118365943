"""Runs NVIDIA's Multi-Process Service (MPS), with which processes share a GPU at the same time."""

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
        folder: folder for its pipes and logs. Its path may have at most 100 characters, because
            paths of Unix sockets are short.

    Yields:
        Environment variables for the processes that share a GPU. They are empty if this process's
        environment names a running service, which is then used. None if MPS is not installed or
        does not start.
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
        yield variables if _send_command(variables, "-d") else None
    finally:
        _end(folders[PIPES])


def stop_leftover(folder: Path) -> None:
    """Stop a service whose owner was killed.

    Args:
        folder: the folder that `running` was called with.
    """
    pipe = folder / "pipe"
    if _pid(pipe) is not None:
        _end(pipe)


def _end(pipe: Path) -> None:
    """Stop a service, which waits for its clients first; kill it if it does not stop."""
    if not _send_command({PIPES: str(pipe)}, words="quit\n") and (pid := _pid(pipe)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pid(pipe: Path) -> int | None:
    """The process id of the service behind a pipe; None if it does not run."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((pipe / f"{CONTROL}.pid").read_text())
        # The system may have reused the id for another process.
        if CONTROL.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _send_command(variables: dict[str, str], *options: str, words: str = "") -> bool:
    """Send a command to the service; return whether it succeeded."""
    # The service has to see all GPUs, so that its clients select GPUs by their usual numbers.
    inherited = {name: value for name, value in os.environ.items() if name != _VISIBLE}
    try:
        done = subprocess.run(
            [CONTROL, *options],
            input=words,
            # If output were captured, the daemon would keep the pipes open and `run` would block.
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
