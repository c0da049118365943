"""Compiles the CUDA kernels of the stages for the CPU, to test their arithmetic without a GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

COMPILER = shutil.which("c++")
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="no C++ compiler: the kernels are tested on GPUs only"
)

_MODELS = Path(__file__).parents[2] / "model_repository"
# A contraction (fused multiply-add) rounds once where the CPU stage rounds twice. The GPU stages
# give CuPy the same option.
_OPTIONS = ("-std=c++20", "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-pthread")


def compiled(name: str, *, model: str, folder: Path, **macros: int) -> ctypes.CDLL:
    """Compile `NAME.cpp` in this folder with the kernels of `model` to a shared library."""
    library = folder / f"lib{name}.so"
    subprocess.run(
        [
            str(COMPILER),
            *_OPTIONS,
            *(f"-D{macro}={value}" for macro, value in macros.items()),
            f"-I{_MODELS / model / '1'}",
            str(Path(__file__).with_name(f"{name}.cpp")),
            f"-o{library}",
        ],
        check=True,
    )
    return ctypes.CDLL(str(library))


def address(array) -> ctypes.c_void_p:
    """The address of an array's first byte."""
    return ctypes.c_void_p(array.ctypes.data)
