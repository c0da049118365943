"""Runs a detector on all pictures of a dataset."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from rich import progress
from rich.console import Console
from yolostream.image import Image
from yolostream.pipeline.timing import StageTimer

from tools.bare import Rows
from tools.evaluation.picture import Picture, read_pixels

_READERS = 2
_READ_AHEAD = 16
"""Number of pictures that are decoded in advance. It limits the use of memory."""

Detect = Callable[[Iterable[Image]], Iterable[Rows]]
"""A function from pictures, uint8 [H, W, 3] RGB each, to their detections, in the same order."""


@dataclass(frozen=True)
class Pass:
    """The result of one run.

    Attributes:
        rows: Detections of each picture, in the order of the pictures.
        elapsed_s: Seconds from the first picture to the last answer.
        waited_s: Seconds of `elapsed_s` in which the detector waited for a picture to be decoded.
    """

    rows: list[Rows]
    elapsed_s: float
    waited_s: float

    @property
    def pictures_per_s(self) -> float:
        """Pictures per second."""
        return len(self.rows) / self.elapsed_s


def run(pictures: Sequence[Picture], detect: Detect, *, title: str, console: Console) -> Pass:
    """Detect in every picture, with a progress bar.

    Args:
        pictures: The pictures.
        detect: The detector.
        title: Title of the progress bar.
        console: Where the progress bar is shown.

    Raises:
        DatasetError: A picture is damaged.
        YolostreamError: See `Detector.detect`.
    """
    timer = StageTimer()
    rows: list[Rows] = []
    started = time.perf_counter()
    with _bar(console) as bar:
        task = bar.add_task(title, total=len(pictures), rate=0.0)
        for found in detect(_read_ahead(pictures, timer)):
            rows.append(found)
            rate = len(rows) / (time.perf_counter() - started)
            bar.update(task, completed=len(rows), rate=rate)
    return Pass(rows, time.perf_counter() - started, timer["decode"].total_s)


def _read_ahead(pictures: Sequence[Picture], timer: StageTimer) -> Iterator[Image]:
    """Decode pictures in advance in other threads, and measure the time of waiting for them."""
    ahead: deque[Future[Image]] = deque()
    with ThreadPoolExecutor(_READERS) as readers:
        for picture in pictures:
            ahead.append(readers.submit(read_pixels, picture))
            if len(ahead) > _READ_AHEAD:
                yield _wait(ahead, timer)
        while ahead:
            yield _wait(ahead, timer)


def _wait(ahead: deque[Future[Image]], timer: StageTimer) -> Image:
    with timer.stage("decode"):
        return ahead.popleft().result()


def _bar(console: Console) -> progress.Progress:
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]:5.1f} pictures/s"),
        progress.TimeElapsedColumn(),
        console=console,
    )
