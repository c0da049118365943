"""perf_analyzer as a process: its command line, its end, and the shared memory that it leaves."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritonclient.utils import InferenceServerException
from yolostream.client.access import target_of
from yolostream.client.connection import connect

from loadtest.errors import ResultError
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.points import Point
from loadtest.perf.report import REPORT, read_report, reason
from loadtest.program import started

TRIALS = 4
"""Windows that it may try until the last three agree."""

_ANY_PERCENT = 1000
_TOO_SHORT = "Please use a larger time window"

UNSTABLE = 2
"""Exit code where they never did: it then writes no report."""

_SHARED_MEMORY = Path("/dev/shm")
_TIMEOUT_S = 5.0
_START_S = 30
"""That it may take in seconds, its windows aside, before it is stopped."""


@dataclass(frozen=True)
class Load:
    """Whom to ask, with what.

    Attributes:
        perf: The binary.
        url: gRPC address of the server.
        requests: File of what is sent.
        regions: Names that perf_analyzer gives to shared memory for it.
    """

    perf: PerfAnalyzer
    url: str
    requests: Path
    regions: tuple[str, ...]


def measure(
    load: Load,
    point: Point,
    raw: Path,
    *,
    window_s: float,
    percent: float = _ANY_PERCENT,
    intervals: Path | None = None,
) -> dict[str, Any]:
    """Measure a point in three windows; a fourth may follow where they differ too much.

    Where no answer comes within them, as from a busy machine, they are made longer.

    Args:
        load: Whom to ask, with what.
        point: How.
        raw: Folder for what perf_analyzer writes; is made.
        window_s: Length of a window, in seconds.
        percent: By how much three windows in a row may differ from each other, to be stable.
        intervals: File of microseconds between requests, in place of `point.concurrency`.

    Returns:
        What `read_report` returns, unless there was no measurement at all; and where that is so or
        the windows differed, perf_analyzer's own `words`.

    Raises:
        ResultError: `raw` cannot be written, or is there already.
    """
    try:
        raw.mkdir(parents=True)
    except OSError as error:
        raise ResultError(
            f"cannot make {raw} ({error.strerror}): name another folder with --raw"
        ) from error
    code, words = run(load, point, raw, window_s=window_s, percent=percent, intervals=intervals)
    if _TOO_SHORT in words:
        window_s *= 4
        code, words = run(load, point, raw, window_s=window_s, percent=percent, intervals=intervals)
    if code == 0:
        return read_report(raw)
    if code == UNSTABLE and percent != _ANY_PERCENT:
        # It keeps unstable figures to itself, unless told to be content with anything.
        code, failure = run(load, point, raw, window_s=window_s, percent=_ANY_PERCENT)
        if code == 0:
            return {"words": words, **read_report(raw)}
        words = failure
    return {"words": words}


def run(
    load: Load,
    point: Point,
    raw: Path,
    *,
    window_s: float,
    percent: float,
    intervals: Path | None = None,
) -> tuple[int, str]:
    """Run perf_analyzer once, as `measure` says; whatever happens, it does not run on.

    Returns:
        Its exit code, that of a signal negative, and its words where that is not 0.
    """
    log = raw / f"within-{percent:g}-percent.log"
    timeout_s = _START_S + 3 * TRIALS * window_s
    arguments = command(load, point, window_s=window_s, percent=percent, intervals=intervals)
    with _no_regions_left(load, point):
        try:
            code = _exit_code(arguments, load, log, timeout_s)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL, f"no end after {timeout_s:.0f} s: stopped"
    return code, _words(code, log)


def command(
    load: Load, point: Point, *, window_s: float, percent: float, intervals: Path | None = None
) -> list[str]:
    """The command line that measures a point; see `run`."""
    concurrency = ["--concurrency-range", str(point.concurrency)]
    return [
        *[
            str(load.perf.path),
            "-m",
            point.model,
            "-u",
            target_of(load.url),
            "-i",
            "grpc",
            "--async",
        ],
        *(["--request-intervals", str(intervals)] if intervals else concurrency),
        *["-b", str(point.batch), "--input-data", str(load.requests)],
        *["--shared-memory", "none" if point.transport == "grpc" else point.transport],
        *["--measurement-interval", str(round(1000 * window_s)), "--max-trials", str(TRIALS)],
        *["--stability-percentage", f"{percent:g}"],
        *["-f", REPORT, "--verbose-csv"],
        # Otherwise it goes through each byte that was sent: half a minute for tensors of 5 MB.
        # Nobody reads the file: it has other values than the tensors, and breaks off at a NaN.
        *(["--profile-export-file", "requests.json"] if point.transport != "grpc" else []),
    ]


def _exit_code(arguments: list[str], load: Load, log: Path, timeout_s: float) -> int:
    """Run it until it ends, or is ended here."""
    with (
        log.open("w") as file,
        # It writes the reports of an ensemble's steps to where it stands.
        started(arguments, file, env=load.perf.variables, cwd=log.parent) as process,
    ):
        return process.wait(timeout_s)


def _words(code: int, log: Path) -> str:
    if code == -signal.SIGBUS:
        return f"{_SHARED_MEMORY} is full: make it larger, or remove what was left there"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return reason(log.read_text(errors="replace"))


@contextlib.contextmanager
def _no_regions_left(load: Load, point: Point) -> Iterator[None]:
    """Remove what perf_analyzer leaves in shared memory when it is stopped."""
    try:
        yield
    finally:
        if point.transport != "grpc":
            _forget(load, point)
            for name in load.regions:
                (_SHARED_MEMORY / name).unlink(missing_ok=True)


def _forget(load: Load, point: Point) -> None:
    """Have the server forget the regions; one that is gone has done so."""
    with contextlib.suppress(InferenceServerException), connect(load.url) as client:
        forget = (
            client.unregister_system_shared_memory
            if point.transport == "system"
            else client.unregister_cuda_shared_memory
        )
        for name in load.regions:
            forget(name, client_timeout=_TIMEOUT_S)
