"""What is used no more is freed, and what was freed is given back."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys

import av
import pytest
from clips import gray, opened, write_clip
from yolostream.sources import Reading

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


@pytest.mark.parametrize("fit", [None, (24, 32)])
def test_a_picture_that_nobody_uses_is_gone_at_once(tmp_path, fit):
    (source,) = opened(write_clip(tmp_path / "street.mp4", [gray(20 + n) for n in range(30)]))
    with contextlib.closing(source.open(Reading(fit=fit))) as session:
        gc.collect()
        # Whatever refers to itself would be found much later: pictures are large, and few objects.
        gc.disable()
        try:
            assert sum(1 for _ in session) == 30
            frames = [one for one in gc.get_objects() if isinstance(one, av.VideoFrame)]
        finally:
            gc.enable()
    # The decoder has an empty one at hand.
    assert not any(frame.width for frame in frames)
