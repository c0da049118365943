"""Threads that send frames continuously, and compare every answer with the right one."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from yolostream import Detections, Detector
from yolostream.errors import YolostreamError

Image = npt.NDArray[np.uint8]

THREADS = 6
_VIDEOS = Path(__file__).parents[2] / "videos"
# Pixels of a 1280x720 frame: boxes of a frame in a batch and of the frame alone differ by less.
_TOLERANCE_PX = 0.5


def different_frames(detector: Detector, count: int = 24) -> list[tuple[Image, Detections]]:
    """Frames of the demo clips whose boxes all differ, with the boxes of each sent alone."""
    chosen: list[tuple[Image, Detections]] = []
    for name in ("mb1_1", "mb2_2"):
        with av.open(str(_VIDEOS / f"{name}.mp4")) as container:
            for frame in itertools.islice(container.decode(video=0), 0, None, 9):
                image = frame.to_ndarray(format="rgb24")
                found = detector.detect(image)
                if len(found) and not any(same(found, other) for _, other in chosen):
                    chosen.append((image, found))
                if len(chosen) == count:
                    return chosen
    raise AssertionError(f"only {len(chosen)} frames differ in their boxes")


def same(one: Detections, other: Detections) -> bool:
    return len(one) == len(other) and bool(
        np.allclose(one.boxes, other.boxes, atol=_TOLERANCE_PX)
        and np.array_equal(one.class_ids, other.class_ids)
    )


class Traffic:
    """Sends frames in threads until the block ends.

    Args:
        detector: the detector that all threads use.
        frames: the frames with their right boxes.
        threads: the number of threads.
        frames_per_s: the highest rate of all threads together; by default it is unlimited.

    Attributes:
        right: the number of answers with the boxes of their frame.
        wrong: the other answers, with the numbers of the frames that their boxes belong to.
        errors: the number of errors of each kind.
    """

    def __init__(
        self,
        detector: Detector,
        frames: Sequence[tuple[Image, Detections]],
        threads: int = THREADS,
        *,
        frames_per_s: float | None = None,
    ) -> None:
        self.right = 0
        self.wrong: list[tuple[int, list[int]]] = []
        self.errors: collections.Counter[str] = collections.Counter()
        self._detector, self._frames = detector, frames
        self._interval_s = 0.0 if frames_per_s is None else threads / frames_per_s
        self._answered_at = [0.0] * threads
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._threads = ThreadPoolExecutor(threads)
        self._running: list[Future[None]] = []

    def answers(self, patience_s: float = 15.0) -> bool:
        """Wait for twenty right answers in a row; return whether they came within `patience_s`."""
        with self._lock:
            goal, errors = self.right + 20, self.errors.total()
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            with self._lock:
                if self.right >= goal:
                    return True
                if self.errors.total() > errors:
                    # A server that recovers may still return some errors: count anew.
                    goal, errors = self.right + 20, self.errors.total()
            time.sleep(0.05)
        return False

    def all_answered_since(self, moment: float) -> bool:
        """Whether each thread got an answer to a frame that it sent after this moment."""
        return all(at > moment for at in self._answered_at)

    def __enter__(self) -> Traffic:
        numbers = range(len(self._answered_at))
        self._running = [self._threads.submit(self._detect_all, number) for number in numbers]
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._threads.shutdown()
        # This raises errors that are not a `YolostreamError`: they are defects of the client.
        for thread in self._running:
            thread.result()

    def _detect_all(self, number: int) -> None:
        order = np.random.default_rng(number)
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._interval_s, time.monotonic())
            index = int(order.integers(len(self._frames)))
            image, expected = self._frames[index]
            asked_at = time.monotonic()
            try:
                found = self._detector.detect(image)
            except YolostreamError as error:
                self._count_error(error)
                self._ending.wait(0.05)
            else:
                self._compare(index, found, expected)
                # The time of sending: an answer to a frame from before a fault proves nothing.
                self._answered_at[number] = asked_at

    def _compare(self, index: int, found: Detections, expected: Detections) -> None:
        right = same(found, expected)
        owners = [n for n, (_, other) in enumerate(self._frames) if same(found, other)]
        with self._lock:
            if right:
                self.right += 1
            else:
                self.wrong.append((index, owners))

    def _count_error(self, error: YolostreamError) -> None:
        with self._lock:
            self.errors[type(error).__name__] += 1
