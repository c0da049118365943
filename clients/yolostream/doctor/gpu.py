"""Checks whether the embedded Triton can compute on a GPU."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from yolostream.doctor.check import Check, Verdict
from yolostream.errors import ServerStartError
from yolostream.server import mps
from yolostream.server.environment import ServerEnvironment
from yolostream.server.gpus import gpu_numbers

COMPILERS = ("gcc", "clang")
"""C compilers that PyTorch's compiler looks for, unless the variable CC names one."""


def gpu_profiles(folder: Path) -> list[Check]:
    """Check which profiles a GPU can serve. Problems are only notes, because the CPU serves all.

    Args:
        folder: environment of the embedded Triton.
    """
    if not gpu_numbers():
        found = "no device file of an NVIDIA GPU (/dev/nvidia0): the CPU serves everything"
        fix = "if there is a GPU, install its driver; in a container, use '--gpus all'"
        return [Check("GPU profiles", Verdict.note, found, fix)]
    try:
        environment = ServerEnvironment.check(folder)
    except ServerStartError:
        return [
            Check(
                "GPU profiles",
                Verdict.note,
                f"no embedded Triton in {folder}",
                "'yolostream install-server --profile onnx-gpu'",
            )
        ]
    return [_without_torch(environment), _torch(environment), _mps()]


def _without_torch(environment: ServerEnvironment) -> Check:
    part = "profiles onnx-gpu, cudnn-gpu"
    if environment.has_onnxruntime_gpu:
        return Check(part, Verdict.good, "CuPy and onnxruntime-gpu")
    return Check(
        part,
        Verdict.note,
        "CuPy or onnxruntime-gpu is missing",
        "'yolostream install-server --profile onnx-gpu' installs them",
    )


def _torch(environment: ServerEnvironment) -> Check:
    part = "profile torch-gpu"
    if not environment.has_torch:
        fix = (
            "'yolostream install-server --profile torch-gpu' installs them; needed for this "
            "profile only"
        )
        return Check(part, Verdict.note, "CuPy or PyTorch is missing", fix)
    compiler = next(filter(shutil.which, [os.environ.get("CC", ""), *COMPILERS]), None)
    if compiler is None:
        python = f"python{environment.python_version}-dev"
        fix = f"'apt install gcc libc6-dev {python}', or serve the profile 'onnx-gpu'"
        return Check(part, Verdict.note, "PyTorch, but not the C compiler that it needs", fix)
    return Check(part, Verdict.good, f"CuPy and PyTorch, which compiles with {compiler}")


def _mps() -> Check:
    if mps.PIPES in os.environ:
        return Check("MPS", Verdict.good, f"{mps.PIPES} names a service that runs")
    if shutil.which(mps.CONTROL):
        return Check("MPS", Verdict.good, f"{mps.CONTROL}, which 'yolostream serve' starts")
    fix = (
        "install it with the driver's tools (Ubuntu: nvidia-compute-utils-VERSION); "
        "without it the server's processes use a GPU in turns"
    )
    return Check("MPS", Verdict.note, f"no {mps.CONTROL} on PATH", fix)
