"""perf_analyzer as a process: its command line, its end, and the shared memory that it leaves."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tritonclient.utils import InferenceServerException
from yolostream.client.access import target_of
from yolostream.client.connection import connect

from loadtest.errors import ResultError
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.report import REPORT, read_report
from loadtest.processes import last_words, started

Transport = Literal["grpc", "system", "cuda"]
"""Tensors in gRPC messages, or in shared memory of the machine or of its GPU."""

Size = tuple[int, int]
"""Height and width in pixels."""

DOWNSCALED: Size = (360, 640)
"""A frame of a 1080p or 720p video as the project's client sends it."""

_TRIALS = 4
"""Windows that it may try until the last three agree."""
_UNSTABLE = 2
"""Its exit code if they never agree. It then writes no report."""
_ANY_PERCENT = 1000
_TOO_SHORT = "Please use a larger time window"
_SHARED_MEMORY = Path("/dev/shm")
_TIMEOUT_S = 5.0
_START_S = 30
"""Seconds that it may take in addition to its windows."""


@dataclass(frozen=True)
class Point:
    """One measurement."""

    model: str
    transport: Transport
    concurrency: int
    """Requests in flight at once."""
    batch: int = 1
    """Frames in a request."""
    size: Size = DOWNSCALED

    @property
    def label(self) -> str:
        """A name for people and files."""
        height, width = self.size
        return (
            f"{self.model}-{self.transport}-{width}x{height}-batch{self.batch}-"
            f"concurrency{self.concurrency}"
        )


@dataclass(frozen=True)
class Load:
    """What is sent, and to which server."""

    perf: PerfAnalyzer
    url: str
    """gRPC address of the server."""
    requests: Path
    """File of the requests."""
    regions: tuple[str, ...]
    """Names of the shared memory that perf_analyzer makes for them."""


def measure(
    load: Load,
    point: Point,
    raw: Path,
    *,
    window_s: float,
    percent: float = _ANY_PERCENT,
    intervals: Path | None = None,
) -> dict[str, Any]:
    """Measure a point in three windows; a fourth may follow if they differ too much.

    The windows are made longer if no answer comes within them.

    Args:
        load: What is sent.
        point: How it is sent.
        raw: Folder for what perf_analyzer writes; is made.
        window_s: Length of a window, in seconds.
        percent: How much three stable windows in a row may differ from each other.
        intervals: File of microseconds between requests, instead of `point.concurrency`.

    Returns:
        What `read_report` returns, and perf_analyzer's own `words` if the windows were not stable;
        only the `words` if it measured nothing.

    Raises:
        ResultError: `raw` cannot be written, or exists already.
    """
    try:
        raw.mkdir(parents=True)
    except OSError as error:
        raise ResultError(
            f"cannot make {raw} ({error.strerror}): name another folder with --raw"
        ) from error

    def run(window_s: float, percent: float) -> tuple[int, str]:
        options = command(load, point, window_s=window_s, percent=percent, intervals=intervals)
        with _no_regions_left(load, point):
            return _run(options, load, raw / f"within-{percent:g}-percent.log", window_s)

    code, words = run(window_s, percent)
    if _TOO_SHORT in words:
        window_s *= 4
        code, words = run(window_s, percent)
    if code == 0:
        return read_report(raw)
    if code == _UNSTABLE and percent != _ANY_PERCENT:
        code, failure = run(window_s, _ANY_PERCENT)
        if code == 0:
            return {"words": words, **read_report(raw)}
        words = failure
    return {"words": words}


def command(
    load: Load, point: Point, *, window_s: float, percent: float, intervals: Path | None = None
) -> list[str]:
    """The command line that measures a point; see `measure`."""
    concurrency = ["--concurrency-range", str(point.concurrency)]
    return [
        *[str(load.perf.path), "-m", point.model, "-u", target_of(load.url), "-i", "grpc"],
        "--async",
        *(["--request-intervals", str(intervals)] if intervals else concurrency),
        *["-b", str(point.batch), "--input-data", str(load.requests)],
        *["--shared-memory", "none" if point.transport == "grpc" else point.transport],
        *["--measurement-interval", str(round(1000 * window_s)), "--max-trials", str(_TRIALS)],
        *["--stability-percentage", f"{percent:g}"],
        *["-f", REPORT, "--verbose-csv"],
        # Without this it examines each byte that it sent, which takes half a minute for tensors of
        # 5 MB. The file itself is not used.
        *(["--profile-export-file", "requests.json"] if point.transport != "grpc" else []),
    ]


def _run(arguments: list[str], load: Load, log: Path, window_s: float) -> tuple[int, str]:
    """Run it once; returns its exit code, negative for a signal, and its words if it failed."""
    timeout_s = _START_S + 3 * _TRIALS * window_s
    with (
        log.open("w") as file,
        # It writes the reports of an ensemble's steps into the current folder.
        started(arguments, file, env=load.perf.variables, cwd=log.parent) as process,
    ):
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL, f"no end after {timeout_s:.0f} s: stopped"
    if code == -signal.SIGBUS:
        return code, f"{_SHARED_MEMORY} is full: make it larger, or remove what was left there"
    if code < 0:
        return code, f"ended by {signal.Signals(-code).name}"
    return code, last_words(log.read_text(errors="replace"))


@contextlib.contextmanager
def _no_regions_left(load: Load, point: Point) -> Iterator[None]:
    """Remove the shared memory that perf_analyzer leaves when it is stopped."""
    try:
        yield
    finally:
        if point.transport != "grpc":
            # A server that is gone has forgotten the regions.
            with contextlib.suppress(InferenceServerException), connect(load.url) as client:
                forget = (
                    client.unregister_system_shared_memory
                    if point.transport == "system"
                    else client.unregister_cuda_shared_memory
                )
                for name in load.regions:
                    forget(name, client_timeout=_TIMEOUT_S)
            for name in load.regions:
                (_SHARED_MEMORY / name).unlink(missing_ok=True)
