"""What is measured on a GPU: rows, lengths, and the network."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer

from loadtest.errors import GpuError
from loadtest.perf import inputs
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.process import DOWNSCALED, Point, Size, Transport
from loadtest.repository import ENSEMBLE
from loadtest.result_file import say
from tools.digest import sha256_of
from tools.onnx_file import load_onnx

Environment = Annotated[Path, typer.Option(help="Virtual environment of the server.")]
FULL_HD: Size = (1080, 1920)
STAGES_BATCH = 16


def _point(
    concurrency: int, batch: int = 1, *, by: Transport = "system", size: Size = DOWNSCALED
) -> Point:
    return Point(ENSEMBLE, by, concurrency, batch, size)


POINTS: dict[str, Point] = {
    "one_stream": _point(1),
    "one_stream_awake": _point(1),
    "four_in_flight": _point(4),
    "streams": _point(64),
    "batches": _point(8, 8),
    "full_hd_system": _point(32, size=FULL_HD),
    "full_hd_system_batches": _point(8, 8, size=FULL_HD),
    "full_hd_cuda": _point(32, by="cuda", size=FULL_HD),
    "full_hd_cuda_batches": _point(8, 8, by="cuda", size=FULL_HD),
}
"""The rows that perf_analyzer measures with a fixed number of requests in flight."""

AWAKE_ROWS = ("one_stream_awake",)
"""They are measured while no core sleeps, as with `yolostream serve --keep-awake`."""

OTHER_ROWS = ("cameras", "stages", "memory")
ROWS = (*POINTS, *OTHER_ROWS)


def rows_of(*, on_gpu: bool) -> tuple[str, ...]:
    """The rows that can be measured; without a GPU, no camera holds 33 ms."""
    cuda = [name for name, point in POINTS.items() if point.transport == "cuda"]
    return tuple(row for row in ROWS if on_gpu or row not in (*cuda, *OTHER_ROWS))


COUNTED = "candidates"
"""Key of an ONNX file's metadata: a JSON list, of each frame that a network was made with."""
USUAL_CANDIDATES = 110
"""Rows of a frame above the threshold, as in a busy street: about 65 objects after `nms`. Networks
with random weights have so many on average, and `nms` is measured with so many for other ones."""


@dataclass(frozen=True)
class Network:
    """The network that is served."""

    path: Path
    candidates: tuple[int, ...] = ()
    """Rows above the threshold of each frame that it was made with; none if not made here."""

    @property
    def usual_candidates(self) -> int:
        """Rows of a frame for `nms`."""
        return round(mean(self.candidates or [USUAL_CANDIDATES]))

    def facts(self) -> dict[str, str]:
        """What a file of figures says about it."""
        words = f"network {self.path.name} as given"
        if self.candidates:
            words = (
                "YOLOv7 at 640, float16, random weights with "
                f"{min(self.candidates)} to {max(self.candidates)} boxes a frame before suppression"
            )
        return {"sha256": sha256_of(self.path), "words": words}


def network(path: Path) -> Network:
    """The network at `path`, made there if it is missing.

    Raises:
        GpuError: It has to be made, and PyTorch is not installed.
        OnnxError: The file is something else.
    """
    if not path.exists():
        if importlib.util.find_spec("torch") is None:
            raise GpuError(
                "the network is made with PyTorch, which is not installed: run it from .venv-tools "
                "('make tools'), or give --onnx an existing file"
            )
        from loadtest.gpu import random_network

        say("making a YOLOv7 with random weights")
        random_network.export(path, inputs.frames(DOWNSCALED))
    properties = {entry.key: entry.value for entry in load_onnx(path).metadata_props}
    return Network(path, tuple(json.loads(properties.get(COUNTED, "[]"))))


@dataclass(frozen=True)
class Lengths:
    """How long each part is measured. A machine with a GPU is often available for minutes only."""

    window_s: float
    """Seconds of a window of perf_analyzer, which takes three for each row."""
    camera_window_s: float
    bare_window_s: float
    bare_windows: int
    """Windows for each batch size."""
    stage_repeats: int
    """Calls of `preprocess` and `nms`."""


FULL = Lengths(1.5, 1.0, bare_window_s=0.4, bare_windows=5, stage_repeats=200)
QUICK = Lengths(0.5, 0.5, bare_window_s=0.2, bare_windows=3, stage_repeats=50)


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    perf: PerfAnalyzer
    network: Network
    environment: Path
    """Virtual environment of the server."""
    repository: Path
    """Model repository to serve."""
    work: Path
    """Folder for files that are sent."""
    raw: Path
    """Folder for what perf_analyzer writes."""
    lengths: Lengths
