from __future__ import annotations

import mmap
import subprocess
import sys
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from version_folder import part

host_pages = part("preprocess", "host_pages")
mapping_around = host_pages.mapping_around

_FRESH_PAGES_OF_TWO_REQUESTS = """
import resource, sys
import numpy as np
sys.path.insert(0, {folder!r})
import host_pages
if {keeping}:
    host_pages.keep_freed_memory()
requests = lambda: [np.full(size, 1, np.uint8) for size in (6_220_800, 49_766_400)]
requests()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
requests()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def address(buffer):
    return np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]


def test_the_mapping_around_a_frame_is_the_whole_shared_memory():
    memory = SharedMemory(create=True, size=3 * mmap.PAGESIZE)
    try:
        start = address(memory.buf)
        maps = Path("/proc/self/maps").read_text()
        assert mapping_around(start + 5000, maps) == range(start, start + 3 * mmap.PAGESIZE)
    finally:
        memory.close()
        memory.unlink()


def test_other_memory_has_no_mapping():
    maps = Path("/proc/self/maps").read_text()
    assert not mapping_around(address(np.zeros(10_000_000, np.uint8)), maps)
    assert not mapping_around(0, maps)


def test_freed_memory_of_frames_is_reused():
    def fresh_pages(keeping: bool) -> int:
        program = _FRESH_PAGES_OF_TWO_REQUESTS.format(
            folder=str(Path(host_pages.__file__).parent), keeping=keeping
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert fresh_pages(keeping=True) < 10 < fresh_pages(keeping=False)
