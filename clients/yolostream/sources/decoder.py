"""From packets of a video to pictures, by FFmpeg's decoders or others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from yolostream.i420 import frame_of
from yolostream.image import AnyImage, Image
from yolostream.sources.hdr import ToneMapper, is_hdr
from yolostream.sources.orientation import UPRIGHT, Orientation, orientation_of, with_square_pixels


@dataclass(frozen=True, repr=False)
class Decoded:
    """A picture that was decoded, and is made RGB where somebody wants it."""

    pts: int | None
    """In units of the stream's `time_base`; None where the container does not say."""
    size: tuple[int, int]
    """Height and width in square pixels, upright."""
    to_rgb: Callable[[int, int], AnyImage]
    """Makes it uint8 [height, width, 3], RGB, upright, of the height and width that it is given.
    Only until the next packet is decoded."""


class DecoderError(Exception):
    """The hardware does not decode this stream, or does not go on with it."""


class Decoder(Protocol):
    """Takes the packets of one stream in order; the last one is empty."""

    def decode(self, packet: av.Packet[av.VideoStream]) -> Iterable[Decoded]:
        """The pictures that this packet completes, in the order to show them.

        Raises:
            av.InvalidDataError: the packet is damaged; the next ones may not be.
            DecoderError: nothing will come any more.
        """

    def close(self) -> None:
        """Let go of the hardware."""


# Eight bits, chroma of half the size.
_PLANAR = ("yuv420p", "yuvj420p")

StartDecoder = Callable[[av.VideoStream], Decoder]


class CpuDecoder:
    """FFmpeg's decoders.

    Args:
        stream: what is decoded.
        threads: that decode at once; 0 takes one a core.
    """

    def __init__(self, stream: av.VideoStream, *, threads: int = 0) -> None:
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        self._context = stream.codec_context
        # A container's word counts more than the stream's, which may change midway.
        told, in_stream = stream.sample_aspect_ratio, self._context.sample_aspect_ratio
        self._container_aspect = None if told == in_stream else told
        self._orientation = UPRIGHT
        # Kept, so that the conversion to RGB is set up once and not for each frame.
        self._reformatter = VideoReformatter()
        self._tone_mapper: ToneMapper | None = None

    def decode(self, packet: av.Packet[av.VideoStream]) -> Iterable[Decoded]:
        """The pictures that this packet completes; see `Decoder`."""
        return map(self._decoded, packet.decode())

    def close(self) -> None:
        """Nothing is held."""

    def _decoded(self, frame: av.VideoFrame) -> Decoded:
        told = orientation_of(frame)
        # A keyframe tells of those after it too, and the first picture of an animation of all.
        # Where no picture needs another one, each tells of itself.
        if told is not None or self._context.codec.intra_only:
            self._orientation = told or UPRIGHT
        orientation = self._orientation
        aspect = self._container_aspect or self._context.sample_aspect_ratio
        size = orientation.size(with_square_pixels((frame.height, frame.width), aspect))
        return Decoded(frame.pts, size, partial(self._to_rgb, frame, orientation))

    def _to_rgb(
        self, frame: av.VideoFrame, orientation: Orientation, height: int, width: int
    ) -> Image:
        """The frame as RGB, as the display matrix asks."""
        return orientation.upright(self._scaled(frame, *orientation.size((height, width))))

    def _scaled(self, frame: av.VideoFrame, height: int, width: int) -> Image:
        """Made small before it is made RGB, where that can be done plane by plane."""
        is_scaled = (height, width) != (frame.height, frame.width)
        is_planar = frame.format.name in _PLANAR
        if (
            is_scaled
            and is_planar
            and not is_hdr(self._context.color_trc)
            and not any(side % 2 for side in (height, width, frame.height, frame.width))
        ):
            return self._rgb(_resized(frame, height, width))
        image = self._rgb(frame)
        # As the server's letterbox does, so that its pixels are the same.
        return cv2.resize(image, (width, height)) if is_scaled else image  # type: ignore[return-value]

    def _rgb(self, frame: av.VideoFrame) -> Image:
        transfer = self._context.color_trc
        if is_hdr(transfer):
            if self._tone_mapper is None or self._tone_mapper.transfer != transfer:
                self._tone_mapper = ToneMapper(transfer)
            rgb = self._tone_mapper(frame)
        else:
            rgb = self._reformatter.reformat(frame, format="rgb24", threads=1)
        return rgb.to_ndarray()  # type: ignore[return-value]  # rgb24 is uint8


def _resized(frame: av.VideoFrame, height: int, width: int) -> av.VideoFrame:
    """A frame of `_PLANAR`, resized linearly; all sides are even."""
    planes = np.empty((height * 3 // 2, width), np.uint8)
    targets = planes[:height], *planes[height:].reshape(2, height // 2, width // 2)
    for plane, target in zip(frame.planes, targets, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        cv2.resize(rows[:, : plane.width], target.shape[::-1], dst=target)
    small = frame_of(planes)
    small.colorspace = frame.colorspace
    small.color_range = 2 if frame.format.name == "yuvj420p" else frame.color_range
    return small
