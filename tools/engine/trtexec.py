"""Runs TensorRT's command trtexec, which NVIDIA's Triton image contains.

So the plan is built by the same TensorRT that serves it, and the image needs no further packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.engine.recipe import Recipe
from tools.errors import EngineError

IMAGE = "nvcr.io/nvidia/tritonserver:24.08-py3"
"""The image that serves the plan. A plan fits only the TensorRT version that built it."""
IN_IMAGE = "/usr/src/tensorrt/bin/trtexec"

_STOP_TIMEOUT_S = 30.0
_TAIL = 15
# One batch is enough to show that a plan runs.
_ONE_BATCH = ["--iterations=1", "--duration=0", "--warmUp=0"]
_STAMP = re.compile(r"^\[[\d/:-]+\] ")
_MACHINE = re.compile(
    r"\] (Selected Device|Compute Capability|TensorRT version): (.+)$", re.MULTILINE
)
_FIXES = {
    "could not select device driver": "install the NVIDIA Container Toolkit",
    "Cannot connect to the Docker daemon": "start Docker",
    "no CUDA-capable device": "check with nvidia-smi whether there is a GPU",
    "Cannot find any available devices": "check with nvidia-smi whether there is a GPU",
    "out of memory": "free memory of the GPU, or allow less with --workspace-gib",
    "OutOfMemory": "free memory of the GPU, or allow less with --workspace-gib",
    "Unknown option": "use TensorRT 10 or newer",
}


@dataclass(frozen=True)
class Machine:
    """The GPU and TensorRT version that a plan is built for."""

    gpu: str
    compute_capability: str
    tensorrt: str

    def __str__(self) -> str:
        return f"{self.gpu} (compute {self.compute_capability}), TensorRT {self.tensorrt}"


@dataclass(frozen=True)
class Outcome:
    """The result of running trtexec.

    Attributes:
        machine: GPU and TensorRT that it ran with.
        failure: TensorRT's error and the fix; empty if it succeeded.
    """

    machine: Machine
    failure: str


def command(folder: Path, *, image: str | None) -> list[str]:
    """The command that starts trtexec, locally or in a container.

    Args:
        folder: Folder that is mounted in the container, under the same path.
        image: Docker image to use even if there is a local trtexec; None for the default.

    Raises:
        EngineError: There is neither trtexec nor Docker.
    """
    local = shutil.which("trtexec") or shutil.which(IN_IMAGE)
    if local and not image:
        return [local]
    docker = shutil.which("docker")
    if not docker:
        raise EngineError(
            f"neither trtexec nor docker is on PATH: install Docker and the NVIDIA Container "
            f"Toolkit, or run this where TensorRT is installed, as in {IMAGE}"
        )
    here = folder.resolve()
    return [
        *(docker, "run", "--rm", "--gpus", "all"),
        # As process 1, trtexec would ignore SIGTERM.
        "--init",
        *("--user", f"{os.getuid()}:{os.getgid()}"),
        *("--mount", f"type=bind,source={here},target={here}"),
        *(image or IMAGE, IN_IMAGE),
    ]


def build_arguments(
    onnx: Path, plan: Path, cache: Path, recipe: Recipe, *, workspace_gib: float | None
) -> list[str]:
    """Arguments that make trtexec build a plan and run its `opt_batch` once."""
    return [
        f"--onnx={onnx.resolve()}",
        f"--saveEngine={plan.resolve()}",
        f"--timingCacheFile={cache.resolve()}",
        f"--minShapes={recipe.shape(recipe.min_batch)}",
        f"--optShapes={recipe.shape(recipe.opt_batch)}",
        f"--maxShapes={recipe.shape(recipe.max_batch)}",
        # Needed for TensorRT 10; in TensorRT 11 it is the only mode.
        "--stronglyTyped",
        *([f"--memPoolSize=workspace:{workspace_gib * 1024:.0f}"] if workspace_gib else []),
        *_ONE_BATCH,
    ]


def load_arguments(plan: Path, recipe: Recipe) -> list[str]:
    """Arguments that make trtexec load a plan and run its largest batch once.

    --skipInference is not used, because with it trtexec accepts plans that it cannot load.
    """
    return [
        f"--loadEngine={plan.resolve()}",
        f"--shapes={recipe.shape(recipe.max_batch)}",
        *_ONE_BATCH,
    ]


def run(arguments: list[str], show: Callable[[str], None]) -> Outcome:
    """Run trtexec and wait for its end. An exception in this process stops it.

    Args:
        arguments: Command and arguments.
        show: Called with each line of its output.

    Raises:
        EngineError: It could not be started, or found no GPU.
    """
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise EngineError(f"cannot start {arguments[0]}: {error.strerror}") from error
    with process:
        try:
            for line in process.stdout or ():
                if text := _STAMP.sub("", line.strip()):
                    lines.append(text)
                    show(text)
            process.wait()
        finally:
            _stop(process)
    failure = _explain(lines, process.returncode) if process.returncode else ""
    return Outcome(_machine(lines, failure), failure)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _explain(lines: list[str], code: int) -> str:
    text = "\n".join(lines)
    fixes = dict.fromkeys(fix for mark, fix in _FIXES.items() if mark in text)
    errors = [line for line in lines if line.startswith("[E]")] or lines[-_TAIL:]
    return "\n".join([": ".join([f"trtexec ended with code {code}", *fixes]), *errors])


def _machine(lines: list[str], failure: str) -> Machine:
    values = dict(_MACHINE.findall("\n".join(lines)))
    try:
        return Machine(
            values["Selected Device"], values["Compute Capability"], values["TensorRT version"]
        )
    except KeyError as error:
        raise EngineError(failure or f"trtexec did not print its {error}") from error
