"""What is to be measured, and the network for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yolostream.server import embedded

from loadtest.gpu import bench, network_file
from loadtest.gpu.model_folders import NETWORK, write_repository
from loadtest.gpu.profiles import PROFILES
from loadtest.repository import MODELS
from loadtest.table import Figures


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        profile: Of the server.
        environment: Virtual environment of the server.
        onnx: The network, made there if need be; by default the one in the repository.
        sources: Numbers of sources, smallest first.
        seconds: Length of each run.
        peer: Python of the environment of the peer to run too, if any.
        quick: Measure each thing once, and the server's own rate shorter.
        work: Folder that is gone afterwards.
        raw: Folder for clips, and for what perf_analyzer and `detect` write.
        run: Name of this run's folder in there.
    """

    profile: embedded.Profile
    environment: Path
    onnx: Path | None
    sources: Sequence[int]
    seconds: float
    peer: Path | None
    quick: bool
    work: Path
    raw: Path
    run: str

    @property
    def on_gpu(self) -> bool:
        """Whether the server computes on one."""
        return PROFILES[self.profile].on_gpu

    def repository(self, figures: Figures) -> Path:
        """The model repository to serve, made if need be; `figures` gets what its network is.

        Raises:
            GpuError: The network has to be made, and there is no PyTorch.
            OnnxError: `onnx` is something else.
        """
        if self.onnx is None:
            shipped = network_file.read(MODELS / NETWORK / "1" / "model.onnx")
            figures["network"] = {**shipped.facts(), "words": "the demo model"}
            return MODELS
        given = bench.network(self.onnx)
        figures["network"] = given.facts()
        write_repository(self.work / "models", given.path)
        return self.work / "models"
