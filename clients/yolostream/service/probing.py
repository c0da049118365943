"""Probes the video of a camera, in a process that can be killed if it hangs."""

from __future__ import annotations

import contextlib
from multiprocessing.connection import Connection
from typing import Literal

from pydantic import BaseModel

from yolostream.errors import (
    SourceAbsent,
    SourceDenied,
    SourceError,
    SourceRefused,
    SourceSilent,
    SourceUnsupported,
)
from yolostream.pipeline.child_process import ChildProcess
from yolostream.redaction import print_traceback
from yolostream.sources import Video as Source
from yolostream.sources.frame_rate import frame_rate_of
from yolostream.sources.opening import has_clock, open_container
from yolostream.sources.stream_choice import chosen_video

LIMIT_S = 20.0
"""Longest duration of a probe. FFmpeg itself gives up after ten seconds, unless it hangs."""
_SILENCE_S = 5.0

ErrorKind = Literal["auth_failed", "not_found", "unsupported", "timeout", "refused", "unreadable"]

_KINDS: tuple[tuple[type[SourceError], ErrorKind], ...] = (
    (SourceDenied, "auth_failed"),
    (SourceAbsent, "not_found"),
    (SourceUnsupported, "unsupported"),
    (SourceSilent, "timeout"),
    (SourceRefused, "refused"),
    (SourceError, "unreadable"),
)


class ProbeError(BaseModel):
    """Why a camera cannot be read."""

    kind: ErrorKind
    message: str


class Video(BaseModel):
    """The video of a camera."""

    codec: str
    """FFmpeg's name of the codec."""
    width: int
    height: int
    frames_per_second: float
    """Frames per second that the camera declares."""


class Probed(BaseModel):
    """The result of a probe: either the video or an error."""

    video: Video | None = None
    error: ProbeError | None = None


def probe(address: str) -> Probed:
    """Probe the video of a camera. Takes at most `LIMIT_S`.

    Args:
        address: address of the camera, with scheme, and with user and password if required.
    """
    process = ChildProcess(_work)
    is_over = False
    try:
        # Through the pipe, because every user of the machine can read a command line.
        process.connection.send(address)
        if process.connection.poll(LIMIT_S):
            with contextlib.suppress(EOFError):
                answer: Probed = process.connection.recv()
                is_over = True
                return answer
            return _failed(
                SourceError("FFmpeg crashed on the camera's video: check it with another player")
            )
        return _failed(SourceSilent(f"no answer within {LIMIT_S:g} s: check the address"))
    finally:
        process.close(kill=not is_over)


@print_traceback()
def _work(connection: Connection) -> None:
    try:
        answer = Probed(video=_video_at(connection.recv()))
    except SourceError as error:
        answer = _failed(error)
    connection.send(answer)


def _video_at(address: str) -> Video:
    source = Source(address, "probe", is_live=True)
    with contextlib.closing(open_container(source, _SILENCE_S)) as container:
        stream = chosen_video(container, None, source.shown)
        context = stream.codec_context
        if not context.width:
            raise SourceUnsupported(f"{source.shown} sends no pictures: check the camera")
        return Video(
            codec=context.name,
            width=context.width,
            height=context.height,
            frames_per_second=round(
                float(frame_rate_of(stream, has_clock=has_clock(container))), 3
            ),
        )


def _failed(error: SourceError) -> Probed:
    kind = next(kind for cls, kind in _KINDS if isinstance(error, cls))
    return Probed(error=ProbeError(kind=kind, message=str(error)))
