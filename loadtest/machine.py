"""The machine that measures: its processor, GPUs, packages, and the Triton that is measured."""

from __future__ import annotations

import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from yolostream import __version__
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.server.gpus import gpu_numbers

from loadtest.errors import GpuError
from loadtest.processes import output_of

HAS_GPU = bool(gpu_numbers())
_TIMEOUT_S = 10.0
_MIB = 2**20
_SETTLING_S = 0.5
_PACKAGES = re.compile(
    r"^(cupy|onnxruntime|torch|nvidia-pytriton|nvidia-cudnn|nvidia-cublas|tensorrt)[\w-]*(?=-[\d.]+)"
)


def machine(url: str | None = None) -> dict[str, object]:
    """The processor, memory, GPUs and versions of this machine, and of the Triton at `url`."""
    facts: dict[str, object] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": nvidia_smi("name"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("onnxruntime", "tritonclient")},
        "yolostream": __version__,
        "commit": output_of("git", "rev-parse", "--short", "HEAD").strip(),
    }
    if url is not None:
        facts["triton"] = triton_version(url)
    return facts


def _processor() -> str:
    told = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return told[1].strip() if told else platform.processor()


def triton_version(url: str) -> str:
    """The version of the Triton at a gRPC address."""
    with translated(url, "server"), connect(url) as client:
        return str(client.get_server_metadata(client_timeout=_TIMEOUT_S).version)


def nvidia_smi(columns: str) -> list[str]:
    """A line for each GPU, with columns of `nvidia-smi --query-gpu`; none without nvidia-smi."""
    form = "--format=csv,noheader,nounits"
    told = output_of("nvidia-smi", f"--query-gpu={columns}", form)
    return [line.strip() for line in told.splitlines()]


def gpu_facts(environment: Path) -> dict[str, Any]:
    """The GPUs, and the packages in the server's environment that compute on them.

    Returns:
        `gpus`, name and driver version of each; `cuda`, the newest that the driver runs, or None;
        and `server_packages`, versions by name.
    """
    return {
        "gpus": [line.split(", ") for line in nvidia_smi("name,driver_version")],
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


def gpu_busy() -> float | None:
    """Share of the time in which the busiest GPU computed, 0..1; None without one."""
    shares = [int(share) for share in nvidia_smi("utilization.gpu") if share.isdecimal()]
    return max(shares) / 100 if shares else None


def gpu_memory_gb() -> float:
    """Gigabytes (10**9 bytes) in use on all GPUs together, by all programs."""
    mib = nvidia_smi("memory.used")
    if not mib or not all(one.isdecimal() for one in mib):
        raise GpuError(f"nvidia-smi reports no memory in use, but {mib}")
    return sum(map(int, mib)) * _MIB / 1e9


def settled_gpu_memory_gb() -> float:
    """What is in use when it falls no further: processes that have ended release it late."""
    before, now = float("inf"), gpu_memory_gb()
    while now < before:
        time.sleep(_SETTLING_S)
        before, now = now, gpu_memory_gb()
    return now
