"""This machine's GPUs, and a server's settings for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

GPU_POOL_BYTES = 512 << 20
"""Size of Triton's memory pool on each GPU, for tensors between the steps: 5.5 MB per frame.

If it is full, further tensors are copied through host memory.
"""
HOST_REGION_BYTES = 128 << 20
"""Shared memory of each step's process, for tensors in host memory. A 1080p frame has 6.2 MB."""

SERVER_MPS_SHARE = {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "25"}
"""Percentage of a GPU's threads that MPS gives to the process of tritonserver.

tritonserver only copies, so it needs few threads, and a smaller percentage uses less GPU memory.
The processes of the models do not inherit the value. They use the variable's value from before the
start, or else the one in their `config.pbtxt`.
"""

LARGE_COPIES = {"GLIBC_TUNABLES": "glibc.cpu.x86_non_temporal_threshold=1048576"}
"""Makes copies of 1 MiB or more bypass the CPU's caches.

The server copies a 1080p frame in shared memory twice, and this makes it faster. By default, glibc
bypasses the caches for copies larger than three quarters of the last-level cache. A virtual machine
may report the whole host's cache, and then no frame is large enough.
"""


def gpu_numbers() -> list[int]:
    """CUDA's numbers of the visible GPUs: 0, 1, ... They may differ from the driver's numbers."""
    devices = sum(1 for _ in Path("/dev").glob("nvidia[0-9]*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # CUDA ignores all entries after the first that is not a device.
        names = [name.strip() for name in visible.split(",")]
        devices = min(devices, len(list(takewhile(lambda name: name not in ("", "-1"), names))))
    return list(range(devices))


def server_variables() -> dict[str, str]:
    """Environment variables for a tritonserver on a GPU and its steps."""
    return {**SERVER_MPS_SHARE, **large_copies()}


def large_copies() -> dict[str, str]:
    """`LARGE_COPIES`, unless the variable is set already."""
    return {name: os.environ.get(name, value) for name, value in LARGE_COPIES.items()}


def gpu_memory_options(gpus: Sequence[int]) -> list[str]:
    """Options for tritonserver: memory for the tensors between the steps."""
    return [
        *(f"--cuda-memory-pool-byte-size={gpu}:{GPU_POOL_BYTES}" for gpu in gpus),
        # Large from the start, because `preprocess` page-locks the region again when it grows.
        f"--backend-config=python,shm-default-byte-size={HOST_REGION_BYTES}",
    ]
