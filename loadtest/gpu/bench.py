"""What has to be there before anything is measured: the network, its repository, perf_analyzer."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from loadtest.errors import GpuError
from loadtest.gpu import network_file
from loadtest.gpu.model_folders import write_repository
from loadtest.gpu.network_file import Network
from loadtest.gpu.nvidia_smi import facts
from loadtest.perf import binary, inputs
from loadtest.perf.points import DOWNSCALED
from loadtest.result_file import writing

console = Console(stderr=True)

Quick = Annotated[bool, typer.Option("--quick", help="Short windows: rough figures.")]
Environment = Annotated[Path, typer.Option(help="Virtual environment of the server.")]
Onnx = Annotated[
    Path | None,
    typer.Option(help="The network; made there if it is missing, which needs PyTorch."),
]
Raw = Annotated[Path, typer.Option(help="What perf_analyzer wrote goes into here.")]
Output = Annotated[Path, typer.Option(help="Where the figures go.")]


@dataclass(frozen=True)
class Lengths:
    """How long each part is measured: a machine with a GPU is lent for minutes.

    Attributes:
        window_s: Seconds of a window of perf_analyzer, which takes three for each row.
        camera_window_s: The same, for each number of cameras that is tried.
        bare_window_s: The same, of the bare engine.
        bare_windows: Such windows for each batch size.
        stage_repeats: Calls of `preprocess` and `nms`.
    """

    window_s: float
    camera_window_s: float
    bare_window_s: float
    bare_windows: int
    stage_repeats: int


FULL = Lengths(1.5, 1.0, bare_window_s=0.4, bare_windows=5, stage_repeats=200)
QUICK = Lengths(0.5, 0.5, bare_window_s=0.2, bare_windows=3, stage_repeats=50)


@dataclass(frozen=True)
class Bench:
    """What every measurement needs.

    Attributes:
        perf: perf_analyzer.
        network: That is served.
        environment: Virtual environment of the server.
        repository: Model repository to serve.
        work: Folder for files that are sent.
        raw: Folder for what perf_analyzer writes.
        lengths: How long to measure.
    """

    perf: binary.PerfAnalyzer
    network: Network
    environment: Path
    repository: Path
    work: Path
    raw: Path
    lengths: Lengths


def network(path: Path) -> Network:
    """The network at `path`, made there if need be.

    Raises:
        GpuError: It has to be made, and there is no PyTorch.
        OnnxError: The file is something else.
    """
    if not path.exists():
        _make(path)
    return network_file.read(path)


def _make(path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        raise GpuError(
            "the network is made with PyTorch, which is not here: run it from .venv-tools "
            "('make tools'), or give --onnx a file that is there"
        )
    from loadtest.gpu import random_network

    with console.status("making a YOLOv7 with random weights"):
        random_network.export(path, inputs.frames(DOWNSCALED))


@contextlib.contextmanager
def opened(
    output: Path,
    *,
    tool: str,
    onnx: Path | None,
    environment: Path,
    raw: Path,
    quick: bool,
) -> Iterator[tuple[Bench, dict[str, Any]]]:
    """Make ready what every measurement needs, and write the figures that the block collects.

    Args:
        output: File of the figures, written as `loadtest.result_file.writing` does.
        tool: Dotted name of the script, as after `python -m`.
        onnx: File of the network, made there if need be; by default one that is gone afterwards.
        environment: Virtual environment of the server.
        raw: Gets a folder of this run, for what perf_analyzer writes.
        quick: Measure shorter.

    Yields:
        The bench, and the figures, which already have `gpu` and `network`: what is measured.

    Raises:
        GpuError: The network has to be made, and there is no PyTorch.
        OnnxError: `onnx` is something else.
        PerfAnalyzerError: It cannot be had, or does not start.
        ResultError: `output` cannot be written.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gpu-") as scratch,
        writing(output, tool=tool) as figures,
    ):
        work = Path(scratch)
        given = network(onnx or work / "model.onnx")
        libraries, repository = work / "libraries", work / "models"
        libraries.mkdir()
        write_repository(repository, given.path)
        figures |= {"gpu": facts(environment), "network": given.facts()}
        ready = Bench(
            perf=binary.ready(libraries, server_environment=environment),
            network=given,
            environment=environment,
            repository=repository,
            work=work,
            raw=raw / f"{datetime.now():%Y%m%d-%H%M%S}",
            lengths=QUICK if quick else FULL,
        )
        yield ready, figures


def say(words: str) -> None:
    """Tell people how far it is."""
    console.print(words, highlight=False, soft_wrap=True)
