"""A channel for live pictures that is opened again after errors."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable
from typing import Protocol

from yolostream.errors import OutputError
from yolostream.outputs.clock import SYSTEM_CLOCK, Clock
from yolostream.outputs.planes import Planes

PAUSE_S = (1.0, 60.0)
"""Shortest and longest pause before a channel is opened again. The pause doubles each time. It is
shortened by a random part of up to one half, so that channels that broke together are not opened at
the same time."""

STEADY_S = 10.0
"""A channel that breaks in less time counts as broken throughout."""

_log = logging.getLogger(__name__)


class Channel(Protocol):
    """Takes pictures of one size."""

    def write(self, planes: Planes, time_s: float) -> None:
        """Send one picture; see `LiveVideo.write`."""

    def close(self) -> None:
        """End the stream."""


class ReopeningChannel:
    """Opens a channel for the first picture and, with pauses, again after each error.

    Args:
        open_channel: opens a channel for pictures with a height and a width, both even.
        name: the camera's name, for the log.
        clock: gives the time.
    """

    def __init__(
        self,
        open_channel: Callable[[int, int], Channel],
        *,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.trouble = ""
        """The last error as a message; empty while pictures are sent."""
        self._open_channel = open_channel
        self._name = name
        self._clock = clock
        self._channel: Channel | None = None
        self._shape: tuple[int, ...] = ()
        self._pause_s = PAUSE_S[0]
        self._opened_at = self._retry_at = clock.steady()

    @property
    def is_paused(self) -> bool:
        """Whether the channel is broken, and the pause before opening it again is not over."""
        return self._channel is None and self._clock.steady() < self._retry_at

    def write(self, planes: Planes, time_s: float) -> bool:
        """Send one picture; if its size has changed, a new channel is opened.

        Returns:
            Whether it was sent.
        """
        if self._channel is not None and planes.shape != self._shape:
            self.close()
        try:
            if self._channel is None:
                self._channel = self._opened(planes)
            self._channel.write(planes, time_s)
        except OutputError as error:
            self._fail(error)
            return False
        self._recover()
        return True

    def close(self) -> None:
        """End the stream, if there is one."""
        channel, self._channel = self._channel, None
        if channel is not None:
            with contextlib.suppress(OutputError):
                channel.close()

    def _opened(self, planes: Planes) -> Channel:
        self._shape = planes.shape
        channel = self._open_channel(planes.shape[0] * 2 // 3, planes.shape[1])
        self._opened_at = self._clock.steady()
        return channel

    def _fail(self, error: OutputError) -> None:
        self.close()
        pause_s = self._pause_s * random.uniform(0.5, 1.0)
        self._retry_at = self._clock.steady() + pause_s
        self._pause_s = min(PAUSE_S[1], 2 * self._pause_s)
        if not self.trouble:
            _log.error("%s: %s; the connection is tried again", self._name, error)
        self.trouble = str(error)

    def _recover(self) -> None:
        if self.trouble and self._clock.steady() - self._opened_at >= STEADY_S:
            _log.warning("%s: pictures are sent again", self._name)
            self.trouble, self._pause_s = "", PAUSE_S[0]
