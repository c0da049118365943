"""What was freed is given back."""

from __future__ import annotations

import subprocess
import sys

# Small pieces, so that each is part of the heap; the last one keeps its top from shrinking.
_GROW = """
import psutil
from yolostream.pipeline.memory import give_back_memory
pieces = [bytearray(b"x" * 100_000) for _ in range(2000)]
last = pieces.pop()
pieces.clear()
before = psutil.Process().memory_info().rss
give_back_memory()
print((before - psutil.Process().memory_info().rss) / 1e6)
"""


def test_memory_that_is_free_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", _GROW], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) > 100
