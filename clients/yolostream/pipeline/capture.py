"""Sees to it that a source is read: to its end, or again and again where it is a camera."""

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

OPENING_AT_ONCE = 4
"""Cameras that are opened at the same time: that is work, and others are being watched."""
OPENING_S = 0.5
"""One that takes longer only waits for an answer: the next one has its turn."""

GRACE_S = 2.0
"""What a reader that was told to end is given; then it is left behind."""
MAX_ABANDONED = 3
"""Readers of one source that are left behind at once; until one ends, no other is started."""

_LOOK_S = 1.0
"""Between two looks whether a source that is away is there again."""
_LOOK_WHILE_OPENING_S = 0.5
"""The same while a reader waits for its answer."""
_USUAL_OPENING_S = 2.0
"""One that was there is not looked for in the meantime."""

_log = logging.getLogger(__name__)


class Openings:
    """Lets a few cameras be opened at once."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(OPENING_AT_ONCE)

    def start(self, reader: Reader, name: str) -> None:
        """Start a reader on a thread of its own, when its turn has come."""
        with self._free:
            threading.Thread(target=reader.run, name=name, daemon=True).start()
            reader.opened.wait(OPENING_S)


class Capture:
    """A thread that has a source read, and watches over it where it is live.

    A reader whose frames stay away is abandoned and another one started: no answer of the network,
    driver or decoder is waited for.

    Args:
        stream: where frames go.
        reading: how much of the source is made into pictures.
        openings: shared by all sources of the process.
    """

    def __init__(self, stream: Stream, reading: Reading, openings: Openings) -> None:
        self._stream = stream
        self._source = stream.plan.source
        self._status = stream.status
        self._limits = stream.plan.limits
        self._reading = replace(
            reading,
            is_looked_at=lambda: stream.outputs.draws,
            most_per_second=lambda: stream.plan.most_per_second,
        )
        self._openings = openings
        self._continuity = Continuity()
        self._abandoned: list[Reader] = []
        # As it was when it was looked for last.
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
            # What is on its way still gets written: the source failed, not its frames.
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
                # Who asks one that has just come back is not overtaken.
                self._presence = self._source.presence()
            self._openings.start(reader, f"{self._source.name} reader")
            started = time.monotonic()
            if self._is_overtaken(reader, started):
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

    def _is_overtaken(self, reader: Reader, started: float) -> bool:
        """Whether more of the source is there than when the reader asked, who still waits.

        What it asked may be lost: it is left behind, and another one is there before it gives up.
        """
        until = started + self._limits.first_frame_s
        while (left := until - time.monotonic()) > 0 and not self._stream.stop.is_set():
            was_there = self._presence == Presence.ANSWERS
            look_s = _USUAL_OPENING_S if was_there else _LOOK_WHILE_OPENING_S
            if reader.opened.wait(min(look_s, left)):
                return False
            if self._rises() and not reader.opened.is_set() and not self._has_too_many:
                reader.abandon()
                self._abandoned.append(reader)
                self._status.reconnects += 1
                return True
        return False

    def _rises(self) -> bool:
        """Whether more of the source is there than at the last look."""
        before, self._presence = self._presence, self._source.presence()
        return self._presence > before

    def _problem_of(self, reader: Reader, started: float) -> SourceError:
        """What ends the session of a reader."""
        left = self._limits.stale_after_s
        # The first frame may come right after a look, and the next one never.
        while not reader.ended.wait(min(left, self._limits.stale_after_s)):
            left = self._deadline(reader, started) - time.monotonic()
            if left <= 0:
                return self._abandon(reader)
        if reader.problem is None:
            return SourceError("the stream ended")
        if isinstance(reader.problem, SourceError):
            return reader.problem
        # Of whatever a damaged stream leads to: the next session may be read again.
        error = reader.problem
        _log.warning("%s: a session ended unexpectedly", self._source.name, exc_info=error)
        return SourceError(f"{type(error).__name__}: {error}")

    def _deadline(self, reader: Reader, started: float) -> float:
        """When the next picture has to be there."""
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
        """Wait until the source is to be opened again, or more of it is there."""
        self._status.enter(
            retry.state,
            str(problem),
            then=f"opened again in {retry.delay_s:.1f} s",
            retry_at=time.time() + retry.delay_s,
        )
        self._status.reconnects += 1
        until = time.monotonic() + retry.delay_s
        # One that is there all the time has another problem.
        self._presence = self._source.presence() if retry.state == "backoff" else Presence.ANSWERS
        while (left := until - time.monotonic()) > 0 or self._has_too_many:
            if self._stream.stop.wait(min(left, _LOOK_S) if left > 0 else _LOOK_S):
                return
            if self._presence < Presence.ANSWERS and self._rises():
                until = 0.0

    @property
    def _has_too_many(self) -> bool:
        self._abandoned = [reader for reader in self._abandoned if not reader.ended.is_set()]
        return len(self._abandoned) >= MAX_ABANDONED
