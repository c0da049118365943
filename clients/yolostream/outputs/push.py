"""Pushes the annotated frames of a camera to an RTSP server, which records or relays them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial

import av

from yolostream.errors import OutputError
from yolostream.outputs.live import LiveOutput
from yolostream.outputs.live_video import LiveVideo
from yolostream.outputs.planes import Planes
from yolostream.outputs.video import DEFAULT_BITRATE
from yolostream.redaction import redact_url

ANSWER_TIMEOUT_S = 3.0
"""Seconds that the server may take to answer, or to accept a picture."""

_RTSP_TCP = {"rtsp_transport": "tcp", "timeout": str(round(ANSWER_TIMEOUT_S * 1_000_000))}


def rtsp_push(
    url: str,
    *,
    name: str,
    frame_rate: Fraction,
    bitrate: int = DEFAULT_BITRATE,
    may_send: Callable[[], bool] = lambda: True,
) -> LiveOutput:
    """An output that pushes H.264 by RTSP (ANNOUNCE and RECORD, over TCP).

    Args:
        url: URL of the stream on the server. It may contain a user and a password, which no message
            shows.
        name: the camera's name.
        frame_rate: nominal frames per second.
        bitrate: bits per second.
        may_send: whether the stream is still ours.
    """
    connect = partial(_Push, url, frame_rate=frame_rate, bitrate=bitrate)
    return LiveOutput(connect, name=name, kind="push", frame_rate=frame_rate, may_send=may_send)


class _Push(LiveVideo):
    """A connection to the server; see `LiveVideo`."""

    def __init__(
        self, url: str, height: int, width: int, *, frame_rate: Fraction, bitrate: int
    ) -> None:
        self._url = url
        super().__init__(
            lambda: av.open(url, "w", format="rtsp", options=_RTSP_TCP),
            partial(_sending, url),
            height=height,
            width=width,
            frame_rate=frame_rate,
            bitrate=bitrate,
        )

    def write(self, planes: Planes, time_s: float) -> None:
        """Send one picture; see `LiveVideo`."""
        began = time.monotonic()
        super().write(planes, time_s)
        # FFmpeg stops waiting after this timeout, but does not report that the server was blocked.
        if time.monotonic() - began > ANSWER_TIMEOUT_S:
            raise OutputError(
                f"cannot push to {redact_url(self._url)}: the server accepted no data for "
                f"{ANSWER_TIMEOUT_S:g} s; check the server and the network"
            )


@contextlib.contextmanager
def _sending(url: str) -> Iterator[None]:
    """Turn errors inside the block into an `OutputError` without credentials."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        # `from None`, because FFmpeg's error contains the address with its password.
        raise OutputError(
            f"cannot push to {redact_url(url)} ({error.strerror or 'the connection broke'}): check "
            "that an RTSP server runs there, that it accepts RECORD, and the user and password"
        ) from None
