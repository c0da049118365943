"""Decoding of video packets: the interface of a decoder, and FFmpeg's decoders on the CPU."""

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
    """A decoded picture, which is converted to RGB on demand."""

    pts: int | None
    """Presentation time in units of the stream's `time_base`; None if the container has none."""
    size: tuple[int, int]
    """Height and width in square pixels, upright."""
    to_rgb: Callable[[int, int], AnyImage]
    """Takes a height and a width, and returns the picture in that size: uint8 [height, width, 3],
    RGB, upright. It may be called only until the next packet is decoded."""


class DecoderError(Exception):
    """The decoder cannot decode this stream, or cannot continue with it."""


class Decoder(Protocol):
    """Takes the packets of one stream in order; the last one is empty."""

    def decode(self, packet: av.Packet[av.VideoStream]) -> Iterable[Decoded]:
        """The pictures that this packet completes, in the order to show them.

        Raises:
            av.InvalidDataError: the packet is damaged; later packets may be intact.
            DecoderError: no more pictures will come.
        """

    def close(self) -> None:
        """Release the hardware."""


# Planar 8-bit pixel formats whose chroma planes have half the height and width.
_PLANAR = ("yuv420p", "yuvj420p")

StartDecoder = Callable[[av.VideoStream], Decoder]


class CpuDecoder:
    """Decodes a stream on the CPU with FFmpeg.

    Args:
        stream: the stream to decode.
        threads: number of decoder threads; 0 takes one per core.
    """

    def __init__(self, stream: av.VideoStream, *, threads: int = 0) -> None:
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        self._context = stream.codec_context
        # The container's aspect ratio takes precedence over the stream's, which may change midway.
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
        """Do nothing: PyAV frees the decoder with the stream."""

    def _decoded(self, frame: av.VideoFrame) -> Decoded:
        told = orientation_of(frame)
        # A keyframe's orientation holds for the frames after it, and that of an animation's first
        # picture for all. In an intra-only codec, each picture has its own.
        if told is not None or self._context.codec.intra_only:
            self._orientation = told or UPRIGHT
        orientation = self._orientation
        aspect = self._container_aspect or self._context.sample_aspect_ratio
        size = orientation.size(with_square_pixels((frame.height, frame.width), aspect))
        return Decoded(frame.pts, size, partial(self._to_rgb, frame, orientation))

    def _to_rgb(
        self, frame: av.VideoFrame, orientation: Orientation, height: int, width: int
    ) -> Image:
        """The frame in RGB, turned as its display matrix says."""
        return orientation.upright(self._scaled(frame, *orientation.size((height, width))))

    def _scaled(self, frame: av.VideoFrame, height: int, width: int) -> Image:
        """Resize the planes before the conversion to RGB where that is possible: it is faster."""
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
        # The same interpolation as the server's letterbox, so that the pixels are the same.
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
    """Resize a frame of a `_PLANAR` format bilinearly; all sides are even."""
    planes = np.empty((height * 3 // 2, width), np.uint8)
    targets = planes[:height], *planes[height:].reshape(2, height // 2, width // 2)
    for plane, target in zip(frame.planes, targets, strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        cv2.resize(rows[:, : plane.width], target.shape[::-1], dst=target)
    small = frame_of(planes)
    small.colorspace = frame.colorspace
    small.color_range = 2 if frame.format.name == "yuvj420p" else frame.color_range
    return small
