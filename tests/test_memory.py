"""What is used no more is freed, and what was freed is given back."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from clips import gray, opened, write_clip
from instant import MODEL, serve_instant
from running import poll
from yolostream import Detector
from yolostream.errors import YolostreamError
from yolostream.pipeline.memory import give_back_memory
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

# The number of places that glibc takes memory from, of which each thread wants one of its own.
_COUNT_ARENAS = """
import ctypes, os, sys, tempfile, threading
from yolostream.pipeline.memory import limit_memory_growth
library = ctypes.CDLL(None)
library.malloc.restype = library.fdopen.restype = ctypes.c_void_p
if sys.argv[1] == "limited":
    limit_memory_growth()
together = threading.Barrier(8 * os.cpu_count())

def take():
    together.wait()
    library.malloc(100_000)
    together.wait()

threads = [threading.Thread(target=take) for _ in range(together.parties)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with tempfile.TemporaryFile() as file:
    stream = ctypes.c_void_p(library.fdopen(os.dup(file.fileno()), b"w"))
    library.malloc_info(0, stream)
    library.fclose(stream)
    file.seek(0)
    print(file.read().count(b"<heap nr"))
"""


def arenas(limit: str) -> int:
    command = [sys.executable, "-c", _COUNT_ARENAS, limit]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


def test_memory_is_shared_by_as_many_threads_as_do_not_run_at_once():
    # Modules have started a few threads of their own.
    assert arenas("limited") <= len(os.sched_getaffinity(0)) + 4 < arenas("unlimited")


def test_memory_that_is_free_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", _GROW], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) > 100


class Circle:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@contextlib.contextmanager
def without_looking() -> Iterator[None]:
    """What refers to itself stays, as it does for hours where objects are few and large."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_what_refers_to_itself_is_freed():
    with without_looking():
        gone = weakref.ref(Circle())
        assert gone() is not None
        give_back_memory()
        assert gone() is None


@pytest.mark.parametrize("fit", [None, (24, 32)])
def test_a_picture_that_nobody_uses_is_gone_at_once(tmp_path, fit):
    (source,) = opened(write_clip(tmp_path / "street.mp4", [gray(20 + n) for n in range(30)]))
    # Of tests before this one.
    others = pictures()
    with contextlib.closing(source.open(Reading(fit=fit))) as session, without_looking():
        assert sum(1 for _ in session) == 30
        left = [one for one in pictures() if all(one is not other for other in others)]
    assert not left


def pictures() -> list[av.VideoFrame]:
    """All that are in memory, but for the empty one that a decoder has at hand."""
    frames = (one for one in gc.get_objects() if isinstance(one, av.VideoFrame))
    return [frame for frame in frames if frame.width]


def shared_memory_without_a_name() -> list[str]:
    """Memory for frames that this process still has, and no server knows any more."""
    open_files = (os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink())
    return [name for name in open_files if "yolostream-frames" in name and "(deleted)" in name]


def test_memory_of_frames_that_a_server_lost_is_gone_at_once():
    frame = gray(100)
    with serve_instant() as server, Detector(server.url, MODEL) as detector:
        assert detector.transport == "shared-memory"
        detector.submit(frame).result()

        def is_back() -> bool:
            with contextlib.suppress(YolostreamError):
                detector.submit(frame).result()
                return True
            return False

        with without_looking():
            os.kill(server.process.pid, signal.SIGKILL)
            poll(
                lambda: server.health().restarts == 1 and is_back(),
                what="the server to be back",
            )
            assert not shared_memory_without_a_name()
