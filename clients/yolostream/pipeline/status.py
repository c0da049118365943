"""What is known of a source while it runs and afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from yolostream.errors import YolostreamError
from yolostream.pipeline.timing import Durations, StageTimer

State = Literal["waiting", "connecting", "running", "backoff", "ended", "failed"]

Drop = Literal["superseded", "stale", "server_unavailable", "slow_output"]
"""Why a frame of a live source was left out, with nothing wrong: it came too fast, it was too old,
the server was away, or an output was too slow."""


@dataclass
class Status:
    """Figures of one source. They grow while it runs; a copy travels between processes."""

    name: str
    state: State = "waiting"
    frames_expected: int | None = None
    """Frames that will be taken; None where nobody knows."""
    frames_done: int = 0
    objects: int = 0
    tracks: int = 0
    """Different objects that were followed."""
    dropped: Counter[Drop] = field(default_factory=Counter)
    """Frames that were left out, by cause."""
    lost: Counter[str] = field(default_factory=Counter)
    """Frames that the server failed on, by the error's name."""
    reconnects: int = 0
    elapsed_s: float = 0.0
    first_lost: dict[str, YolostreamError] = field(default_factory=dict)
    """The first error of each of these names."""
    errors: list[Exception] = field(default_factory=list)
    """What went wrong with the source or an output."""
    timer: StageTimer = field(default_factory=StageTimer)
    requests: Durations = field(default_factory=Durations)
    """From sending a frame to its answer."""
    ages: Durations = field(default_factory=Durations)
    """From decoding a frame until it was written, by every output."""

    @property
    def frames_per_second(self) -> float:
        """Frames done by second since it began."""
        return self.frames_done / self.elapsed_s if self.elapsed_s else 0.0

    def since(self, earlier: Status) -> Status:
        """The same without what `earlier`, a copy of before, had counted.

        What went wrong stays, tracks too; so does all where the source's worker was started again,
        and counts anew.
        """
        if self.frames_done < earlier.frames_done:
            return self
        return replace(
            self,
            frames_done=self.frames_done - earlier.frames_done,
            objects=self.objects - earlier.objects,
            dropped=self.dropped - earlier.dropped,
            elapsed_s=self.elapsed_s - earlier.elapsed_s,
            timer=self.timer - earlier.timer,
            requests=self.requests - earlier.requests,
            ages=self.ages - earlier.ages,
        )

    def lose(self, error: YolostreamError) -> None:
        """Count a frame that the server failed on."""
        kind = type(error).__name__
        self.first_lost.setdefault(kind, error)
        self.lost[kind] += 1
