"""Converts decoded frames to the network's tensor, and its boxes to the muxer's pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message
from yolostream.doctor.deepstream.letterbox import Rectangle, Size, content_rect, even
from yolostream.image import Image

from .config import Mux, enum_name
from .scaling import scaled
from .surfaces import Surface

BLACK = 0


@dataclass(frozen=True)
class MuxedFrame:
    source: int
    number: int
    """0-based index of the frame in its source."""
    surface: Surface


def mux(sources: Sequence[Iterable[Surface]], sizes: Mux) -> Iterator[list[MuxedFrame]]:
    """Make batches of one frame of each source in turn, stretched to the muxer's size."""
    frames = (
        MuxedFrame(source, number, surface.stretched(sizes.width, sizes.height))
        for number, surfaces in enumerate(zip_longest(*sources))
        for source, surface in enumerate(surfaces)
        if surface is not None
    )
    while batch := list(islice(frames, sizes.batch_size)):
        yield batch


@dataclass(frozen=True)
class Place:
    """The position of a muxed frame in the tensor, in pixels of the tensor."""

    rectangle: Rectangle
    scale_x: float
    scale_y: float

    @classmethod
    def fit(cls, source: Size, tensor: Size, preprocess: Message) -> Place:
        """Fit a frame of `source` into `tensor`."""
        rectangle = content_rect(source, tensor, preprocess)
        width, height = map(even, source)
        return cls(rectangle, rectangle.width / width, rectangle.height / height)

    @property
    def landed(self) -> Rectangle:
        """The rectangle that the scaler writes: it moves an odd corner to the next even one."""
        left, top, width, height = self.rectangle
        return Rectangle(left + left % 2, top + top % 2, width, height)

    def to_mux(self, rectangles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Convert float32 [n, 4] left, top, width, height from the tensor's pixels to the muxer's.

        The computed corner is used, even if the scaler has moved the picture.
        """
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        corner = np.array([self.rectangle.left, self.rectangle.top, 0, 0], np.float32)
        return (rectangles - corner) / scale


def write_tensor(
    surface: Surface, place: Place, out: Image, preprocess: Message, *, padding: int
) -> None:
    """Scale `surface` to its place in `out`, uint8 [H, W, 3], and normalize the pixels.

    Raises:
        PipelineFailed: the filter of `preprocess` would end DeepStream for these sizes.
    """
    left, top, width, height = place.landed
    out[:] = padding
    out[top:, left:][:height, :width] = scaled(
        surface, place.landed, preprocess.frame_scaling_filter
    )
    if enum_name(preprocess, "network_format") == "IMAGE_FORMAT_BGR":
        out[:] = out[:, :, ::-1].copy()
    _normalize(out, preprocess.normalize)


def _normalize(out: Image, normalize: Message) -> None:
    """Normalize in place: saturate(scale * (pixel - offset)), truncated to whole levels."""
    scale = normalize.scale_factor or 1.0
    if scale != 1.0 or normalize.channel_offsets:
        offsets = np.array(normalize.channel_offsets or 0.0, np.float32)
        out[:] = (np.float32(scale) * (out - offsets)).clip(0, 255)
