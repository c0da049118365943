"""What makes a browser seek in an MP4 at once: its index in front."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import av

from yolostream.ffmpeg_path import ffmpeg_path

FINISHING_SUFFIX = ".finishing"
"""Of the copy, whose name begins with a dot, while it is made."""

_FINISHED = {"movflags": "faststart"}

LARGEST_TO_FINISH = 256 << 20
"""Bytes of a file that is copied at its end, so that browsers can seek in it at once; to copy a
longer recording would take longer than a stop may."""

ROOM_TO_SPARE = 16 << 20
"""Bytes that such a copy leaves free for whatever else is written meanwhile."""


def put_index_first(path: Path) -> None:
    """Copy the fragments of a file into a plain MP4, unless it is large or the disk nearly full.

    Where that fails, the fragments stay as they are.
    """
    size = path.stat().st_size
    if size > LARGEST_TO_FINISH or size + ROOM_TO_SPARE > shutil.disk_usage(path.parent).free:
        return
    finished = path.with_name(f".{path.name}{FINISHING_SUFFIX}")
    try:
        with (
            av.open(ffmpeg_path(path)) as fragments,
            av.open(ffmpeg_path(finished), "w", format="mp4", options=_FINISHED) as target,
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
