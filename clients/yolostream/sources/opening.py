"""Opens videos with FFmpeg, and describes why one cannot be opened."""

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

# Microseconds. One second is enough to find the frame rate; FFmpeg may take twice as long.
_RTSP = {"analyzeduration": "1000000"}
# TCP loses no packets, and is the default of network video recorders. A camera that refuses it with
# the standard's status (461 Unsupported transport) is asked for UDP on the same connection.
_RTSP_TCP = {**_RTSP, "rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"}
_RTSP_UDP = {**_RTSP, "rtsp_transport": "udp"}
# Other ways in which cameras refuse TCP: another status, or a reply that FFmpeg cannot parse.
_REFUSALS = (av.HTTPClientError, av.HTTPServerError, av.InvalidDataError)
_DENIALS = (av.HTTPUnauthorizedError, av.HTTPForbiddenError)

_LISTS = {".csv", ".list", ".txt"}


def open_container(video: Video, silence_s: float) -> av.container.InputContainer:
    """Open a video; the caller closes it.

    Args:
        video: the video to open.
        silence_s: seconds without a packet after which a later read fails.

    Raises:
        SourceDenied: the source requires another user or password.
        SourceUnsupported: this FFmpeg was built without the protocol.
        SourceError: the source does not exist, or is no video.
    """
    began = time.monotonic()
    start = partial(
        av.open,
        completed(video.uri, video.login) if "://" in video.uri else ffmpeg_path(video.uri),
        format=video.format,
        # The program that writes into a pipe may be slow to start.
        timeout=None if video.is_pipe else (CONNECT_TIMEOUT_S, silence_s),
        # Metadata such as titles may have any encoding; none of it is used.
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
            # After a timeout, FFmpeg's reason may be misleading, such as "invalid data".
            kind, reason = SourceSilent, f"no answer within {CONNECT_TIMEOUT_S:g} s"
        problem = kind(f"cannot read {video.shown} as video ({reason}): {_question(video)}")
    # Raised outside of `except`, so that it has no cause: FFmpeg's error contains the password.
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
    """Whether timestamps come from the source; MJPEG over HTTP, for example, has none."""
    no_timestamps: int = Flags.no_timestamps.value  # type: ignore[assignment]  # PyAV's stub
    # FFmpeg does not set the flag for its demuxers of consecutive pictures.
    is_pipe = container.format.name.endswith("_pipe")
    return not is_pipe and not container.format.flags & no_timestamps


def _question(video: Video) -> str:
    if "://" in video.uri:
        return "check the address"
    if video.format is not None:
        return "check that the camera is plugged in, and the permissions of its device"
    if video.is_pipe:
        return "a pipe needs a streamable format, such as MPEG-TS or Matroska"
    if Path(video.uri).suffix.lower() in _LISTS:
        return "if it lists sources, give them instead: xargs -d '\\n' yolostream detect < LIST"
    return "check that it is a video file"


def _denial(video: Video, reason: str) -> SourceDenied:
    if video.login is not None or "@" in video.uri or "=" in video.uri:
        return SourceDenied(f"{video.shown} refuses this user and password ({reason}): check them")
    return SourceDenied(
        f"{video.shown} requires a user and a password ({reason}): give them before the host, as "
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
            # The error is a timeout, not a refusal.
            raise
        with contextlib.suppress(av.FFmpegError, OSError):
            return start(options=_RTSP_UDP)
        raise
