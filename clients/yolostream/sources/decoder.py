"""From packets of a video to pictures, by FFmpeg's decoders or others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from yolostream.image import AnyImage, Image


@dataclass(frozen=True, repr=False)
class Decoded:
    """A picture and the time that its packet gives."""

    image: AnyImage
    """uint8 [H, W, 3], RGB, upright."""
    pts: int | None
    """In units of the stream's `time_base`; None where the container does not say."""


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


StartDecoder = Callable[[av.VideoStream], Decoder]


class CpuDecoder:
    """FFmpeg's decoders."""

    def __init__(self, stream: av.VideoStream) -> None:
        stream.thread_type = "AUTO"
        # Kept, so that the conversion to RGB is set up once and not for each frame.
        self._reformatter = VideoReformatter()

    def decode(self, packet: av.Packet[av.VideoStream]) -> Iterable[Decoded]:
        """The pictures that this packet completes; see `Decoder`."""
        # Decoded now, so that the caller hears of damage; made RGB as they are taken.
        return map(self._upright, packet.decode())

    def close(self) -> None:
        """Nothing is held."""

    def _upright(self, frame: av.VideoFrame) -> Decoded:
        """The frame as RGB, turned as a phone's display matrix asks."""
        image: Image = self._reformatter.reformat(frame, format="rgb24").to_ndarray()  # type: ignore[assignment]  # rgb24 is uint8
        turns = frame.rotation // 90
        upright = np.ascontiguousarray(np.rot90(image, turns)) if turns else image
        return Decoded(upright, frame.pts)
