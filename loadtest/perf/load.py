"""What perf_analyzer sends to a server, what it measures, and the shared memory that it leaves."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tritonclient.utils import InferenceServerException
from yolostream.client.access import target_of
from yolostream.client.connection import connect
from yolostream.client.transport.message import INPUT_NAME
from yolostream.client.triton_errors import translated
from yolostream.image import Image

from loadtest.clips import demo_frames
from loadtest.errors import ResultError
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.report import REPORT, read_report
from loadtest.repository import ENSEMBLE

Transport = Literal["grpc", "system", "cuda"]
"""Tensors in gRPC messages, or in shared memory of the machine or of its GPU."""

Size = tuple[int, int]
"""Height and width in pixels."""

DOWNSCALED: Size = (360, 640)
"""A frame of a 1080p or 720p video as the project's client sends it."""

FRAMES = 4
"""Different frames that are sent in turn. Eight 1080p frames a request take 200 MB of memory."""

_EVERY = 60
_TRIALS = 4
"""Windows that it may try until the last three agree."""
_UNSTABLE = 2
"""Its exit code if they never agree. It then writes no report."""
_ANY_PERCENT = 1000
_TOO_SHORT = "Please use a larger time window"
_SHARED_MEMORY = Path("/dev/shm")
_TIMEOUT_S = 10.0
_START_S = 30
"""Seconds that it may take in addition to its windows."""


@dataclass(frozen=True)
class Point:
    """One measurement."""

    transport: Transport
    concurrency: int = 1
    """Requests in flight at once."""
    batch: int = 1
    """Frames in a request."""
    size: Size = DOWNSCALED
    model: str = ENSEMBLE

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
    """perf_analyzer, which sends frames of a demo clip to a server."""

    perf: PerfAnalyzer
    url: str
    """gRPC address of the server."""
    folder: Path
    """For the files of the requests."""
    outputs: tuple[str, ...]
    """Names of the outputs."""

    @property
    def regions(self) -> tuple[str, ...]:
        """The names that perf_analyzer gives to its shared memory."""
        return (*self.outputs, *(f"{INPUT_NAME}_0_{number}" for number in range(FRAMES)))

    def measure(
        self,
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
            point: What is sent.
            raw: Folder for what perf_analyzer writes; is made.
            window_s: Length of a window, in seconds.
            percent: How much three stable windows in a row may differ from each other.
            intervals: File of microseconds between requests, instead of `point.concurrency`.

        Returns:
            What `read_report` returns, and perf_analyzer's own `words` if the windows were not
            stable; only the `words` if it measured nothing.
        """
        try:
            raw.mkdir(parents=True)
        except OSError as error:
            raise ResultError(
                f"cannot make {raw} ({error.strerror}): name another folder with --raw"
            ) from error

        def run(window_s: float, percent: float) -> tuple[int, str]:
            options = self.command(point, window_s=window_s, percent=percent, intervals=intervals)
            log = raw / f"within-{percent:g}-percent.log"
            with self._no_regions_left(point):
                return self.perf.run(options, log, timeout_s=_START_S + 3 * _TRIALS * window_s)

        code, words = run(window_s, percent)
        if _TOO_SHORT in words:
            window_s *= 4
            code, words = run(window_s, percent)
        if code == 0:
            return read_report(raw)
        if code == _UNSTABLE and percent != _ANY_PERCENT:
            code, failure = run(window_s, _ANY_PERCENT)
            return {"words": words, **read_report(raw)} if code == 0 else {"words": failure}
        return {"words": words}

    def command(
        self, point: Point, *, window_s: float, percent: float, intervals: Path | None = None
    ) -> list[str]:
        """The options that measure a point; see `measure`."""
        concurrency = ["--concurrency-range", str(point.concurrency)]
        return [
            *["-m", point.model, "-u", target_of(self.url), "-i", "grpc"],
            "--async",
            *(["--request-intervals", str(intervals)] if intervals else concurrency),
            *["-b", str(point.batch), "--input-data", str(self.requests(point.size))],
            *["--shared-memory", "none" if point.transport == "grpc" else point.transport],
            *["--measurement-interval", str(round(1000 * window_s)), "--max-trials", str(_TRIALS)],
            *["--stability-percentage", f"{percent:g}"],
            *["-f", REPORT, "--verbose-csv"],
            # Without this it examines each byte that it sent, which takes half a minute for
            # tensors of 5 MB. The file itself is not used.
            *(["--profile-export-file", "requests.json"] if point.transport != "grpc" else []),
        ]

    def requests(self, size: Size) -> Path:
        """The file with a request for each frame, as perf_analyzer's JSON."""
        path = self.folder / f"{size[1]}x{size[0]}.json"
        if not path.exists():
            contents = [
                ({"b64": base64.b64encode(frame.tobytes()).decode()}, frame.shape)
                for frame in frames(size)
            ]
            data = [{INPUT_NAME: {"content": one, "shape": shape}} for one, shape in contents]
            path.write_text(json.dumps({"data": data}), encoding="ascii")
        return path

    @contextlib.contextmanager
    def _no_regions_left(self, point: Point) -> Iterator[None]:
        """Remove the shared memory that perf_analyzer leaves when it is stopped."""
        try:
            yield
        finally:
            if point.transport != "grpc":
                # A server that is gone has forgotten the regions.
                with contextlib.suppress(InferenceServerException), connect(self.url) as client:
                    forget = getattr(client, f"unregister_{point.transport}_shared_memory")
                    for name in self.regions:
                        forget(name, client_timeout=_TIMEOUT_S)
                for name in self.regions:
                    (_SHARED_MEMORY / name).unlink(missing_ok=True)


@cache
def frames(size: Size) -> list[Image]:
    """`FRAMES` frames of a demo clip, uint8 [height, width, 3] each, RGB."""
    return demo_frames(size=size, every=_EVERY, first=FRAMES)


def outputs_of(url: str, model: str = ENSEMBLE) -> tuple[str, ...]:
    """The names of a model's outputs."""
    with translated(url, model), connect(url) as client:
        config = client.get_model_config(model, client_timeout=_TIMEOUT_S).config
    return tuple(tensor.name for tensor in config.output)
