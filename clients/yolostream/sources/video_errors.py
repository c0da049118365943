"""Errors of a video that was opened but cannot be read to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av.container

from yolostream.errors import SourceError, SourceUnsupported

if TYPE_CHECKING:
    from yolostream.sources.video import Video


def holds_no_frame(video: Video) -> SourceError:
    """The error where no frame could be decoded."""
    return SourceError(f"{video.shown} holds no readable frame: {_advice(video)}")


def has_damaged_packets(video: Video, count: int) -> SourceError:
    """The error where some packets could not be decoded, but the others could."""
    return SourceError(
        f"{video.shown} has {count} damaged packets: the rest was kept; {_advice(video)}"
    )


def breaks_off(
    video: Video,
    container: av.container.InputContainer,
    packets: int,
    total: int | None,
    reason: str,
) -> SourceError:
    """The error where a video ends early.

    Args:
        video: the video.
        container: its open container.
        packets: packets that were read.
        total: frames according to the container; None if unknown.
        reason: why reading failed.
    """
    if not packets and _may_need_seeking(video, container):
        return SourceError(
            f"{video.shown} gives no frame ({reason}): its index seems to be at its end, and the "
            "source cannot seek; give the file itself, or one made by 'ffmpeg -i IN -c copy "
            "-movflags +faststart OUT'"
        )
    # FFmpeg counts the frames of some containers only as it reads them.
    frames = f"{packets} of {total}" if total and packets < total else str(packets)
    return SourceError(
        f"{video.shown} breaks off after {frames} frames ({reason}): the frames before that were "
        f"kept; {_advice(video)}"
    )


def has_unknown_colors(video: Video, matrix: int, reason: str) -> SourceUnsupported:
    """The error for colors that FFmpeg cannot convert; `matrix` is as in ITU-T H.273."""
    return SourceUnsupported(
        f"{video.shown} has colors that FFmpeg cannot convert to RGB (matrix coefficients {matrix} "
        f"of ITU-T H.273: {reason}): encode it as BT.709"
    )


def _advice(video: Video) -> str:
    if video.is_live:
        return "check the camera and its network"
    if Path(video.uri).is_file():
        return "copy the file again"
    return "check the sender and the network"


def _may_need_seeking(video: Video, container: av.container.InputContainer) -> bool:
    """Whether it is an MP4 or similar from a pipe, or from a web server, which may not seek."""
    return container.format.name.startswith("mov,") and not Path(video.uri).is_file()
