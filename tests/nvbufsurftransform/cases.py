"""Test cases: a frame of a demo clip in four sizes, with the shipped configurations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import av
import numpy as np
from google.protobuf.message import Message
from yolostream.doctor.deepstream.letterbox import Size
from yolostream.image import Image

from tests.nvinferserver.config import read_element
from tests.nvinferserver.frames import BLACK, Place, write_tensor
from tests.nvinferserver.surfaces import Surface

from .library import Request

_REPOSITORY = Path(__file__).parents[2]
_CLIP, _FRAME = _REPOSITORY / "videos" / "mb1_1.mp4", 120
FULL_FRAME = "full frame"
_CONFIGURATIONS = {
    "A": "config_infer_yolov7.txt",
    "shrunk": "config_infer_yolov7_shrunk.txt",
    FULL_FRAME: "config_infer_yolov7_full_frame.txt",
}
_SIZES = ((1280, 720), (1920, 1080), (1366, 768), (704, 576))
FILTERS = range(6)


@dataclass(frozen=True)
class Case:
    number: int
    """frame_scaling_filter."""
    mode: str
    size: Size
    """Width and height of the frame; the demo clip has 1280x720."""

    def __str__(self) -> str:
        return f"{self.mode}, {self.size_name}, filter {self.number}"

    @property
    def size_name(self) -> str:
        width, height = self.size
        return f"{width}x{height}"

    @property
    def place(self) -> Place:
        return Place.fit(self.size, self._tensor, self._preprocess)

    @property
    def scales(self) -> tuple[float, float]:
        """Pixels of the frame per pixel of the tensor, horizontally and vertically."""
        return 1 / self.place.scale_x, 1 / self.place.scale_y

    def request(self) -> Request:
        return Request(surface_of(self.size), self._tensor, self.place.rectangle, self.number)

    def replayed(self) -> Image:
        """The output of the emulation.

        Raises:
            PipelineFailed: the filter would end DeepStream for these sizes.
        """
        width, height = self._tensor
        tensor = np.empty((height, width, 3), np.uint8)
        write_tensor(surface_of(self.size), self.place, tensor, self._preprocess, padding=BLACK)
        return tensor

    @property
    def _tensor(self) -> Size:
        """Size of the tensor; for a full frame, the size of the frame."""
        height, width, _ = _infer(self.mode).backend.inputs[0].dims
        return self.size if self.mode == FULL_FRAME else (width, height)

    @property
    def _preprocess(self) -> Message:
        shipped = _infer(self.mode).preprocess
        preprocess = type(shipped)()
        preprocess.CopyFrom(shipped)
        preprocess.frame_scaling_filter = self.number
        return preprocess


CASES = [Case(*one) for one in product(FILTERS, _CONFIGURATIONS, _SIZES)]


@cache
def surface_of(size: Size) -> Surface:
    """The frame in another size."""
    return _frame().stretched(*size)


@cache
def _frame() -> Surface:
    with av.open(str(_CLIP)) as video:
        return next(Surface.of(f) for i, f in enumerate(video.decode(video=0)) if i == _FRAME)


@cache
def _infer(mode: str) -> Message:
    return read_element(_REPOSITORY / "clients" / "deepstream" / _CONFIGURATIONS[mode])[0]
