"""NVIDIA's Multi-Process Service: kernels of several processes run at once, instead of in turns."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
PIPES = "CUDA_MPS_PIPE_DIRECTORY"

_TIMEOUT_S = 30.0


@contextlib.contextmanager
def running(folder: Path) -> Iterator[dict[str, str] | None]:
    """Run the service until the block ends.

    Args:
        folder: For its pipes and logs; a path of more than 100 characters is too long for a socket.

    Yields:
        Environment variables of the processes that are to share a GPU through it. None where it is
        not installed or does not start. Where the environment names one that runs already, that is
        used, and none are needed.
    """
    if PIPES in os.environ:
        yield {}
        return
    places = {PIPES: folder / "pipe", "CUDA_MPS_LOG_DIRECTORY": folder / "log"}
    variables = {name: str(place) for name, place in places.items()}
    if shutil.which(CONTROL) is None:
        yield None
        return
    for place in places.values():
        place.mkdir(parents=True)
    if not _tell(variables, "-d"):
        yield None
        return
    try:
        yield variables
    finally:
        # It waits for the processes that use it.
        _tell(variables, words="quit\n")


def stop_leftover(folder: Path) -> None:
    """End a service whose owner was killed before it could.

    Args:
        folder: As `running` was given it.
    """
    pipe = folder / "pipe"
    with contextlib.suppress(OSError, ValueError):
        pid = int((pipe / f"{CONTROL}.pid").read_text())
        # The number may belong to someone else by now.
        if CONTROL.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            _tell({PIPES: str(pipe)}, words="quit\n")


def _tell(variables: dict[str, str], *options: str, words: str = "") -> bool:
    """Talk to the service; return whether it did as it was told."""
    try:
        done = subprocess.run(
            [CONTROL, *options],
            input=words,
            # Not captured: the daemon keeps what it inherits open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **variables},
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
