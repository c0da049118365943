"""This machine's GPUs, and what a server takes of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

GPU_POOL_BYTES = 512 << 20
"""On each GPU, for tensors between the steps: 5.5 MB a frame. The others go by the host."""
HOST_REGION_BYTES = 128 << 20
"""For each process of a step: what comes and goes in host memory. A 1080p frame is 6.2 MB."""

SERVER_MPS_SHARE = {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "25"}
"""For MPS, of tritonserver itself, which only copies: a process costs memory by its share. What it
starts has the share of whoever started it, or that of its `config.pbtxt`."""

LARGE_COPIES = {"GLIBC_TUNABLES": "glibc.cpu.x86_non_temporal_threshold=1048576"}
"""From 1 MiB on, past the caches: a frame that was sent whole is copied twice, one copy for nobody.
glibc does so above three quarters of the last cache, which in a virtual machine is the host's."""


def gpu_numbers() -> list[int]:
    """CUDA's numbers of the GPUs that a process sees here: from 0 on, whatever the driver's are."""
    devices = sum(1 for _ in Path("/dev").glob("nvidia[0-9]*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # As CUDA reads it: up to the first that is none.
        names = [name.strip() for name in visible.split(",")]
        devices = min(devices, len(list(takewhile(lambda name: name not in ("", "-1"), names))))
    return list(range(devices))


def server_variables() -> dict[str, str]:
    """Environment variables of a tritonserver that computes on a GPU, and of its steps."""
    # Who has tuned the C library knows better.
    copies = {name: os.environ.get(name, value) for name, value in LARGE_COPIES.items()}
    return {**SERVER_MPS_SHARE, **copies}


def gpu_memory_options(gpus: Sequence[int]) -> list[str]:
    """Room for what is on its way between the steps, as tritonserver's options."""
    return [
        *(f"--cuda-memory-pool-byte-size={gpu}:{GPU_POOL_BYTES}" for gpu in gpus),
        # One region that seldom grows: preprocess locks its pages once.
        f"--backend-config=python,shm-default-byte-size={HOST_REGION_BYTES}",
    ]
