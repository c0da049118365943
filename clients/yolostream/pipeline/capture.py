"""Reads a source on a thread: once to its end or, if it is live, again after each session."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from yolostream.errors import SourceError
from yolostream.pipeline.continuity import Continuity
from yolostream.pipeline.reader import Reader
from yolostream.pipeline.stream import Stream
from yolostream.pipeline.supervision import Retry, Supervision
from yolostream.sources import Presence, Reading

MAX_OPENING = 4
"""Cameras that are opened at the same time: opening takes CPU time from those that run."""
OPENING_S = 0.5
"""After this time, opening a camera only waits for the network, and the next one is started."""

GRACE_S = 2.0
"""How long to wait for a reader that was told to end, before its thread is abandoned."""
MAX_ABANDONED = 3
"""Abandoned readers of one source. With so many, no other is started until one of them ends."""

_CHECK_S = 1.0
"""Interval between checks of the presence of a source that is away."""
_CHECK_WHILE_OPENING_S = 0.5
"""The same while a reader is opening the source."""
_USUAL_OPENING_S = 2.0
"""If the source was present before it was opened, its presence is first checked after this time."""

_log = logging.getLogger(__name__)


class Openings:
    """Limits how many cameras are opened at the same time."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(MAX_OPENING)

    def start(self, reader: Reader, name: str) -> None:
        """Wait for the reader's turn, and start it on a thread of its own."""
        with self._free:
            threading.Thread(target=reader.run, name=name, daemon=True).start()
            reader.opened.wait(OPENING_S)


class Capture:
    """A thread that reads a source, and supervises the readers of a live one.

    If a reader's frames stop, it is abandoned and another one is started. So a call into the
    network, a driver or a decoder that never returns does not stop the source.

    Args:
        stream: receives the frames.
        reading: which frames are decoded, and in which size.
        openings: shared by all sources of the process.
    """

    def __init__(self, stream: Stream, reading: Reading, openings: Openings) -> None:
        self._stream = stream
        self._source = stream.plan.source
        self._status = stream.status
        self._limits = stream.plan.limits
        self._reading = replace(
            reading,
            needs_full_size=lambda: stream.outputs.draws,
            most_per_second=lambda: stream.plan.most_per_second,
        )
        self._openings = openings
        self._continuity = Continuity()
        self._abandoned: list[Reader] = []
        # The result of the last check.
        self._presence = Presence.ANSWERS
        name = f"{self._source.name} capture"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            if self._source.reopens:
                self._read_again_and_again()
            else:
                self._read_once()
        except SourceError as error:
            # The stream continues, so that the frames in flight are still written.
            self._status.errors.append(error)
            self._status.enter("failed", str(error))
        except Exception as error:
            self._stream.fail(error)
        finally:
            self._stream.mailbox.close()

    def _read_once(self) -> None:
        self._status.enter("connecting")
        reader = Reader(self._stream, self._reading, self._continuity)
        reader.run()
        if reader.problem is not None:
            raise reader.problem

    def _read_again_and_again(self) -> None:
        is_known = self._stream.plan.resumes
        supervision = Supervision(self._limits, time.monotonic(), is_known=is_known)
        while not self._stream.mailbox.is_closed:
            reader = Reader(self._stream, self._reading, self._continuity)
            self._status.enter("connecting")
            if self._presence < Presence.ANSWERS:
                # Without this, a source that has just come back would be opened twice.
                self._presence = self._source.presence()
            self._openings.start(reader, f"{self._source.name} reader")
            started = time.monotonic()
            if self._becomes_present(reader, started):
                continue
            problem = self._problem_of(reader, started)
            if self._stream.mailbox.is_closed:
                return
            if reader.first_frame_at is not None:
                last_at = reader.last_picture_at or reader.first_frame_at
                supervision.gave_frames(reader.first_frame_at, last_at)
            retry = supervision.after(problem, time.monotonic())
            if retry is None:
                raise problem
            self._wait(retry, problem)

    def _becomes_present(self, reader: Reader, started: float) -> bool:
        """Whether the source came closer to working while the reader waits for its answer.

        The reader's request may have been lost. It is abandoned then, and another one is started,
        which is quicker than to wait for its timeout.
        """
        until = started + self._limits.first_frame_s
        while (left := until - time.monotonic()) > 0 and not self._stream.stop.is_set():
            was_there = self._presence == Presence.ANSWERS
            check_s = _USUAL_OPENING_S if was_there else _CHECK_WHILE_OPENING_S
            if reader.opened.wait(min(check_s, left)):
                return False
            if (
                self._presence_rises()
                and not reader.opened.is_set()
                and not self._has_max_abandoned
            ):
                reader.abandon()
                self._abandoned.append(reader)
                self._status.reconnects += 1
                return True
        return False

    def _presence_rises(self) -> bool:
        """Check the source's presence; return whether it is higher than at the last check."""
        before, self._presence = self._presence, self._source.presence()
        return self._presence > before

    def _problem_of(self, reader: Reader, started: float) -> SourceError:
        """Wait for the end of a reader's session; return the reason."""
        left = self._limits.stale_after_s
        # The wait is never longer than `stale_after_s`: the first frame may come at any time, and
        # sets another deadline.
        while not reader.ended.wait(min(left, self._limits.stale_after_s)):
            left = self._deadline(reader, started) - time.monotonic()
            if left <= 0:
                return self._abandon(reader)
        if reader.problem is None:
            return SourceError("the stream ended")
        if isinstance(reader.problem, SourceError):
            return reader.problem
        # A damaged stream may lead to any error. The next session may work again.
        error = reader.problem
        _log.warning("%s: a session ended unexpectedly", self._source.name, exc_info=error)
        return SourceError(f"{type(error).__name__}: {error}")

    def _deadline(self, reader: Reader, started: float) -> float:
        """`time.monotonic()` at which the next picture is overdue."""
        last_at = reader.last_picture_at
        if last_at is None:
            return started + self._limits.first_frame_s
        return last_at + self._limits.stale_after_s

    def _abandon(self, reader: Reader) -> SourceError:
        if reader.first_frame_at is None:
            problem = SourceError(f"no frame within {self._limits.first_frame_s:g} s")
        else:
            problem = SourceError(f"no frame for {self._limits.stale_after_s:g} s")
            self._status.stalls += 1
            self._status.enter("stale", str(problem))
        reader.abandon()
        if not reader.ended.wait(GRACE_S):
            self._status.abandoned_readers += 1
            self._abandoned.append(reader)
        return problem

    def _wait(self, retry: Retry, problem: SourceError) -> None:
        """Wait until the source is to be opened again, or its presence is higher."""
        self._status.enter(
            retry.state,
            str(problem),
            then=f"opened again in {retry.delay_s:.1f} s",
            retry_at=time.time() + retry.delay_s,
        )
        self._status.reconnects += 1
        until = time.monotonic() + retry.delay_s
        # Where a password or the kind of stream is refused, the presence says nothing.
        self._presence = self._source.presence() if retry.state == "backoff" else Presence.ANSWERS
        while (left := until - time.monotonic()) > 0 or self._has_max_abandoned:
            if self._stream.stop.wait(min(left, _CHECK_S) if left > 0 else _CHECK_S):
                return
            if self._presence < Presence.ANSWERS and self._presence_rises():
                until = 0.0

    @property
    def _has_max_abandoned(self) -> bool:
        self._abandoned = [reader for reader in self._abandoned if not reader.ended.is_set()]
        return len(self._abandoned) >= MAX_ABANDONED
