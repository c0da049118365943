"""Memory is freed once it is not used, and freed memory is returned to the system."""

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

# The pieces are small, so that they are on the heap; the last one keeps the heap from shrinking.
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

# The number of malloc arenas of glibc, which creates one for each thread by default.
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


def test_there_are_no_more_malloc_arenas_than_cores():
    # A few arenas belong to threads that modules have started.
    assert arenas("limited") <= len(os.sched_getaffinity(0)) + 4 < arenas("unlimited")


def test_freed_memory_is_returned_to_the_system():
    done = subprocess.run(
        [sys.executable, "-c", _GROW], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) > 100


class Circle:
    """An object with a reference to itself."""

    def __init__(self) -> None:
        self.itself = self


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Keep reference cycles, as Python does for hours if objects are few and large."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_reference_cycles_are_freed():
    with without_garbage_collection():
        gone = weakref.ref(Circle())
        assert gone() is not None
        give_back_memory()
        assert gone() is None


@pytest.mark.parametrize("fit", [None, (24, 32)])
def test_an_unused_picture_is_freed_at_once(tmp_path, fit):
    (source,) = opened(write_clip(tmp_path / "street.mp4", [gray(20 + n) for n in range(30)]))
    # Pictures that earlier tests have left.
    others = pictures()
    with contextlib.closing(source.open(Reading(fit=fit))) as session, without_garbage_collection():
        assert sum(1 for _ in session) == 30
        left = [one for one in pictures() if all(one is not other for other in others)]
    assert not left


def pictures() -> list[av.VideoFrame]:
    """All video frames in memory, except for the empty one that each decoder has."""
    frames = (one for one in gc.get_objects() if isinstance(one, av.VideoFrame))
    return [frame for frame in frames if frame.width]


def shared_memory_without_a_name() -> list[str]:
    """The deleted shared-memory files that this process still has open."""
    open_files = (os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink())
    return [name for name in open_files if "yolostream-frames" in name and "(deleted)" in name]


def test_shared_memory_of_frames_is_freed_when_the_server_dies():
    frame = gray(100)
    with serve_instant() as server, Detector(server.url, MODEL) as detector:
        assert detector.transport == "shared-memory"
        detector.submit(frame).result()

        def answers_again() -> bool:
            with contextlib.suppress(YolostreamError):
                detector.submit(frame).result()
                return True
            return False

        with without_garbage_collection():
            os.kill(server.process.pid, signal.SIGKILL)
            poll(
                lambda: server.health().restarts == 1 and answers_again(),
                what="the server to be back",
            )
            assert not shared_memory_without_a_name()
