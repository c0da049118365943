"""HLS: the annotated frames of a camera as a folder that any web server can serve."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import av.container

from yolostream.ffmpeg_path import ffmpeg_path
from yolostream.outputs.live import LiveOutput
from yolostream.outputs.live_video import KEYFRAME_INTERVAL_S, LiveVideo
from yolostream.outputs.output import writing
from yolostream.outputs.video import DEFAULT_BITRATE

PLAYLIST = "live.m3u8"
"""What players open, in the folder."""

_OURS = re.compile(r"((\d+)\.m4s|init_(\d+)\.mp4)(\.tmp)?|live\.m3u8\.tmp")
_FLAGS = "delete_segments+independent_segments+temp_file+discont_start+omit_endlist"


@dataclass(frozen=True)
class Hls:
    """A rolling window of what is live: fMP4 segments of 2 s."""

    segments: int = 6
    """In the playlist: a player that starts is three of them behind, and may pause for the rest."""
    bitrate: int = DEFAULT_BITRATE
    """Bits per second; with the default the folder has some 4 MB at most."""


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
        partial(_open, folder, hls, frame_rate=frame_rate), name=name, frame_rate=frame_rate
    )


def _open(folder: Path, hls: Hls, height: int, width: int, *, frame_rate: Fraction) -> LiveVideo:
    return LiveVideo(
        partial(_begin, folder, hls.segments),
        partial(writing, folder),
        height=height,
        width=width,
        frame_rate=frame_rate,
        bitrate=hls.bitrate,
    )


def _begin(folder: Path, segments: int) -> av.container.OutputContainer:
    folder.mkdir(parents=True, exist_ok=True)
    number = _remove_segments(folder)
    options = {
        # Every keyframe begins one.
        "hls_time": str(KEYFRAME_INTERVAL_S / 2),
        "hls_list_size": str(segments),
        "hls_segment_type": "fmp4",
        "hls_flags": _FLAGS,
        "start_number": str(number),
        "hls_fmp4_init_filename": f"init_{number}.mp4",
        # FFmpeg reads numbers into a percent sign.
        "hls_segment_filename": f"{ffmpeg_path(folder).replace('%', '%%')}/%d.m4s",
    }
    return av.open(ffmpeg_path(folder / PLAYLIST), "w", format="hls", options=options)


def _remove_segments(folder: Path) -> int:
    """Remove what was begun before. Returns a number that no segment had."""
    number = int(time.time())
    for path in folder.iterdir():
        if found := _OURS.fullmatch(path.name):
            number = max(number, 1 + int(found[2] or found[3] or 0))
            path.unlink(missing_ok=True)
    return number
