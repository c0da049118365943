"""HLS: annotated frames of a camera, in a folder that any web server can serve."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

from yolostream.outputs.limits import check_limits
from yolostream.outputs.live import LiveOutput
from yolostream.outputs.live_video import TIME_BASE, LiveVideo
from yolostream.outputs.output import writing
from yolostream.outputs.planes import Planes
from yolostream.outputs.video import DEFAULT_BITRATE, MAX_BITRATE, MIN_BITRATE

PLAYLIST = "live.m3u8"
"""Name of the playlist, which players open."""

_OURS = re.compile(r"((\d+)\.m4s|init_(\d+)\.mp4)(\.tmp)?|live\.m3u8\.tmp")
_FRAGMENTED = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+skip_trailer",
    "flush_packets": "1",
}
MOST_SEGMENTS = 10_000
"""Most segments in the playlist, which is rewritten for each segment."""
TARGET_S = 3
"""Longest expected segment in whole seconds: 2 s, and more if frames are missing."""


@dataclass(frozen=True)
class Hls:
    """Settings of the rolling window of live video, in fMP4 segments of 2 s."""

    segments: int = 6
    """Segments in the playlist. A player starts three of them behind; the others are a reserve."""
    bitrate: int = DEFAULT_BITRATE
    """Bits per second; with the default, the folder takes about 4 MB at most."""

    def __post_init__(self) -> None:
        check_limits(1, MOST_SEGMENTS, segments=self.segments)
        check_limits(MIN_BITRATE, MAX_BITRATE, bitrate=self.bitrate)


def hls_folder(
    folder: Path,
    hls: Hls,
    *,
    name: str,
    frame_rate: Fraction,
    may_send: Callable[[], bool] = lambda: True,
) -> LiveOutput:
    """An output that keeps the last seconds of a camera in a folder of its own.

    Connected players continue when the output restarts: the numbers of segments go on rising, and
    the playlist marks the discontinuity.

    Args:
        folder: created if it is missing; segments of earlier runs in it are removed.
        hls: the settings.
        name: the camera's name.
        frame_rate: nominal frames per second.
        may_send: whether the folder is still ours.
    """
    return LiveOutput(
        partial(_Hls, folder, hls, frame_rate=frame_rate),
        name=name,
        kind="hls",
        frame_rate=frame_rate,
        may_send=may_send,
    )


class Window:
    """The playlist and its segments in a folder.

    FFmpeg's HLS muxer is not used, because it does not report a full disk.

    Args:
        folder: created if it is missing; segments of earlier runs in it are removed.
        segments: number of segments in the playlist.
    """

    def __init__(self, folder: Path, segments: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._segments = segments
        self._first = self._next = _remove_segments(folder)
        self._seconds: list[float] = []
        """Duration of each segment in the playlist."""
        self._target_s = TARGET_S

    def begin(self, data: bytes) -> None:
        """Write the initialization segment."""
        self._write(self._header, data)

    def add(self, data: bytes, seconds: float) -> None:
        """Write a segment, add it to the playlist, and remove the oldest segment."""
        self._write(f"{self._next}.m4s", data)
        self._next += 1
        self._seconds = [*self._seconds, seconds][-self._segments :]
        self._target_s = max(self._target_s, round(seconds))
        self._write(PLAYLIST, self._playlist().encode())
        # One segment that left the playlist is kept, because a player may be about to fetch it.
        gone = self._next - self._segments - 2
        (self._folder / f"{gone}.m4s").unlink(missing_ok=True)

    @property
    def _header(self) -> str:
        return f"init_{self._first}.mp4"

    def _playlist(self) -> str:
        begin = self._next - len(self._seconds)
        lines = [
            *("#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"),
            f"#EXT-X-TARGETDURATION:{self._target_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{begin}",
            # Must rise when a discontinuity leaves the playlist, and with each restart.
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._first + (begin > self._first)}",
            f'#EXT-X-MAP:URI="{self._header}"',
        ]
        for number, seconds in enumerate(self._seconds, begin):
            lines += ["#EXT-X-DISCONTINUITY"] if number == self._first else []
            lines += [f"#EXTINF:{seconds:.6f},", f"{number}.m4s"]
        return "\n".join(lines) + "\n"

    def _write(self, name: str, data: bytes) -> None:
        half = self._folder / f"{name}.tmp"
        half.write_bytes(data)
        half.replace(self._folder / name)


class _Hls(LiveVideo):
    """Encodes pictures into a `Window`; see `LiveVideo`."""

    def __init__(
        self, folder: Path, hls: Hls, height: int, width: int, *, frame_rate: Fraction
    ) -> None:
        self._folder = folder
        self._fragments = _Fragments()
        self._cut = 0
        with writing(folder):
            self._window = Window(folder, hls.segments)
        super().__init__(
            lambda: av.open(self._fragments, "w", format="mp4", options=_FRAGMENTED),
            partial(writing, folder),
            height=height,
            width=width,
            frame_rate=frame_rate,
            bitrate=hls.bitrate,
        )
        with writing(folder):
            self._window.begin(self._fragments.take())

    def write(self, planes: Planes, time_s: float) -> None:
        """Encode one picture; see `LiveVideo`."""
        super().write(planes, time_s)
        # At a keyframe, FFmpeg writes the segment from the previous keyframe to this one.
        if data := self._fragments.take():
            seconds = float((self._last_pts - self._cut) * TIME_BASE)
            self._cut = self._last_pts
            with writing(self._folder):
                self._window.add(data, seconds)


class _Fragments:
    """Collects the bytes that FFmpeg writes."""

    def __init__(self) -> None:
        self._data: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._data.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data, self._data = b"".join(self._data), []
        return data


def _remove_segments(folder: Path) -> int:
    """Remove the segments of earlier runs; return a number that none of them had."""
    number = int(time.time())
    for path in folder.iterdir():
        if found := _OURS.fullmatch(path.name):
            number = max(number, 1 + int(found[2] or found[3] or 0))
            path.unlink(missing_ok=True)
    return number
