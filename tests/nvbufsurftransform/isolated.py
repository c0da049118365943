"""Runs the library in child processes, because it may crash.

`python -m tests.nvbufsurftransform.isolated REQUESTS IMAGES` is such a process.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from yolostream.image import Image

from .library import Request, transformed

_AT_ONCE = 8
_PATIENCE_S = 240
_SAID = 2000
"""Number of characters that are kept from the end of a process's output."""


@dataclass(frozen=True)
class Crash:
    """The end of a process that returned no result."""

    how: str
    """Name of the signal, or the exit status."""
    said: str


Outcome = list[Image] | Crash
"""One image for each request."""


def outcomes(batches: Iterable[Sequence[Request]]) -> list[Outcome]:
    """Run each batch in its own process, several at a time; return the outcomes in order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(_outcome, batches))


def _outcome(requests: Sequence[Request]) -> Outcome:
    with TemporaryDirectory() as folder:
        sent, made = Path(folder, "requests"), Path(folder, "images")
        sent.write_bytes(pickle.dumps(requests))
        try:
            process = subprocess.run(
                [sys.executable, "-m", __name__, str(sent), str(made)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_PATIENCE_S,
            )
        except subprocess.TimeoutExpired as expired:
            return Crash(f"nothing for {expired.timeout} s", str(expired.output)[-_SAID:])
        if process.returncode != 0:
            return Crash(_how(process.returncode), process.stdout[-_SAID:])
        images: list[Image] = pickle.loads(made.read_bytes())
        return images


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _main(sent: str, made: str) -> None:
    requests: Sequence[Request] = pickle.loads(Path(sent).read_bytes())
    Path(made).write_bytes(pickle.dumps([transformed(request) for request in requests]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
