"""What is known of a source while it runs and afterwards."""

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
"""What a source is at.

waiting      Nobody has opened it yet.
connecting   It is being opened, or has given no frame since.
running      A file's frames come.
live         A live source's frames come.
stale        A live source is connected, and its frames stay away.
backoff      A live source is away, and is opened again soon.
auth_failed  It refuses the user and password, and is asked again much later.
unsupported  What it sends cannot be decoded; it is looked at again much later.
ended        All its frames were taken.
failed       It was given up.
"""

TROUBLES: tuple[State, ...] = get_args(_Trouble)
FINAL: tuple[State, ...] = ("ended", "failed")

Drop = Literal["superseded", "stale", "server_unavailable", "slow_output"]
"""Why a frame of a live source was left out, with nothing wrong: it came too fast, it was too old,
the server was away, or an output was too slow."""

_log = logging.getLogger(__name__)


@dataclass
class SinkCounts:
    """What became of the results that one output was given."""

    written: int = 0
    dropped: int = 0
    """It was too slow for them."""
    failed: int = 0
    """It could not write them."""

    def __add__(self, other: SinkCounts) -> SinkCounts:
        return SinkCounts(
            self.written + other.written, self.dropped + other.dropped, self.failed + other.failed
        )


@dataclass
class Status:
    """Figures of one source. They grow while it runs; a copy travels between processes."""

    name: str
    began_at: float = field(default_factory=time.time)
    """Unix time in seconds from which on it counts: with another one, all figures are new."""
    state: State = "waiting"
    frames_expected: int | None = None
    """Frames that will be taken; None where nobody knows."""
    frames_read: int = 0
    """Frames that were decoded and taken."""
    frames_sent: int = 0
    """Frames that were given to the server."""
    frames_done: int = 0
    objects: int = 0
    latest_objects: int = 0
    """In the newest frame that was done."""
    latest_captured_at: float = 0.0
    """Unix time in seconds at which that frame was decoded; 0 before the first."""
    tracks: int = 0
    """Different objects that were followed."""
    dropped: Counter[Drop] = field(default_factory=Counter)
    """Frames that were left out, by cause."""
    lost: Counter[str] = field(default_factory=Counter)
    """Frames that the server failed on, by the error's name."""
    reconnects: int = 0
    """How often a live source was opened again."""
    stalls: int = 0
    """How often its frames stayed away though it was connected."""
    abandoned_readers: int = 0
    """Threads that did not come back from a source, and were left behind."""
    trouble: str = ""
    """What is wrong with it now, as it was said; empty where nothing is."""
    away_since: float | None = None
    """Unix time in seconds at which the trouble began; None where there is none."""
    retry_at: float | None = None
    """Unix time in seconds at which it is opened again; None where nothing is waited for."""
    size: tuple[int, int] | None = None
    """Height and width in pixels of the newest frame that was done."""
    model: str = ""
    """The ensemble that looks at its frames; empty where nobody has said."""
    model_trouble: str = ""
    """Why it is not the one that is wanted; empty where it is."""
    elapsed_s: float = 0.0
    first_lost: dict[str, YolostreamError] = field(default_factory=dict)
    """The first error of each of these names."""
    errors: list[Exception] = field(default_factory=list)
    """What went wrong with the source or an output."""
    timer: StageTimer = field(default_factory=StageTimer)
    ages: Durations = field(default_factory=Durations)
    """From decoding a frame until it was written, by every output."""
    result_ages: Durations = field(default_factory=Durations)
    """From decoding a frame until its objects were known and followed."""
    sinks: dict[str, SinkCounts] = field(default_factory=dict)
    """Of its outputs, by kind."""

    @property
    def frames_per_second(self) -> float:
        """Frames done by second since it began."""
        return self.frames_done / self.elapsed_s if self.elapsed_s else 0.0

    def enter(
        self, state: State, reason: str = "", *, then: str = "", retry_at: float | None = None
    ) -> None:
        """Change the state, and say so; `ended` and `failed` are never left.

        Each change is a record of the log with the fields `source`, `from`, `to` and `reason`: a
        warning where trouble begins, changes or is over, for debugging while it lasts, else for
        information.

        Args:
            state: that it is in now.
            reason: why, for people.
            then: what follows, which differs from time to time.
            retry_at: Unix time in seconds at which it is opened again.
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
        """The same without what `earlier`, a copy of before, had counted.

        What went wrong stays, tracks too; so does all where the source's worker was started again,
        and counts anew.
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
        """The same with what `other`, an earlier or later run of this source, counted for it."""
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
        """Count a frame that the server failed on."""
        kind = type(error).__name__
        self.first_lost.setdefault(kind, error)
        self.lost[kind] += 1
