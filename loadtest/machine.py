"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil
from yolostream import __version__
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated

from loadtest.repository import REPOSITORY

_TIMEOUT_S = 10.0


def machine(url: str | None = None) -> dict[str, object]:
    """Processor, memory, GPUs and versions of this machine.

    Args:
        url: gRPC address of a Triton whose version is to be added, under `triton`.

    Raises:
        ServerUnavailable: nobody answers at `url`.
    """
    facts: dict[str, object] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": _gpus(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("onnxruntime", "tritonclient")},
        "yolostream": __version__,
        "commit": _commit(),
    }
    if url is not None:
        facts["triton"] = _triton_version(url)
    return facts


def _processor() -> str:
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    return _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()


def _commit() -> str:
    return _output("git", "rev-parse", "--short", "HEAD").strip()


def _output(*command: str) -> str:
    """What a command says; nothing where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    return done.stdout if done.returncode == 0 else ""


def _triton_version(url: str) -> str:
    with translated(url, "server"), connect(url) as client:
        return str(client.get_server_metadata(client_timeout=_TIMEOUT_S).version)
