"""What of the GPU and of the server's environment a figure depends on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = re.compile(
    r"^(cupy|onnxruntime|torch|nvidia-pytriton|nvidia-cudnn|nvidia-cublas|tensorrt)[\w-]*(?=-[\d.]+)"
)


def facts(environment: Path) -> dict[str, Any]:
    """GPUs with driver and CUDA version, and the server's packages that compute there.

    Args:
        environment: Virtual environment of the server.

    Returns:
        `gpus`, name and driver version of each, none without nvidia-smi; `cuda`, the newest that
        the driver runs, or None; and `server_packages`, versions by name.
    """
    said = _output("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    return {
        "gpus": [line.split(", ") for line in said.splitlines()],
        "cuda": cuda_version(_output("nvidia-smi")),
        "server_packages": packages(environment),
    }


def cuda_version(smi: str) -> str | None:
    """The newest CUDA that the driver runs, from the head of nvidia-smi's table."""
    found = re.search(r"CUDA (?:UMD )?Version: ([\d.]+)", smi)
    return found[1] if found else None


def packages(environment: Path) -> dict[str, str]:
    """Versions by name, of those that compute on a GPU or serve."""
    names = [path.stem for path in environment.glob("lib/python3*/site-packages/*.dist-info")]
    split = [name.replace("_", "-").rpartition("-") for name in names]
    return {
        name: version for name, _, version in sorted(split) if _PACKAGES.match(f"{name}-{version}")
    }


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
