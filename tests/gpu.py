"""Tests that need a GPU: skipped by name, and a failure where REQUIRE_GPU=1 promises one."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest


def _missing() -> str:
    """What a GPU test lacks on this machine; empty where it lacks nothing."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return "an NVIDIA GPU (/dev/nvidia0)"
    if importlib.util.find_spec("cupy") is None:
        return "cupy (pip install --no-deps -r requirements/gpu-client.txt)"
    return ""


_MISSING = _missing()
HAS_GPU = not _MISSING

if _MISSING and os.environ.get("REQUIRE_GPU") == "1":
    raise ImportError(f"REQUIRE_GPU=1, but this machine lacks {_MISSING}")

needs_gpu = pytest.mark.skipif(
    not HAS_GPU, reason=f"needs {_MISSING}; REQUIRE_GPU=1 makes this a failure"
)
"""Marks a test, or a whole file as its `pytestmark`."""
