"""The state and the figures of a source."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from yolostream.errors import YolostreamError
from yolostream.pipeline.timing import Durations, StageTimer

_Going = Literal["waiting", "connecting", "running", "live"]
_Trouble = Literal["stale", "backoff", "auth_failed", "unsupported", "failed"]
State = Literal[_Going, _Trouble, "ended"]
"""The state of a source.

waiting      It was not opened yet.
connecting   It is being opened, or its first frame is awaited.
running      A file's frames are arriving.
live         A live source's frames are arriving.
stale        A live source is connected, but no frames arrive.
backoff      A live source is away, and will be opened again soon.
auth_failed  It refuses the user and password, and will be opened again much later.
unsupported  Its video cannot be decoded; it will be opened again much later.
ended        All its frames were read.
failed       It has failed, and will not be opened again.
"""

TROUBLES: tuple[State, ...] = get_args(_Trouble)
FINAL: tuple[State, ...] = ("ended", "failed")

Drop = Literal["superseded", "stale", "server_unavailable", "slow_output"]
"""Why a frame of a live source was dropped: a newer one replaced it, it was too old, the server was
unavailable, or an output was too slow."""

_log = logging.getLogger(__name__)


@dataclass
class SinkCounts:
    """Counts of the results that one output was given."""

    written: int = 0
    dropped: int = 0
    """Results that were dropped because the output was too slow."""
    failed: int = 0
    """Results that the output could not write."""

    def __add__(self, other: SinkCounts) -> SinkCounts:
        return SinkCounts(
            self.written + other.written, self.dropped + other.dropped, self.failed + other.failed
        )


@dataclass
class Status:
    """The state and the figures of one source. Copies are passed between processes."""

    name: str
    began_at: float = field(default_factory=time.time)
    """Unix time in seconds at which counting began. A new value means that all counters are new."""
    state: State = "waiting"
    frames_expected: int | None = None
    """Frames that will be taken; None if unknown."""
    frames_read: int = 0
    """Frames that were decoded and taken."""
    frames_sent: int = 0
    """Frames that were sent to the server."""
    frames_done: int = 0
    """Frames whose detections were passed to the outputs."""
    objects: int = 0
    """Objects in all these frames."""
    latest_objects: int = 0
    """Objects in the newest of these frames."""
    latest_captured_at: float = 0.0
    """Unix time in seconds at which that frame was decoded; 0 before the first."""
    tracks: int = 0
    """Number of tracks."""
    dropped: Counter[Drop] = field(default_factory=Counter)
    """Frames that were dropped, by cause."""
    lost: Counter[str] = field(default_factory=Counter)
    """Frames for which the server returned an error, by the name of the error's class."""
    reconnects: int = 0
    """How often a live source was opened again."""
    stalls: int = 0
    """How often its frames stopped although it was connected."""
    abandoned_readers: int = 0
    """Reader threads that hung and were abandoned."""
    trouble: str = ""
    """The current problem as a message; empty if there is none."""
    away_since: float | None = None
    """Unix time in seconds at which the problem began; None if there is none."""
    retry_at: float | None = None
    """Unix time in seconds at which it will be opened again; None if that is not planned."""
    size: tuple[int, int] | None = None
    """Height and width in pixels of the newest frame that was done."""
    model: str = ""
    """The ensemble that its frames are sent to; empty if unknown."""
    model_trouble: str = ""
    """Why that is not the configured ensemble; empty if it is."""
    elapsed_s: float = 0.0
    """Seconds from the start to the newest frame or, in the end, until the files were closed."""
    first_lost: dict[str, YolostreamError] = field(default_factory=dict)
    """The first error of each class in `lost`, by the class's name."""
    errors: list[Exception] = field(default_factory=list)
    """Errors of the source and its outputs."""
    timer: StageTimer = field(default_factory=StageTimer)
    """Times of the stages of the pipeline."""
    ages: Durations = field(default_factory=Durations)
    """Times from decoding a frame until it was written, for every output."""
    result_ages: Durations = field(default_factory=Durations)
    """Times from decoding a frame until its objects were detected and tracked."""
    sinks: dict[str, SinkCounts] = field(default_factory=dict)
    """Counts of its outputs, by kind."""

    @property
    def frames_per_second(self) -> float:
        """Frames done per second since the start."""
        return self.frames_done / self.elapsed_s if self.elapsed_s else 0.0

    def enter(
        self, state: State, reason: str = "", *, then: str = "", retry_at: float | None = None
    ) -> None:
        """Change the state and log the change. The states `ended` and `failed` are final.

        Each change is a log record with the fields `source`, `from`, `to` and `reason`. Its level
        is WARNING if a problem begins, changes or ends, DEBUG while it lasts, and INFO otherwise.

        Args:
            state: the new state.
            reason: the reason as a message.
            then: text for the log about what happens next. Unlike `reason`, it varies each time.
            retry_at: Unix time in seconds at which the source will be opened again.
        """
        before = self.state
        self.retry_at = retry_at
        if state == before or before in FINAL:
            return
        self.state = state
        level = logging.INFO
        if state in TROUBLES:
            self.away_since = self.away_since or time.time()
        elif state in ("running", "live"):
            self.away_since = None
        if state in TROUBLES and reason != self.trouble:
            self.trouble, level = reason, logging.WARNING
        elif state in ("running", "live") and self.trouble:
            self.trouble, level = "", logging.WARNING
        elif self.trouble:
            level = logging.DEBUG
        fields = {"source": self.name, "from": before, "to": state, "reason": reason}
        words = "; ".join(filter(None, (reason, then)))
        message = f"{self.name}: {before} -> {state}" + (f": {words}" if words else "")
        _log.log(level, "%s", message, extra=fields)

    def since(self, earlier: Status) -> Status:
        """The difference between these figures and `earlier`, an older copy.

        Errors and `tracks` are not reduced. If the source's worker has restarted, its counters are
        new, and all figures are returned as they are.
        """
        if self.frames_done < earlier.frames_done:
            return self
        return replace(
            self,
            frames_read=self.frames_read - earlier.frames_read,
            frames_sent=self.frames_sent - earlier.frames_sent,
            frames_done=self.frames_done - earlier.frames_done,
            objects=self.objects - earlier.objects,
            dropped=self.dropped - earlier.dropped,
            elapsed_s=self.elapsed_s - earlier.elapsed_s,
            timer=self.timer - earlier.timer,
            ages=self.ages - earlier.ages,
            result_ages=self.result_ages - earlier.result_ages,
        )

    def plus(self, other: Status) -> Status:
        """The sum of these figures and those of `other`, another run of the same source."""
        kinds = [*self.sinks, *(kind for kind in other.sinks if kind not in self.sinks)]
        nothing = SinkCounts()
        return replace(
            self,
            frames_read=self.frames_read + other.frames_read,
            frames_sent=self.frames_sent + other.frames_sent,
            frames_done=self.frames_done + other.frames_done,
            objects=self.objects + other.objects,
            dropped=self.dropped + other.dropped,
            lost=self.lost + other.lost,
            reconnects=self.reconnects + other.reconnects,
            stalls=self.stalls + other.stalls,
            abandoned_readers=self.abandoned_readers + other.abandoned_readers,
            timer=self.timer + other.timer,
            ages=self.ages + other.ages,
            result_ages=self.result_ages + other.result_ages,
            sinks={
                kind: self.sinks.get(kind, nothing) + other.sinks.get(kind, nothing)
                for kind in kinds
            },
        )

    def lose(self, error: YolostreamError) -> None:
        """Count a frame for which the server returned an error."""
        kind = type(error).__name__
        self.first_lost.setdefault(kind, error)
        self.lost[kind] += 1
