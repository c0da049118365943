"""What is said of a video that was opened and cannot be read to its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av.container

from yolostream.errors import SourceError, SourceUnsupported

if TYPE_CHECKING:
    from yolostream.sources.video import Video


def holds_no_frame(video: Video) -> SourceError:
    """Nothing could be decoded."""
    return SourceError(f"{video.shown} holds no readable frame: {_advice(video)}")


def has_damaged_packets(video: Video, count: int) -> SourceError:
    """Some could not be decoded; those around them could."""
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
    """There is no more of it, after so many packets of all that it says it has."""
    if not packets and _may_lack_a_way_back(video, container):
        return SourceError(
            f"{video.shown} gives no frame ({reason}): its index seems to come last, and what is "
            "read once has no way back; give the file itself, or one made by 'ffmpeg -i IN -c copy "
            "-movflags +faststart OUT'"
        )
    frames = f"{packets} of {total}" if total else str(packets)
    return SourceError(
        f"{video.shown} breaks off after {frames} frames ({reason}): what came before was kept; "
        f"{_advice(video)}"
    )


def has_unknown_colors(video: Video, matrix: int, reason: str) -> SourceUnsupported:
    """FFmpeg does not convert them; `matrix` is a number of ITU-T H.273."""
    return SourceUnsupported(
        f"{video.shown} has colors that FFmpeg cannot make RGB (matrix coefficients {matrix} of "
        f"ITU-T H.273: {reason}): encode it as BT.709"
    )


def _advice(video: Video) -> str:
    if video.is_live:
        return "check the camera and its network"
    if Path(video.uri).is_file():
        return "copy the file again"
    return "check where it comes from, and the network in between"


def _may_lack_a_way_back(video: Video, container: av.container.InputContainer) -> bool:
    """Whether it is MP4 or the like from a pipe, or a web server that does not seek."""
    return container.format.name.startswith("mov,") and not Path(video.uri).is_file()
