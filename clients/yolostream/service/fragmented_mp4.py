"""H.264 video as a fragmented MP4, which browsers play while it arrives."""

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

MAX_SIZE = (720, 1280)
"""Height and width that larger pictures are scaled to fit into."""

_ENCODER_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "forced-idr": "1",
    # Constant quality below a limit, because the number of frames per second varies. `maxrate` is
    # in bits per second, and `bufsize` in bits.
    "crf": "25",
    "maxrate": "4000000",
    "bufsize": "4000000",
}

KEYFRAME_INTERVAL_S = 1.0
"""Longest interval between two keys. A new viewer waits at most this long for a picture."""

TIME_BASE = Fraction(1, 90_000)

_DURATION = 45_000
"""Declared duration of a picture, which is half a second in units of `TIME_BASE`. The next picture
ends it earlier. If the next one comes after more than twice this time, browsers discard pictures up
to the next key; but then the next one is a key, because `KEYFRAME_INTERVAL_S` has passed."""

# FFmpeg's muxer only writes the header. It would hold each picture back until the next one, which
# determines the duration.
_HEADER_ALONE = {"movflags": "empty_moov+default_base_moof"}


class FragmentedMp4:
    """Encodes annotated pictures. Each picture becomes a fragment.

    Args:
        camera: name of the camera.
        frame_rate: approximate number of pictures per second.
        send: called with each fragment.
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
            image: uint8 [H, W, 3], RGB. A picture of another size than before begins a new video.
            time_s: time of the picture in seconds, which must increase.
        """
        size = downscaled(*image.shape[:2], fit=MAX_SIZE)
        if size != self._size:
            self.close()
            self._begin(size)
        frame = frame_of(planes_of(fitted(image, *size)))
        # Two pictures may have the same time after rounding.
        pts = max(round(time_s / TIME_BASE), self._last_pts + 1)
        self._last_pts = frame.pts = pts
        frame.time_base = TIME_BASE
        if pts >= self._next_key_pts:
            # Keys follow the clock and not the number of pictures, which may be small.
            self._next_key_pts = pts + round(KEYFRAME_INTERVAL_S / TIME_BASE)
            frame.pict_type = PictureType.I
        for packet in self._stream.encode(frame):
            self._number += 1
            data = fragment(
                bytes(packet),
                number=self._number,
                time=pts,
                duration=_DURATION,
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
        # The muxer would choose another time base for a stream that has none.
        self._stream.time_base = TIME_BASE
        context = self._stream.codec_context
        context.profile = "Constrained Baseline"
        self._container.start_encoding()
        codec = _codec_name(context.extradata or b"")
        self._send(Fragment(self._camera, "header", file.getvalue(), codec))


def _codec_name(extradata: bytes) -> str:
    """The codec's name for browsers (RFC 6381): the first bytes of the sequence parameter set."""
    at = extradata.index(b"\x00\x00\x01\x67") + 4
    return f"avc1.{extradata[at : at + 3].hex().upper()}"
