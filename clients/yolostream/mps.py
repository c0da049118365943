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
def running(folder: Path) -> Iterator[bool]:
    """Run the service for this process, and for those that it starts, until the block ends.

    Args:
        folder: For its pipes and logs; a path of more than 100 characters is too long for a socket.

    Yields:
        Whether it runs: not where it is not installed, or does not start. Where the environment
        names one that runs already, that is used.
    """
    if PIPES in os.environ:
        yield True
        return
    places = {PIPES: folder / "pipe", "CUDA_MPS_LOG_DIRECTORY": folder / "log"}
    with contextlib.ExitStack() as stack:
        started = False
        if shutil.which(CONTROL) is not None:
            for place in places.values():
                place.mkdir(parents=True)
            stack.enter_context(_variables({name: str(place) for name, place in places.items()}))
            started = _tell("-d")
            if started:
                stack.callback(_tell, words="quit\n")
            else:
                stack.close()
        yield started


def stop_leftover(folder: Path) -> None:
    """End a service whose owner was killed before it could.

    Args:
        folder: As `running` was given it.
    """
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / "pipe" / f"{CONTROL}.pid").read_text())
        # The number may belong to someone else by now.
        if CONTROL.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            with _variables({PIPES: str(folder / "pipe")}):
                _tell(words="quit\n")


def _tell(*options: str, words: str = "") -> bool:
    """Talk to the service; return whether it did as it was told."""
    try:
        done = subprocess.run(
            [CONTROL, *options],
            input=words,
            # Not captured: the daemon keeps what it inherits open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for what is started inside the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
