"""H.264 in pieces that a browser plays as they come."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

import av
from av.video.frame import PictureType

from yolostream.i420 import frame_of
from yolostream.image import Image, downscaled
from yolostream.outputs.h264 import add_h264_stream
from yolostream.outputs.planes import fitted, planes_of
from yolostream.service.messages import Fragment
from yolostream.service.mp4_fragment import fragment

LARGEST = (720, 1280)
"""Height and width that pictures are made to fit into."""

_ENCODER_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "forced-idr": "1",
    # Of an even quality, however few frames of a second come; in bits per second, and bits.
    "crf": "25",
    "maxrate": "4000000",
    "bufsize": "4000000",
}

KEYFRAME_INTERVAL_S = 1.0
"""Who begins to look waits no longer for a picture."""

TIME_BASE = Fraction(1, 90_000)

_SHOWN = 45_000
"""Each picture is said to be shown for half a second, which the next one cuts short. Browsers throw
all away up to the next key where a picture comes after more than twice as long: then it is one."""

# Of FFmpeg's muxer comes the header alone: it would hold each picture back until the next one says
# how long it is shown.
_HEADER_ALONE = {"movflags": "empty_moov+default_base_moof"}


class FragmentedMp4:
    """Encodes annotated pictures; each becomes a fragment of its own.

    Args:
        camera: its name.
        frame_rate: about so many pictures come in a second.
        send: takes the fragments.
    """

    def __init__(self, camera: str, frame_rate: Fraction, send: Callable[[Fragment], None]) -> None:
        self._camera = camera
        self._frame_rate = frame_rate
        self._send = send
        self._size: tuple[int, int] | None = None
        self._container: av.container.OutputContainer
        self._stream: av.VideoStream
        self._number = 0
        self._last_pts = -1
        self._next_key_pts = 0

    def write(self, image: Image, time_s: float) -> None:
        """Add a picture.

        Args:
            image: uint8 [H, W, 3], RGB; another size than before begins a new video.
            time_s: of it, in seconds, later than that of the picture before.
        """
        size = downscaled(*image.shape[:2], fit=LARGEST)
        if size != self._size:
            self.close()
            self._begin(size)
        frame = frame_of(planes_of(fitted(image, *size)))
        # A second of the clock may have two pictures of the same rounded time.
        pts = max(round(time_s / TIME_BASE), self._last_pts + 1)
        self._last_pts = frame.pts = pts
        frame.time_base = TIME_BASE
        if pts >= self._next_key_pts:
            # By the clock: few frames of a second may reach us.
            self._next_key_pts = pts + round(KEYFRAME_INTERVAL_S / TIME_BASE)
            frame.pict_type = PictureType.I
        for packet in self._stream.encode(frame):
            self._number += 1
            data = fragment(
                bytes(packet),
                number=self._number,
                time=pts,
                duration=_SHOWN,
                is_key=packet.is_keyframe,
            )
            kind: Literal["key", "delta"] = "key" if packet.is_keyframe else "delta"
            self._send(Fragment(self._camera, kind, data))

    def close(self) -> None:
        """End the video."""
        if self._size is not None:
            self._size = None
            self._container.close()

    def _begin(self, size: tuple[int, int]) -> None:
        self._size = size
        self._number, self._last_pts, self._next_key_pts = 0, -1, 0
        file = io.BytesIO()
        self._container = av.open(file, "w", format="mp4", options=_HEADER_ALONE)
        self._stream = add_h264_stream(
            self._container,
            size,
            frame_rate=self._frame_rate,
            time_base=TIME_BASE,
            options=_ENCODER_OPTIONS,
        )
        # FFmpeg keeps the unit of a stream that has one.
        self._stream.time_base = TIME_BASE
        context = self._stream.codec_context
        context.profile = "Constrained Baseline"
        self._container.start_encoding()
        codec = _codec_name(context.extradata or b"")
        self._send(Fragment(self._camera, "header", file.getvalue(), codec))


def _codec_name(extradata: bytes) -> str:
    """As browsers want it (RFC 6381): the three bytes that begin the parameters of a sequence."""
    at = extradata.index(b"\x00\x00\x01\x67") + 4
    return f"avc1.{extradata[at : at + 3].hex().upper()}"
