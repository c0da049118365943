"""Checks and builds a TensorRT plan."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import onnx
from yolostream import __version__

from tools.digest import sha256_of
from tools.engine import trtexec
from tools.engine.progress import showing
from tools.engine.recipe import Recipe
from tools.engine.sidecar import Sidecar, differences, read_sidecar, sidecar_of
from tools.errors import EngineError
from tools.exporting.half import to_fp16
from tools.onnx_file import load_onnx


@dataclass(frozen=True)
class Target:
    """The plan to check or build.

    Attributes:
        plan: Path of the plan, which need not exist.
        recipe: The network and shapes that it has to be built for.
        image: Docker image to use even if there is a local trtexec; None for the default.
    """

    plan: Path
    recipe: Recipe
    image: str | None

    def run(
        self, arguments: list[str], folder: Path, show: Callable[[str], None]
    ) -> trtexec.Outcome:
        """Run trtexec with access to `folder`; `show` gets each line of its output."""
        return trtexec.run([*trtexec.command(folder, image=self.image), *arguments], show)


def misfits(target: Target) -> list[str]:
    """Why a plan does not fit; empty if it does. It checks the sidecar and runs the plan once.

    Raises:
        EngineError: TensorRT cannot be started, or finds no GPU.
    """
    sidecar = read_sidecar(target.plan)
    if not target.plan.is_file():
        return ["not built yet"]
    if sidecar is None:
        return [f"{sidecar_of(target.plan).name} beside it is missing or damaged"]
    if sidecar.plan_sha256 != sha256_of(target.plan):
        return [f"its SHA-256 is not the one in {sidecar_of(target.plan).name}"]
    if found := differences(sidecar.recipe, target.recipe):
        return found
    with showing("trying", expected_s=None) as show:
        arguments = trtexec.load_arguments(target.plan, target.recipe)
        outcome = target.run(arguments, target.plan.parent, show)
    found = differences(sidecar.machine, outcome.machine)
    return found or ([outcome.failure] if outcome.failure else [])


def build(target: Target, *, workspace_gib: float | None) -> Sidecar:
    """Build a plan, and replace the existing one if that succeeds.

    Args:
        target: The plan to build.
        workspace_gib: Largest workspace of a kernel in GPU memory, in GiB; None for all memory.

    Raises:
        EngineError: TensorRT cannot be started or cannot build the plan, or the folder cannot be
            written.
        OnnxError: The network cannot be read.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".building-", dir=target.plan.parent) as folder:
            return _build_in(Path(folder), target, workspace_gib)
    except OSError as error:
        raise EngineError(f"cannot write {target.plan}: {error.strerror}") from error


def _build_in(folder: Path, target: Target, workspace_gib: float | None) -> Sidecar:
    new = folder / target.plan.name
    network = folder / "model.onnx"
    onnx.save(to_fp16(load_onnx(target.plan.with_name("model.onnx"))), network)
    started = time.monotonic()
    machine = _run_builder(target, network, new, workspace_gib)
    sidecar = Sidecar(
        recipe=target.recipe,
        machine=machine,
        build_seconds=round(time.monotonic() - started, 1),
        plan_bytes=new.stat().st_size,
        plan_sha256=sha256_of(new),
        tool_version=__version__,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    sidecar.write(sidecar_of(new))
    # The plan is moved first. If the process dies in between, the plan does not match the sidecar,
    # and is built again.
    for made in (new, sidecar_of(new), _cache_of(new)):
        if made.exists():
            os.replace(made, target.plan.with_name(made.name))
    return sidecar


def _run_builder(
    target: Target, network: Path, new: Path, workspace_gib: float | None
) -> trtexec.Machine:
    previous = read_sidecar(target.plan)
    cache = _cache_of(new)
    if _cache_of(target.plan).exists():
        shutil.copyfile(_cache_of(target.plan), cache)
    arguments = trtexec.build_arguments(
        network, new, cache, target.recipe, workspace_gib=workspace_gib
    )
    with showing("building", previous.build_seconds if previous else None) as show:
        outcome = target.run(arguments, new.parent, show)
        if "TimingCache" in outcome.failure:
            # The cache is damaged, or from another version of TensorRT.
            cache.unlink(missing_ok=True)
            outcome = target.run(arguments, new.parent, show)
    if outcome.failure:
        raise EngineError(f"TensorRT built no plan on {outcome.machine}: {outcome.failure}")
    if not new.is_file() or not new.stat().st_size:
        raise EngineError(f"trtexec on {outcome.machine} ended with code 0, but wrote no plan")
    return outcome.machine


def _cache_of(plan: Path) -> Path:
    """Path of the timing cache of kernels, which makes the next build faster."""
    return plan.with_name(plan.name + ".cache")
