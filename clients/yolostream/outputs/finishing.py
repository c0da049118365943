"""Puts the index of an MP4 in front, so that browsers can seek in it at once ("faststart")."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import av

from yolostream.ffmpeg_path import ffmpeg_path

FINISHING_SUFFIX = ".finishing"
"""Suffix of the copy while it is made; its name also begins with a dot."""

_FINISHED = {"movflags": "faststart"}

LARGEST_TO_FINISH = 256 << 20
"""Bytes of the largest file that is copied. With larger ones, a stop would take too long."""

ROOM_TO_SPARE = 16 << 20
"""Bytes of the disk that the copy leaves free for other files."""


def put_index_first(path: Path) -> None:
    """Replace a fragmented MP4 by a plain one with its index in front.

    Nothing is done if the file is large or the disk is nearly full. If copying fails, the file is
    left as it is.
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
