"""H.264 in MP4: playable at any moment while it grows, and by any browser when it is done."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.output import writing
from yolostream.sources import Source

DEFAULT_BITRATE = 2_000_000
"""Bits per second."""

KEYFRAME_INTERVAL_S = 2
# Every fragment ends with a keyframe, so a crash costs at most that many seconds.
_GROWING = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    # Otherwise the last 256 kB, or all of a quiet street, exist in memory only.
    "flush_packets": "1",
}
_FINISHED = {"movflags": "faststart"}


class VideoFile:
    """Encodes pictures of one size; whoever opens the file sees all complete fragments."""

    def __init__(
        self,
        path: Path,
        *,
        height: int,
        width: int,
        frame_rate: Fraction,
        time_base: Fraction,
        bitrate: int,
    ) -> None:
        self.path = path
        self._size = height, width
        self._time_base = time_base
        self._last_pts = -1
        with writing(path):
            self._container = av.open(path, "w", format="mp4", options=_GROWING)
        self._stream = self._container.add_stream("libx264", rate=frame_rate)
        # H.264's chroma is half the size: odd sides get one more pixel.
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.bit_rate = bitrate
        context = self._stream.codec_context
        context.time_base = time_base
        # What OpenCV's conversion makes; untagged, players guess another one for large pictures.
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        context.gop_size = max(1, round(frame_rate * KEYFRAME_INTERVAL_S))
        # One thread a file: there is one file a camera, and the detector needs the cores.
        context.thread_count = 1
        self._stream.options = {
            "preset": "superfast",
            "bf": "0",
            "maxrate": str(2 * bitrate),
            "bufsize": str(2 * bitrate),
        }

    def write(self, image: Image, pts: int) -> None:
        """Add one picture.

        Args:
            image: uint8 [H, W, 3], RGB; scaled into the file's size where that differs.
            pts: presentation time in units of `time_base`, rising.

        Raises:
            OutputError: no room, or the encoder fails; what came before stays playable.
        """
        self._last_pts = max(pts, self._last_pts + 1)
        # OpenCV converts several times as fast as FFmpeg's scaler does.
        planes = cv2.cvtColor(_made_even(fitted(image, *self._size)), cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")  # type: ignore[arg-type]  # OpenCV's stub widens the dtype
        frame.pts, frame.time_base = self._last_pts, self._time_base
        with writing(self.path):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush the encoder and put the index in front, so that browsers can seek."""
        with writing(self.path):
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()
            _put_index_first(self.path)


class Mp4:
    """The annotated frames of one source, at its own pace."""

    def __init__(self, path: Path, *, source: Source, bitrate: int = DEFAULT_BITRATE) -> None:
        self._path = path
        self._source = source
        self._bitrate = bitrate
        self._file: VideoFile | None = None
        self._first_pts = 0

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`. The first one sets the size of the video."""
        if self._file is None:
            height, width = annotated.shape[:2]
            self._first_pts = frame.pts
            self._file = VideoFile(
                self._path,
                height=height,
                width=width,
                frame_rate=self._source.frame_rate,
                time_base=frame.time_base,
                bitrate=self._bitrate,
            )
        self._file.write(annotated, frame.pts - self._first_pts)

    def close(self) -> None:
        """Finish the file, if there was any frame."""
        if self._file is not None:
            self._file.close()


def fitted(image: Image, height: int, width: int) -> Image:
    """Scale `image` (uint8 [H, W, 3]) into height x width, aspect kept, black around."""
    if image.shape[:2] == (height, width):
        return image
    ratio = min(height / image.shape[0], width / image.shape[1])
    inner = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    canvas = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    shrinks = ratio < 1
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return canvas


def _made_even(image: Image) -> Image:
    odd_rows, odd_columns = image.shape[0] % 2, image.shape[1] % 2
    if not odd_rows and not odd_columns:
        return image
    return np.pad(image, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")


def _put_index_first(path: Path) -> None:
    """Copy the fragments into a plain MP4; where that fails, the fragments stay as they are."""
    finished = path.with_name(f".{path.name}.finishing")
    try:
        with (
            av.open(path) as fragments,
            av.open(finished, "w", format="mp4", options=_FINISHED) as target,
        ):
            stream = fragments.streams.video[0]
            copy = target.add_stream_from_template(stream)
            for packet in fragments.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    target.mux(packet)
        finished.replace(path)
    finally:
        with contextlib.suppress(OSError):
            finished.unlink(missing_ok=True)
