"""Where frames come from: video files, cameras, RTSP streams, and folders or globs of pictures."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import av.container
import av.video.stream
import cv2
import numpy as np
import numpy.typing as npt

from yolostream.errors import SourceError

Image = npt.NDArray[np.uint8]

PICTURE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
NETWORK_SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://")
DEFAULT_FRAME_RATE = Fraction(30)
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, repr=False)
class Frame:
    """One decoded frame and its place in time."""

    image: Image
    """uint8 [H, W, 3], RGB."""
    index: int
    """0-based number of the frame in its source, counting skipped ones."""
    pts: int
    """Presentation time in units of the source's `time_base`."""
    time_base: Fraction
    """Seconds of one unit of `pts`."""
    name: str = ""
    """File name of a picture; empty for a video's frame."""

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


class Source(Protocol):
    """One camera's worth of frames."""

    name: str
    """Names the output files and the rows in them."""
    uri: str
    frame_rate: Fraction
    """Nominal frames per second."""
    frame_count: int | None
    """Frames that the container promises; None where nobody knows."""
    is_live: bool
    """The frames come at their own pace and are lost when nobody takes them."""
    is_video: bool
    """The frames follow each other in time, so that objects can be tracked through them."""

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame.

        Raises:
            SourceError: the source breaks off.
        """

    def close(self) -> None:
        """Let go of the file or device."""


class Video:
    """A video file, a camera or a network stream, decoded by FFmpeg."""

    is_video = True

    def __init__(self, uri: str, *, name: str, is_live: bool = False, format: str | None = None):
        self.uri = uri
        self.name = name
        self.is_live = is_live
        self._container = _open(uri, format)
        if not self._container.streams.video:
            self._container.close()
            raise SourceError(f"{uri} has no video in it: give a video file")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.frame_rate = (
            self._stream.average_rate or self._stream.guessed_rate or DEFAULT_FRAME_RATE
        )
        self.frame_count = self._stream.frames or None
        self.time_base = self._stream.time_base or 1 / self.frame_rate

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame; see `Source`."""
        index, last_pts = 0, -1
        for decoded in self._decoded():
            # Timestamps are missing in some files and run backwards in others.
            pts = decoded.pts if decoded.pts is not None else last_pts + self._step
            last_pts = max(pts, last_pts + 1)
            yield Frame(_upright(decoded), index, last_pts, self.time_base)
            index += 1
        if index == 0:
            raise SourceError(f"{self.uri} holds no readable frame: is it damaged?")

    def close(self) -> None:
        """Let go of the file or device."""
        self._container.close()

    @property
    def _step(self) -> int:
        return max(1, round(1 / (self.frame_rate * self.time_base)))

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = 0
        try:
            for packet in self._container.demux(self._stream):
                packets += packet.size > 0
                yield from packet.decode()
        except (av.FFmpegError, OSError) as error:
            raise self._broken(packets, str(error.strerror)) from error
        if self.frame_count is not None and packets < self.frame_count:
            raise self._broken(packets, "the file is cut off")

    def _broken(self, packets: int, reason: str) -> SourceError:
        total = f" of {self.frame_count}" if self.frame_count else ""
        return SourceError(
            f"{self.uri} breaks off after {packets}{total} frames ({reason}): "
            "what came before was kept; copy the file again"
        )


class Pictures:
    """A picture, or several in order of their names: one source, nothing to track."""

    is_video = False
    is_live = False
    frame_rate = Fraction(1)

    def __init__(self, paths: list[Path], *, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name
        self.frame_count: int | None = len(paths)
        self._paths = paths

    def __iter__(self) -> Iterator[Frame]:
        """Read picture by picture; see `Source`. A broken one is reported after the others."""
        broken = []
        for index, path in enumerate(self._paths):
            image = _read_picture(path)
            if image is None:
                broken.append(str(path))
                continue
            yield Frame(image, index, index, 1 / self.frame_rate, path.name)
        if broken:
            raise SourceError(f"no readable picture: {', '.join(broken)}; the others were kept")

    def close(self) -> None:
        """Nothing is held."""


def open_source(spec: str) -> list[Source]:
    """Open what one word on the command line names.

    Args:
        spec: video file, picture, folder, glob, camera index, or stream URL.

    Raises:
        SourceError: nothing there, or nothing that can be read.
    """
    if spec.isdigit():
        device = f"/dev/video{spec}"
        if not Path(device).exists():
            raise SourceError(f"no camera {spec}: {device} does not exist")
        return [Video(device, name=f"camera{spec}", is_live=True, format="v4l2")]
    if spec.startswith(NETWORK_SCHEMES):
        name = spec.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        return [Video(spec, name=name or "stream", is_live=spec.startswith("rts"))]
    path = Path(spec)
    if path.is_dir():
        return _open_files(sorted(p for p in path.iterdir() if p.is_file()), spec, path.name)
    if path.exists():
        return _open_files([path], spec, path.stem)
    matches = sorted(Path(match) for match in glob.glob(spec, recursive=True))
    if not matches:
        raise SourceError(f"no such file, folder or glob: {spec}")
    return _open_files(matches, spec, matches[0].parent.name or "pictures")


def _open_files(paths: list[Path], spec: str, name: str) -> list[Source]:
    """Pictures together are one source; each video is one of its own."""
    pictures = [path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES]
    if pictures:
        return [Pictures(pictures, uri=spec, name=name)]
    if not paths:
        raise SourceError(f"{spec} is an empty folder: put pictures or videos in it")
    return [Video(str(path), name=path.stem) for path in paths]


def _open(uri: str, format: str | None) -> av.container.InputContainer:
    # Packets of a camera must not be lost on the way: TCP, as every NVR defaults to.
    options = {"rtsp_transport": "tcp"} if uri.startswith("rts") else {}
    try:
        return av.open(uri, format=format, options=options, timeout=CONNECT_TIMEOUT_S)
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise SourceError(f"cannot read {uri} as video ({reason}): is it a video file?") from error


def _upright(decoded: av.VideoFrame) -> Image:
    """The frame as RGB, turned as a phone's display matrix asks."""
    image: Image = decoded.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    turns = decoded.rotation // 90
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _read_picture(path: Path) -> Image | None:
    # Read by Python first: OpenCV would write its own complaint about a missing file to stderr.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        return None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
