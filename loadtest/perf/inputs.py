"""What perf_analyzer sends: frames of a demo clip."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from yolostream.client.connection import connect
from yolostream.client.transport.message import INPUT_NAME
from yolostream.client.triton_errors import translated
from yolostream.image import Image

from loadtest.frames import demo_frames
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.process import Load, Size

FRAMES = 4
"""Different frames that are sent in turn. Eight 1080p frames a request take 200 MB of memory."""

_EVERY = 60
_TIMEOUT_S = 30.0


@cache
def frames(size: Size) -> list[Image]:
    """`FRAMES` frames of a demo clip, uint8 [height, width, 3] each, RGB."""
    return demo_frames(size=size, every=_EVERY, first=FRAMES)


def loads(perf: PerfAnalyzer, url: str, model: str, folder: Path) -> Callable[[Size], Load]:
    """Return a function that gives the load for a frame size; its files go into `folder`.

    Raises:
        ServerError: The server does not describe the ensemble.
    """
    outputs = outputs_of(url, model)
    # These are the names that perf_analyzer gives to its shared memory.
    regions = (*outputs, *(f"{INPUT_NAME}_0_{number}" for number in range(FRAMES)))

    @cache
    def of_size(size: Size) -> Load:
        path = folder / f"{size[1]}x{size[0]}.json"
        _write(path, frames(size))
        return Load(perf, url, path, regions)

    return of_size


def outputs_of(url: str, model: str) -> tuple[str, ...]:
    """The names of a model's outputs.

    Raises:
        ServerUnavailable: No server answers at `url`.
        ModelUnavailable: The server has no such model.
    """
    with translated(url, model), connect(url) as client:
        config = client.get_model_config(model, client_timeout=_TIMEOUT_S).config
    return tuple(tensor.name for tensor in config.output)


def _write(path: Path, frames: Sequence[Image]) -> None:
    """Write a request for each frame as perf_analyzer's JSON."""
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
