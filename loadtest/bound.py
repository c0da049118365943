"""The bound that cameras have to hold, in every benchmark."""

from __future__ import annotations

from dataclasses import dataclass

_PACE = 0.97
"""Share of the cameras' rate that has to be seen: the rest is lost at the edges of a window. A
server that really falls so far behind is a second late after half a minute."""


@dataclass(frozen=True)
class Bound:
    """What all cameras together have to hold.

    Attributes:
        frames_per_second: Of each.
        latency_s: Of the frames, at the 99th percentile.
        left_out: Share of the frames that may be dropped or lost.
    """

    frames_per_second: float
    latency_s: float
    left_out: float = 0.0

    def broken_by(
        self,
        p99_ms: float | None,
        *,
        left_out: float = 0,
        frames: float = 0,
        frames_per_s_each: float | None = None,
    ) -> str:
        """Why cameras do not hold; nothing where they do.

        Args:
            p99_ms: Of the age of their frames; None without an answer.
            left_out: Frames that were dropped or lost.
            frames: All that there were.
            frames_per_s_each: Of one camera, as far as that was seen.
        """
        if left_out > self.left_out * frames:
            return f"{left_out:g} of {frames:g} frames left out"
        if frames_per_s_each is not None and frames_per_s_each < _PACE * self.frames_per_second:
            return f"{frames_per_s_each:.1f} frames/s each"
        if p99_ms is None:
            return "no answer"
        # NaN is no age.
        return "" if p99_ms <= 1000 * self.latency_s else f"p99 age {p99_ms:.0f} ms"
