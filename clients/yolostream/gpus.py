"""This machine's GPUs, and the memory that a server takes for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

GPU_POOL_BYTES = 512 << 20
"""On each GPU, for tensors between the steps: 5.5 MB a frame. The others go by the host."""
HOST_REGION_BYTES = 128 << 20
"""For each process of a step: what comes and goes in host memory. A 1080p frame is 6.2 MB."""


def gpu_numbers() -> list[int]:
    """Numbers of this machine's GPUs, as a process sees them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return list(range(len([number for number in visible.split(",") if number])))
    return sorted(int(path.name[len("nvidia") :]) for path in Path("/dev").glob("nvidia[0-9]*"))


def gpu_memory_options(gpus: Sequence[int]) -> list[str]:
    """Room for what is on its way between the steps, as tritonserver's options."""
    return [
        *(f"--cuda-memory-pool-byte-size={gpu}:{GPU_POOL_BYTES}" for gpu in gpus),
        # One region that never grows: preprocess locks its pages once.
        f"--backend-config=python,shm-default-byte-size={HOST_REGION_BYTES}",
    ]
