"""What perf_analyzer sends: frames of a demo clip, in the size that a row asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from yolostream.client.transport.message import INPUT_NAME
from yolostream.image import Image

from loadtest.frames import demo_frames
from loadtest.perf import inputs
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.points import Size
from loadtest.perf.process import Load

FRAMES = 4
"""Different ones that are sent in turn: with eight 1080p frames a request, 200 MB of memory."""

_EVERY = 60


@cache
def frames(size: Size) -> list[Image]:
    """`FRAMES` frames of a demo clip, uint8 [height, width, 3] each, RGB."""
    height, width = size
    return [
        cv2.resize(frame, (width, height))  # type: ignore[misc]  # OpenCV's stub widens the dtype
        for frame in demo_frames(every=_EVERY)[:FRAMES]
    ]


def loads(perf: PerfAnalyzer, url: str, model: str, folder: Path) -> Callable[[Size], Load]:
    """Return a function that tells what to send for a size; files are written as needed.

    Args:
        perf: The binary.
        url: gRPC address of the server.
        model: The ensemble.
        folder: For the files.

    Raises:
        ServerError: The server does not describe the ensemble.
    """
    outputs = inputs.describe(url, model).outputs[model]

    @cache
    def of_size(size: Size) -> Load:
        sent = [{INPUT_NAME: frame[np.newaxis]} for frame in frames(size)]
        path = folder / f"{size[1]}x{size[0]}.json"
        if not path.exists():
            inputs.write(path, sent)
        return Load(perf, url, path, inputs.regions(sent, outputs))

    return of_size
