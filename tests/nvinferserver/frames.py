"""From a decoded frame to the network's tensor, and from its boxes back to the muxer's frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

import cv2
import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message
from yolostream.image import Image

from .config import Mux, enum_name

BLACK = 0
INTERPOLATION = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR}
"""OpenCV's for NvBufSurfTransform's number of a filter."""


@dataclass(frozen=True)
class MuxedFrame:
    source: int
    number: int
    """0-based, of its source."""
    image: Image


def mux(sources: Sequence[Iterable[Image]], sizes: Mux) -> Iterator[list[MuxedFrame]]:
    """A frame of each source in turn, stretched to the muxer's size, in batches."""
    frames = (
        MuxedFrame(source, number, _resized(image, sizes.width, sizes.height, cv2.INTER_LINEAR))
        for number, images in enumerate(zip_longest(*sources))
        for source, image in enumerate(images)
        if image is not None
    )
    while batch := list(islice(frames, sizes.batch_size)):
        yield batch


@dataclass(frozen=True)
class Place:
    """Where a muxed frame lies in the tensor, in pixels of the tensor."""

    left: int
    top: int
    width: int
    height: int
    scale_x: float
    scale_y: float

    @classmethod
    def fit(cls, source: tuple[int, int], tensor: tuple[int, int], preprocess: Message) -> Place:
        """Fit a frame of (width, height) `source` into (width, height) `tensor`."""
        source_width, source_height = map(_even, source)
        width, height = tensor
        if preprocess.maintain_aspect_ratio:
            fitted_height = width * source_height / source_width
            if fitted_height <= height:
                height = int(fitted_height)
            else:
                width = int(height * source_width / source_height)
        width, height = _even(width), _even(height)
        centered = bool(preprocess.symmetric_padding)
        return cls(
            left=centered * ((tensor[0] - width) // 2),
            top=centered * ((tensor[1] - height) // 2),
            width=width,
            height=height,
            scale_x=width / source_width,
            scale_y=height / source_height,
        )

    def to_mux(self, rectangles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """float32 [n, 4] left, top, width, height: from the tensor's pixels to the muxer's."""
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        return (rectangles - np.array([self.left, self.top, 0, 0], np.float32)) / scale


def write_tensor(
    frame: Image, place: Place, out: Image, preprocess: Message, *, padding: int
) -> None:
    """Scale `frame` to its place in `out`, uint8 [H, W, 3], and normalize the pixels."""
    if preprocess.frame_scaling_filter not in INTERPOLATION:
        raise NotImplementedError(f"frame_scaling_filter {preprocess.frame_scaling_filter}")
    height, width = map(_even, frame.shape[:2])
    scaled = _resized(
        frame[:height, :width],
        place.width,
        place.height,
        INTERPOLATION[preprocess.frame_scaling_filter],
    )
    out[:] = padding
    out[place.top :, place.left :][: place.height, : place.width] = scaled
    if enum_name(preprocess, "network_format") == "IMAGE_FORMAT_BGR":
        out[:] = out[:, :, ::-1].copy()
    _normalize(out, preprocess.normalize)


def _normalize(out: Image, normalize: Message) -> None:
    """saturate(scale * (pixel - offset)), truncated to whole levels."""
    scale = normalize.scale_factor or 1.0
    if scale != 1.0 or normalize.channel_offsets:
        offsets = np.array(normalize.channel_offsets or 0.0, np.float32)
        out[:] = (np.float32(scale) * (out - offsets)).clip(0, 255)


def _resized(image: Image, width: int, height: int, interpolation: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=interpolation)


def _even(length: int) -> int:
    return length - length % 2
