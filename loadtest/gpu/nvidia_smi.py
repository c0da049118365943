"""What nvidia-smi reports: the GPUs, their driver, and the memory in use."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from loadtest.errors import GpuError
from loadtest.processes import output_of

_MIB = 2**20
_SETTLING_S = 0.5
_PACKAGES = re.compile(
    r"^(cupy|onnxruntime|torch|nvidia-pytriton|nvidia-cudnn|nvidia-cublas|tensorrt)[\w-]*(?=-[\d.]+)"
)


def facts(environment: Path) -> dict[str, Any]:
    """The GPUs, and the packages of the server that compute on them.

    Returns:
        `gpus`, name and driver version of each, none without nvidia-smi; `cuda`, the newest that
        the driver runs, or None; and `server_packages`, versions by name.
    """
    gpus = output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    return {
        "gpus": [line.split(", ") for line in gpus.splitlines()],
        "cuda": cuda_version(output_of("nvidia-smi")),
        "server_packages": packages(environment),
    }


def cuda_version(smi: str) -> str | None:
    """The newest CUDA that the driver runs, from the head of nvidia-smi's table."""
    found = re.search(r"CUDA (?:UMD )?Version: ([\d.]+)", smi)
    return found[1] if found else None


def packages(environment: Path) -> dict[str, str]:
    """Versions by name, of the packages that compute on a GPU or serve."""
    names = [path.stem for path in environment.glob("lib/python3*/site-packages/*.dist-info")]
    split = [name.replace("_", "-").rpartition("-") for name in names]
    return {
        name: version for name, _, version in sorted(split) if _PACKAGES.match(f"{name}-{version}")
    }


def used_gb() -> float:
    """Gigabytes (10**9 bytes) in use on all GPUs together, by all programs.

    Raises:
        GpuError: nvidia-smi does not report it.
    """
    output = output_of("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    mib = output.split()
    if not mib or not all(one.isdecimal() for one in mib):
        raise GpuError(f"nvidia-smi reports no memory in use, but {output.strip()!r}")
    return sum(map(int, mib)) * _MIB / 1e9


def settled_gb() -> float:
    """What is in use when it falls no further: processes that have ended release it late."""
    before, now = float("inf"), used_gb()
    while now < before:
        time.sleep(_SETTLING_S)
        before, now = now, used_gb()
    return now
