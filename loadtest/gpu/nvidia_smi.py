"""What nvidia-smi tells: which GPUs there are, how busy they are, and how much memory is in use."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from loadtest.errors import GpuError

_MIB = 2**20
_SETTLING_S = 0.5
_USAGE = ("busy_percent", "clock_mhz", "power_w")
_USAGE_QUERY = "--query-gpu=utilization.gpu,clocks.sm,power.draw"
_USAGE_EVERY_MS = 200
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
    gpus = _output("--query-gpu=name,driver_version", "--format=csv,noheader")
    return {
        "gpus": [line.split(", ") for line in gpus.splitlines()],
        "cuda": cuda_version(_output()),
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


def _output(*options: str) -> str:
    """What it says; nothing where it is not there or fails."""
    try:
        done = subprocess.run(["nvidia-smi", *options], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def used_gb() -> float:
    """Gigabytes (10**9 bytes) in use on all GPUs together, by whomever.

    Raises:
        GpuError: nvidia-smi is not there, or does not tell.
    """
    return parsed_gb(_output("--query-gpu=memory.used", "--format=csv,noheader,nounits"))


def parsed_gb(output: str) -> float:
    """Gigabytes of all lines, each MiB of one GPU.

    Raises:
        GpuError: There is no line, or one is no number.
    """
    try:
        mib = [int(line) for line in output.split()]
    except ValueError:
        mib = []
    if not mib:
        raise GpuError(f"nvidia-smi tells no memory in use, but {output.strip()!r}")
    return sum(mib) * _MIB / 1e9


def settled_gb() -> float:
    """What is in use once it falls no further: processes that have ended give it back late.

    Raises:
        GpuError: As `used_gb`.
    """
    before, now = float("inf"), used_gb()
    while now < before:
        time.sleep(_SETTLING_S)
        before, now = now, used_gb()
    return now


@contextlib.contextmanager
def sampled() -> Iterator[dict[str, float]]:
    """Watch how busy the first GPU is inside the block.

    Yields:
        Empty; after the block what `usage` returns, or nothing without nvidia-smi.
    """
    seen: dict[str, float] = {}
    command = ["nvidia-smi", "-i", "0", _USAGE_QUERY, "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(
            [*command, f"--loop-ms={_USAGE_EVERY_MS}"], stdout=subprocess.PIPE, text=True
        )
    except OSError:
        yield seen
        return
    try:
        yield seen
    finally:
        process.terminate()
        # A few lines a second fit into the pipe.
        output, _ = process.communicate()
        seen |= usage(output)


def usage(output: str) -> dict[str, float]:
    """Medians of the busier half of the samples: before and after the load there is none.

    Returns:
        `busy_percent`, of the time in which any kernel ran; `clock_mhz`; `power_w`. Empty
        without a sample.
    """
    samples = []
    for line in output.splitlines():
        # The last line may be half a one, and a card may not tell its power.
        with contextlib.suppress(ValueError):
            values = [float(value) for value in line.split(",")]
            if len(values) == len(_USAGE):
                samples.append(values)
    busier = sorted(samples, reverse=True)[: (len(samples) + 1) // 2]
    return dict(zip(_USAGE, map(median, zip(*busier, strict=True)), strict=False))
