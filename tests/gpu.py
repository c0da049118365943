"""Marks for tests that need one or two GPUs. They are skipped if the machine has fewer; with
REQUIRE_GPU=1 or 2, that is an error instead."""

from __future__ import annotations

import importlib.util
import os

import pytest
from yolostream.server.gpus import gpu_numbers

_REQUIRED = int(os.environ.get("REQUIRE_GPU") or 0)
_GPUS = len(gpu_numbers())


def _missing() -> str:
    """What a GPU test needs and this machine lacks; empty if it lacks nothing."""
    if not _GPUS:
        return "an NVIDIA GPU (/dev/nvidia0, and CUDA_VISIBLE_DEVICES may not hide it)"
    if importlib.util.find_spec("cupy") is None:
        return "cupy (pip install --no-deps -r requirements/gpu-client.txt)"
    return ""


_MISSING = _missing()
HAS_GPU = not _MISSING

if _REQUIRED and _MISSING:
    raise ImportError(f"REQUIRE_GPU={_REQUIRED}, but this machine lacks {_MISSING}")
if _REQUIRED > _GPUS:
    raise ImportError(f"REQUIRE_GPU={_REQUIRED}, but this machine has {_GPUS} GPUs")

needs_gpu = pytest.mark.skipif(
    not HAS_GPU, reason=f"needs {_MISSING}; REQUIRE_GPU=1 makes this a failure"
)
"""Marks a test, or a whole file as its `pytestmark`."""

needs_two_gpus = pytest.mark.skipif(
    _GPUS < 2, reason="needs two NVIDIA GPUs; REQUIRE_GPU=2 makes this a failure"
)
"""Marks a test."""
