"""How FFmpeg opens a video, and what is said where it cannot."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.container
from av.format import Flags

from yolostream.errors import (
    SourceAbsent,
    SourceDenied,
    SourceError,
    SourceRefused,
    SourceSilent,
    SourceUnsupported,
)
from yolostream.ffmpeg_path import ffmpeg_path
from yolostream.sources.address import completed, scheme_of

if TYPE_CHECKING:
    from yolostream.sources.video import Video

CONNECT_TIMEOUT_S = 10.0

# Microseconds: enough to tell the frame rate; by default it takes up to twice as long.
_RTSP = {"analyzeduration": "1000000"}
# Packets of a camera must not be lost on the way: TCP, as every NVR defaults to. One that refuses
# it as it should (461 Unsupported transport) is asked for UDP on the same connection.
_RTSP_TCP = {**_RTSP, "rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"}
_RTSP_UDP = {**_RTSP, "rtsp_transport": "udp"}
# How others refuse it: by another status, an answer about UDP, or without a word.
_REFUSALS = (av.HTTPClientError, av.HTTPServerError, av.InvalidDataError)
_DENIALS = (av.HTTPUnauthorizedError, av.HTTPForbiddenError)

_LISTS = {".csv", ".list", ".txt"}


def open_container(video: Video, silence_s: float) -> av.container.InputContainer:
    """Open a video; the caller closes it.

    Args:
        video: what to open.
        silence_s: seconds without a packet after which reading it fails later.

    Raises:
        SourceDenied: it wants another user or password.
        SourceUnsupported: this FFmpeg lacks the protocol.
        SourceError: nothing is there, or it is no video.
    """
    began = time.monotonic()
    start = partial(
        av.open,
        completed(video.uri, video.login) if "://" in video.uri else ffmpeg_path(video.uri),
        format=video.format,
        # Who writes into a pipe takes the time that it takes.
        timeout=None if video.is_pipe else (CONNECT_TIMEOUT_S, silence_s),
        # Titles and the like, of which nothing is read, are in any encoding.
        metadata_errors="replace",
    )
    try:
        return _open_rtsp(start) if video.uri.startswith("rtsp") else start()
    except _DENIALS as error:
        problem: SourceError = _denial(video, str(error.strerror))
    except av.ProtocolNotFoundError:
        problem = _unknown_protocol(video)
    except (av.FFmpegError, OSError) as error:
        kind, reason = _kind_of(error), error.strerror or str(error)
        if "://" in video.uri and time.monotonic() - began >= CONNECT_TIMEOUT_S:
            # FFmpeg says anything, such as that the data is invalid.
            kind, reason = SourceSilent, f"no answer within {CONNECT_TIMEOUT_S:g} s"
        problem = kind(f"cannot read {video.shown} as video ({reason}): {_question(video)}")
    # Out here it has no cause: FFmpeg's error has the whole address in it.
    raise problem


def _kind_of(error: Exception) -> type[SourceError]:
    match error:
        case av.HTTPNotFoundError() | FileNotFoundError():
            return SourceAbsent
        case ConnectionRefusedError():
            return SourceRefused
        case TimeoutError():
            return SourceSilent
    return SourceError


def has_clock(container: av.container.InputContainer) -> bool:
    """Whether times in it are the source's; MJPEG over HTTP, for example, has none."""
    no_timestamps: int = Flags.no_timestamps.value  # type: ignore[assignment]  # PyAV's stub
    # Pictures one after the other, which FFmpeg forgets to say it of.
    is_pipe = container.format.name.endswith("_pipe")
    return not is_pipe and not container.format.flags & no_timestamps


def _question(video: Video) -> str:
    if "://" in video.uri:
        return "is that its address?"
    if video.format is not None:
        return "is the camera plugged in, and may we read it?"
    if video.is_pipe:
        return "a pipe needs a format that is read from its start, such as MPEG-TS or Matroska"
    if Path(video.uri).suffix.lower() in _LISTS:
        return "if it lists sources, give them instead: xargs -d '\\n' yolostream detect < LIST"
    return "is it a video file?"


def _denial(video: Video, reason: str) -> SourceDenied:
    if video.login is not None or "@" in video.uri or "=" in video.uri:
        return SourceDenied(f"{video.shown} refuses this user and password ({reason}): check them")
    return SourceDenied(
        f"{video.shown} wants a user and a password ({reason}): give them before the host, as "
        "USER:PASSWORD@HOST"
    )


def _unknown_protocol(video: Video) -> SourceUnsupported:
    scheme = scheme_of(video.uri)
    return SourceUnsupported(
        f"cannot read {video.shown}: the FFmpeg inside PyAV was built without {scheme}; have "
        f"another program read it, as in 'ffmpeg -i {scheme}://... -c copy -f mpegts - | "
        "yolostream detect -'"
    )


def _open_rtsp(
    start: Callable[..., av.container.InputContainer],
) -> av.container.InputContainer:
    began = time.monotonic()
    try:
        return start(options=_RTSP_TCP)
    except _DENIALS:
        raise
    except _REFUSALS:
        if time.monotonic() - began >= CONNECT_TIMEOUT_S:
            # That was no answer: it ran out of time.
            raise
        with contextlib.suppress(av.FFmpegError, OSError):
            return start(options=_RTSP_UDP)
        raise
