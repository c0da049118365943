"""Memory in use on the GPUs, by whomever, as nvidia-smi tells it."""

from __future__ import annotations

import subprocess
import time

from loadtest.errors import GpuError

_QUERY = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
_MIB = 2**20
_SETTLING_S = 0.5


def used_gb() -> float:
    """Gigabytes (10**9 bytes) in use on all GPUs together.

    Raises:
        GpuError: nvidia-smi is not there, or does not tell.
    """
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise GpuError(f"nvidia-smi does not tell the GPU's memory ({error})") from error
    return parsed_gb(done.stdout)


def settled_gb() -> float:
    """What is in use once it falls no further: processes that have ended give it back late.

    Raises:
        GpuError: as `used_gb`.
    """
    before, now = float("inf"), used_gb()
    while now < before:
        time.sleep(_SETTLING_S)
        before, now = now, used_gb()
    return now


def parsed_gb(output: str) -> float:
    """Gigabytes of all lines, each MiB of one GPU.

    Raises:
        GpuError: A line is no number.
    """
    try:
        return sum(int(line) for line in output.split()) * _MIB / 1e9
    except ValueError as error:
        raise GpuError(f"nvidia-smi tells no memory in use, but {output.strip()!r}") from error
