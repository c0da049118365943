"""This machine's GPUs, and what a server takes of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

GPU_POOL_BYTES = 512 << 20
"""Triton's pool on each GPU for tensors between the steps, 5.5 MB a frame.

Once it is full, further tensors go through host memory.
"""
HOST_REGION_BYTES = 128 << 20
"""Shared memory of each process of a step, for tensors in host memory. A 1080p frame is 6.2 MB."""

SERVER_MPS_SHARE = {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "25"}
"""Percentage of a GPU's threads that MPS gives to tritonserver itself.

tritonserver only copies, so it needs few, and with a smaller percentage it takes less GPU memory.
The processes of the models do not inherit it. They get the percentage in the environment of whoever
started the server, or else the one in their `config.pbtxt`.
"""

LARGE_COPIES = {"GLIBC_TUNABLES": "glibc.cpu.x86_non_temporal_threshold=1048576"}
"""From 1 MiB on, copies bypass the processor's caches.

A 1080p frame in shared memory is copied twice inside the server, and this makes it faster. By
itself glibc bypasses the caches above three quarters of the last-level cache. In a virtual machine
it may take the whole host's cache for that, and then no frame is large enough.
"""


def gpu_numbers() -> list[int]:
    """CUDA's numbers of the GPUs that are visible here: 0, 1, ..., whatever the driver's are."""
    devices = sum(1 for _ in Path("/dev").glob("nvidia[0-9]*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # As CUDA reads it: the list ends at the first entry that is no device.
        names = [name.strip() for name in visible.split(",")]
        devices = min(devices, len(list(takewhile(lambda name: name not in ("", "-1"), names))))
    return list(range(devices))


def server_variables() -> dict[str, str]:
    """Environment variables of a tritonserver that computes on a GPU, and of its steps."""
    return {**SERVER_MPS_SHARE, **large_copies()}


def large_copies() -> dict[str, str]:
    """`LARGE_COPIES`, unless the user has tuned glibc already."""
    return {name: os.environ.get(name, value) for name, value in LARGE_COPIES.items()}


def gpu_memory_options(gpus: Sequence[int]) -> list[str]:
    """Options of tritonserver for the memory of tensors between the steps."""
    return [
        *(f"--cuda-memory-pool-byte-size={gpu}:{GPU_POOL_BYTES}" for gpu in gpus),
        # Large from the start, so that it seldom grows: `preprocess` page-locks each region.
        f"--backend-config=python,shm-default-byte-size={HOST_REGION_BYTES}",
    ]
