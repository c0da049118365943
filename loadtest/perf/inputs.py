"""What perf_analyzer sends: frames of a demo clip."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from yolostream.client.connection import connect
from yolostream.client.transport.message import INPUT_NAME
from yolostream.client.triton_errors import translated
from yolostream.image import Image

from loadtest.frames import demo_frames
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.points import Size
from loadtest.perf.process import Load

FRAMES = 4
"""Different ones that are sent in turn: with eight 1080p frames a request, 200 MB of memory."""

_EVERY = 60
_TIMEOUT_S = 30.0


@cache
def frames(size: Size) -> list[Image]:
    """`FRAMES` frames of a demo clip, uint8 [height, width, 3] each, RGB."""
    return demo_frames(size=size, every=_EVERY)[:FRAMES]


def loads(perf: PerfAnalyzer, url: str, model: str, folder: Path) -> Callable[[Size], Load]:
    """Return a function that tells what to send for a size; `folder` gets the files.

    Raises:
        ServerError: The server does not describe the ensemble.
    """
    outputs = outputs_of(url, model)

    @cache
    def of_size(size: Size) -> Load:
        path = folder / f"{size[1]}x{size[0]}.json"
        if not path.exists():
            write(path, frames(size))
        return Load(perf, url, path, regions(FRAMES, outputs))

    return of_size


def outputs_of(url: str, model: str) -> tuple[str, ...]:
    """Names of what a model returns.

    Raises:
        ServerUnavailable: Nobody answers at `url`.
        ModelUnavailable: There is no such model.
    """
    with translated(url, model), connect(url) as client:
        config = client.get_model_config(model, client_timeout=_TIMEOUT_S).config
    return tuple(tensor.name for tensor in config.output)


def write(path: Path, frames: Iterable[Image]) -> None:
    """Write a request a frame in perf_analyzer's JSON, contents as base64."""
    data = [
        {
            INPUT_NAME: {
                "content": {"b64": base64.b64encode(frame.tobytes()).decode()},
                "shape": frame.shape,
            }
        }
        for frame in frames
    ]
    path.write_text(json.dumps({"data": data}), encoding="ascii")


def regions(requests: int, outputs: Sequence[str]) -> tuple[str, ...]:
    """Names of the shared memory that perf_analyzer makes for requests and their answers."""
    return (*outputs, *(f"{INPUT_NAME}_0_{number}" for number in range(requests)))
