"""H.264 in pieces that a browser plays as they come."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
from av.video.reformatter import ColorRange, Colorspace

from yolostream.image import Image, downscaled
from yolostream.outputs.planes import encoder_frame, fitted, planes_of
from yolostream.service.messages import Fragment, FragmentKind

LARGEST = (720, 1280)
"""Height and width that pictures are made to fit into."""

BITRATE = 2_000_000
"""Bits per second."""

KEYFRAME_INTERVAL_S = 1.0
"""Who begins to look waits no longer for a picture."""

TIME_BASE = Fraction(1, 90_000)
_OPTIONS = {"movflags": "empty_moov+default_base_moof+frag_every_frame", "flush_packets": "1"}


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
        self._file = io.BytesIO()
        self._container: av.container.OutputContainer
        self._stream: av.VideoStream
        self._last_pts = -1
        self._codec = ""
        self._kind_of_last: FragmentKind = "header"

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
        frame = encoder_frame(planes_of(fitted(image, *size)))
        # A second of the clock may have two pictures of the same rounded time.
        self._last_pts = max(round(time_s / TIME_BASE), self._last_pts + 1)
        frame.pts, frame.time_base = self._last_pts, TIME_BASE
        for packet in self._stream.encode(frame):
            kind = self._kind_of_last
            self._kind_of_last = "key" if packet.is_keyframe else "delta"
            self._container.mux(packet)
            # A fragment is whole once the next picture says how long this one is shown.
            self._send_written(kind)

    def close(self) -> None:
        """End the video."""
        if self._size is not None:
            self._size = None
            self._container.close()

    def _begin(self, size: tuple[int, int]) -> None:
        self._size = height, width = size
        self._file = io.BytesIO()
        self._last_pts = -1
        self._container = av.open(self._file, "w", format="mp4", options=_OPTIONS)
        self._stream = stream = self._container.add_stream("libx264", rate=self._frame_rate)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt, stream.bit_rate = "yuv420p", BITRATE
        context = stream.codec_context
        context.time_base, context.thread_count = TIME_BASE, 1
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        context.gop_size = max(1, round(self._frame_rate * KEYFRAME_INTERVAL_S))
        context.profile = "Constrained Baseline"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        self._container.start_encoding()
        self._kind_of_last = "header"
        self._codec = _codec_name(context.extradata or b"")
        self._send_written("header")

    def _send_written(self, kind: FragmentKind) -> None:
        data = self._file.getvalue()
        if data:
            codec = self._codec if kind == "header" else ""
            self._send(Fragment(self._camera, kind, data, codec))
            self._file.seek(0)
            self._file.truncate()


def _codec_name(extradata: bytes) -> str:
    """As browsers want it (RFC 6381): the three bytes that begin the parameters of a sequence."""
    at = extradata.index(b"\x00\x00\x01\x67") + 4
    return f"avc1.{extradata[at : at + 3].hex().upper()}"
