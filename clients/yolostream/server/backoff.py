"""The pauses before a server is restarted."""

from __future__ import annotations

FIRST_S = 1.0
LONGEST_S = 10.0

LONG_S = 60.0
"""After a server has run for so long, its next fault counts as the first."""


class Backoff:
    """The pauses before restarts: none before the first, then 1, 2, 4, 8 and 10 s."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def pause_s(self, *, ran_s: float) -> float:
        """Seconds to wait before the next start.

        Args:
            ran_s: seconds from the last server's start to its fault; 0 if it did not become ready.
        """
        if ran_s >= LONG_S:
            self._next_s = 0.0
        pause_s = self._next_s
        self._next_s = min(LONGEST_S, max(FIRST_S, 2 * pause_s))
        return pause_s
