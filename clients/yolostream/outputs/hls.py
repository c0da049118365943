"""HLS: the annotated frames of a camera as a folder that any web server can serve."""

from __future__ import annotations

import re
import time
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
"""What players open, in the folder."""

_OURS = re.compile(r"((\d+)\.m4s|init_(\d+)\.mp4)(\.tmp)?|live\.m3u8\.tmp")
_FRAGMENTED = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+skip_trailer",
    "flush_packets": "1",
}
MOST_SEGMENTS = 10_000
"""In one playlist, which is written anew with each of them."""
TARGET_S = 3
"""Seconds of the longest segment, rounded: two, and what a missing frame adds."""


@dataclass(frozen=True)
class Hls:
    """A rolling window of what is live: fMP4 segments of 2 s."""

    segments: int = 6
    """In the playlist: a player that starts is three of them behind, and may pause for the rest."""
    bitrate: int = DEFAULT_BITRATE
    """Bits per second; with the default the folder has some 4 MB at most."""

    def __post_init__(self) -> None:
        check_limits(1, MOST_SEGMENTS, segments=self.segments)
        check_limits(MIN_BITRATE, MAX_BITRATE, bitrate=self.bitrate)


def hls_folder(folder: Path, hls: Hls, *, name: str, frame_rate: Fraction) -> LiveOutput:
    """An output that keeps the last seconds of a camera in a folder of its own.

    Players that are connected while it is begun anew go on: the numbers of segments rise, and the
    playlist says that another encoder began.

    Args:
        folder: made where it is missing; segments in it that are not in the window are removed.
        hls: how long the window is.
        name: of the camera.
        frame_rate: nominal frames per second.
    """
    return LiveOutput(
        partial(_Hls, folder, hls, frame_rate=frame_rate),
        name=name,
        kind="hls",
        frame_rate=frame_rate,
    )


class Window:
    """The folder as players see it: a playlist, and the segments that it names.

    FFmpeg's own writer of such folders tells nobody that the disk is full.

    Args:
        folder: made where it is missing; what was begun before is removed.
        segments: that are in the playlist.
    """

    def __init__(self, folder: Path, segments: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._segments = segments
        self._first = self._next = _remove_segments(folder)
        self._seconds: list[float] = []
        """Of each segment in the playlist."""
        self._target_s = TARGET_S

    def begin(self, data: bytes) -> None:
        """Write what a player has to know before the first segment."""
        self._write(self._header, data)

    def add(self, data: bytes, seconds: float) -> None:
        """Write a segment, name it in the playlist, and remove the one that is long out of it."""
        self._write(f"{self._next}.m4s", data)
        self._next += 1
        self._seconds = [*self._seconds, seconds][-self._segments :]
        self._target_s = max(self._target_s, round(seconds))
        self._write(PLAYLIST, self._playlist().encode())
        # One more than is in the playlist: somebody may be about to fetch it.
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
            # Rises when the mark before the first segment leaves, and with each new beginning.
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
    """Encodes into the window; see `LiveVideo`."""

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
        """Send one picture; see `LiveVideo`."""
        super().write(planes, time_s)
        # Those of the keyframe before until this one, which FFmpeg keeps until the next.
        if data := self._fragments.take():
            seconds = float((self._last_pts - self._cut) * TIME_BASE)
            self._cut = self._last_pts
            with writing(self._folder):
                self._window.add(data, seconds)


class _Fragments:
    """What FFmpeg writes, until it is taken."""

    def __init__(self) -> None:
        self._data: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._data.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data, self._data = b"".join(self._data), []
        return data


def _remove_segments(folder: Path) -> int:
    """Remove what was begun before. Returns a number that no segment had."""
    number = int(time.time())
    for path in folder.iterdir():
        if found := _OURS.fullmatch(path.name):
            number = max(number, 1 + int(found[2] or found[3] or 0))
            path.unlink(missing_ok=True)
    return number
