"""Feeds a live output with pictures in real time."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
from clips import MILLISECOND
from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.output import Output

RATE = 10
NOTHING = Detections(
    boxes=np.zeros((0, 4), np.float32),
    scores=np.zeros(0, np.float32),
    class_ids=np.zeros(0, np.int64),
    labels=("person",),
)


@contextlib.contextmanager
def watched(output: Output, images: Sequence[Image]) -> Iterator[threading.Event]:
    """Write ten of `images` per second to `output` while the event is set; close it in the end."""
    is_there, is_over = threading.Event(), threading.Event()
    is_there.set()

    def show() -> None:
        began = time.monotonic()
        for number, image in enumerate(itertools.cycle(images)):
            if is_over.wait(max(0.0, began + number / RATE - time.monotonic())):
                return
            if is_there.is_set():
                output.write(
                    Frame(image, number, number * 1000 // RATE, MILLISECOND), image, NOTHING
                )

    camera = threading.Thread(target=show)
    camera.start()
    try:
        yield is_there
    finally:
        is_over.set()
        camera.join()
        output.close()
