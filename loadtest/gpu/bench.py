"""What is measured on a GPU: rows, lengths, and the network that is served."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from yolostream.server.embedded import Profile

from loadtest.errors import GpuError
from loadtest.machine import gpu_facts, triton_version
from loadtest.options import new_folder
from loadtest.perf import binary
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.load import DOWNSCALED, Load, Point, Size, frames, outputs_of
from loadtest.repository import ENSEMBLE, MODELS, NETWORK, write_repository
from loadtest.result_file import say
from loadtest.server import Target, served
from loadtest.table import Figures
from tools.digest import sha256_of
from tools.onnx_file import load_onnx

RUNTIMES: dict[Profile, str] = {
    "onnx-gpu": "onnxruntime",
    "cudnn-gpu": "cudnn",
    "torch-gpu": "torch",
    "cpu": "cpu",
}
"""The engine of each profile, as `open_network` takes it; `cpu` is ONNX Runtime there."""
SHIPPED = MODELS / NETWORK / "1" / "model.onnx"
"""The demo model."""

FULL_HD: Size = (1080, 1920)

POINTS: dict[str, Point] = {
    "one_stream": Point("system", 1),
    "one_stream_awake": Point("system", 1),
    "four_in_flight": Point("system", 4),
    "streams": Point("system", 64),
    "batches": Point("system", 8, batch=8),
    "full_hd_system": Point("system", 32, size=FULL_HD),
    "full_hd_system_batches": Point("system", 8, batch=8, size=FULL_HD),
    "full_hd_cuda": Point("cuda", 32, size=FULL_HD),
    "full_hd_cuda_batches": Point("cuda", 8, batch=8, size=FULL_HD),
}
"""The rows that perf_analyzer measures with a fixed number of requests in flight."""

AWAKE_ROWS = ("one_stream_awake",)
"""They are measured while no core sleeps, as with `yolostream serve --keep-awake`."""

OTHER_ROWS = ("cameras", "stages", "memory")
ROWS = (*POINTS, *OTHER_ROWS)


def rows_of(profile: Profile) -> tuple[str, ...]:
    """The rows that can be measured; without a GPU, no camera holds 33 ms."""
    cuda = [name for name, point in POINTS.items() if point.transport == "cuda"]
    return tuple(row for row in ROWS if profile != "cpu" or row not in (*cuda, *OTHER_ROWS))


def frames_of(batch_sizes: Mapping[str, int]) -> int:
    """The frames in so many batches of each size."""
    return sum(int(size) * count for size, count in batch_sizes.items())


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
        if self.path == SHIPPED:
            words = "the demo model"
        elif self.candidates:
            words = (
                "YOLOv7 at 640, float16, random weights with "
                f"{min(self.candidates)} to {max(self.candidates)} boxes a frame before suppression"
            )
        return {"sha256": sha256_of(self.path), "words": words}


def network_at(path: Path) -> Network:
    """The network at `path`, made there if it is missing."""
    if not path.exists():
        if importlib.util.find_spec("torch") is None:
            raise GpuError(
                "the network is made with PyTorch, which is not installed: run it from .venv-tools "
                "('make tools'), or give --onnx an existing file"
            )
        from loadtest.gpu import random_network

        say("making a YOLOv7 with random weights")
        random_network.export(path, frames(DOWNSCALED))
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
    """A network to serve, and perf_analyzer to ask for it."""

    environment: Path
    """Virtual environment of the server."""
    work: Path
    """Temporary folder."""
    raw: Path
    """Folder for what perf_analyzer and `detect` write."""
    lengths: Lengths
    network: Network
    repository: Path
    """Model repository with it."""
    perf: PerfAnalyzer

    @classmethod
    def ready(
        cls, onnx: Path | None, environment: Path, work: Path, raw: Path, *, quick: bool
    ) -> Bench:
        """Make or find everything; `onnx` is the network, by default that of the repository."""
        network, repository = network_at(onnx or SHIPPED), MODELS
        if onnx is not None:
            repository = work / "models"
            write_repository(repository, network.path)
        return cls(
            environment,
            work,
            new_folder(raw),
            QUICK if quick else FULL,
            network,
            repository,
            binary.ready(work / "libraries", server_environment=environment),
        )

    def facts(self) -> Figures:
        """What a file of figures says about GPUs, packages and network."""
        return {"gpu": gpu_facts(self.environment), "network": self.network.facts()}

    @contextlib.contextmanager
    def serving(self, profile: Profile, figures: Figures) -> Iterator[tuple[Target, Load]]:
        """Serve the network inside the block; `figures` gets the version of Triton."""
        say(f"starting Triton with profile {profile}")
        with served(
            None,
            model=ENSEMBLE,
            profile=profile,
            repository=self.repository,
            environment=self.environment,
        ) as target:
            figures["triton"] = triton_version(target.url)
            yield target, Load(self.perf, target.url, self.work, outputs_of(target.url))
