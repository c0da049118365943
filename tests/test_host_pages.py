from __future__ import annotations

import mmap
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from version_folder import part

mapping_around = part("preprocess", "host_pages").mapping_around


def address(buffer):
    return np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]


def test_the_mapping_around_a_frame_in_shared_memory_is_all_of_it():
    memory = SharedMemory(create=True, size=3 * mmap.PAGESIZE)
    try:
        start = address(memory.buf)
        maps = Path("/proc/self/maps").read_text()
        assert mapping_around(start + 5000, maps) == range(start, start + 3 * mmap.PAGESIZE)
    finally:
        memory.close()
        memory.unlink()


def test_other_memory_is_left_alone():
    maps = Path("/proc/self/maps").read_text()
    assert not mapping_around(address(np.zeros(10_000_000, np.uint8)), maps)
    assert not mapping_around(0, maps)
