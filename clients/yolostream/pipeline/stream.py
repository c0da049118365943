"""The way of one source's frames, from the mailbox to the outputs."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from yolostream.client.detector import Detector
from yolostream.client.pending import Pending
from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.frame_trace import span
from yolostream.gpu_memory import on_host
from yolostream.image import Image
from yolostream.pipeline.answers import Answers
from yolostream.pipeline.fan_out import FanOut
from yolostream.pipeline.mailbox import Mailbox
from yolostream.pipeline.numbering import Numbering
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.sink import Result
from yolostream.pipeline.status import Drop, Status
from yolostream.sources import Session


class Stream:
    """One source on its way: frames that wait to be sent, and those that are.

    A thread takes the answers in order, tracks, draws, and hands the results to the sinks.

    Args:
        plan: what is done.
        detector: is asked again for frames that the server was away for.
        on_ready: called when there may be something to send: a frame came, or one arrived.
    """

    def __init__(self, plan: Plan, detector: Detector, *, on_ready: Callable[[], None]) -> None:
        self.plan = plan
        self.status = Status(plan.source.name)
        self.on_ready = on_ready
        """Another one where another dispatcher sends from now on."""
        self.mailbox = Mailbox(plan.admission, on_frame=lambda: self.on_ready(), on_drop=self._drop)
        self.outputs = FanOut()
        self.stop = threading.Event()
        self._answers = Answers(detector, self.status, plan, give_up=self.fail, stop=self.stop)
        self._room = threading.Semaphore(plan.in_flight)
        self._in_flight: queue.SimpleQueue[tuple[Frame, Pending] | None] = queue.SimpleQueue()
        self._numbering = Numbering()
        self._session_rate = 1.0
        self._taken = 0
        self._started = time.perf_counter()
        self._thread = threading.Thread(target=self._run, name=plan.source.name, daemon=True)
        self._thread.start()

    # Called by the thread that reads the source.

    def opened(self, session: Session) -> None:
        """Get ready for the frames of a session. An output that cannot be made costs no other."""
        plan = self.plan
        if self.stop.is_set():
            # Asked to stop while it was being opened: nobody would close what is made now.
            return
        if session.frame_count is not None:
            taken = -(-session.frame_count // plan.stride)
            self.status.frames_expected = min(taken, plan.limit or taken)
        self._session_rate = float(session.frame_rate)
        self._set_rate()
        if not self.outputs.is_open:
            self.status.errors += self.outputs.open(plan, session)

    def fail(self, error: Exception) -> None:
        """Give the source up; what is on its way is still written."""
        self.status.errors.append(error)
        self.status.enter("failed", str(error))
        self.stop.set()
        self.mailbox.close(discard=True)

    # Called by the thread that sends.

    def take(self) -> Frame | None:
        """The next frame to send, if there is one and room on the way."""
        if not self.mailbox or not self._room.acquire(blocking=False):
            return None
        frame = self.mailbox.take()
        if frame is None:
            self._room.release()
            return None
        self._taken += 1
        if self._taken == self.plan.limit:
            self.mailbox.close(discard=True)
        return frame

    def expect(self, frame: Frame, pending: Pending) -> None:
        """The frame was sent."""
        self.status.frames_sent += 1
        self._in_flight.put((frame, pending))

    def end(self) -> None:
        """No more frames are sent."""
        self._in_flight.put(None)

    # Called by the one who runs it.

    @property
    def is_alive(self) -> bool:
        """Whether its outputs are still open."""
        return self._thread.is_alive()

    def follow(self, plan: Plan) -> None:
        """From the next frame on, do this: the same, but for the filter, the age and the rate."""
        self.plan = plan
        self.mailbox.admission = plan.admission
        self._set_rate()

    def join(self, timeout_s: float) -> None:
        """Wait until all that was sent is written, and the outputs are closed."""
        self._thread.join(timeout_s)

    def snapshot(self) -> Status:
        """The figures as they are now."""
        return self.outputs.figures(self.status)

    def _set_rate(self) -> None:
        taken = self._session_rate / self.plan.stride
        self._numbering.frame_rate = min(taken, self.plan.most_per_second)

    # The thread that follows the frames.

    def _run(self) -> None:
        try:
            while (item := self._in_flight.get()) is not None:
                self._take_answer(*item)
                self._room.release()
                self.on_ready()
        except Exception as error:
            self.fail(error)
        finally:
            self._finish()

    def _take_answer(self, frame: Frame, pending: Pending) -> None:
        detections, trace = self._answers.of(frame, pending), frame.trace
        if trace is not None and pending.done():
            trace.answered(pending.answered_ns, pending.exception())
        if detections is not None:
            self._hand_on(frame, detections)
        if trace is not None:
            trace.release()

    def _hand_on(self, frame: Frame, detections: Detections) -> None:
        status = self.status
        detections = self.plan.detection_filter(detections)
        if self.plan.track and self.plan.source.is_video:
            with status.timer.stage("track"), span(frame.trace, "track"):
                detections = self._numbering.update(frame, detections)
            status.tracks = self._numbering.count
        status.result_ages.add(frame.age_s)
        if frame.trace is not None:
            frame.trace.note("yolostream.objects", len(detections))
        self.outputs.put(Result(frame, self._annotated(frame, detections), detections))
        if self.outputs.has_failed:
            self.mailbox.close(discard=True)
        status.frames_done += 1
        status.objects += len(detections)
        status.latest_objects = len(detections)
        status.latest_captured_at = frame.captured_at
        status.size = frame.size
        status.elapsed_s = time.perf_counter() - self._started

    def _annotated(self, frame: Frame, detections: Detections) -> Image:
        if self.plan.annotator is None or not self.outputs.draws:
            # So it stays where it is, in GPU memory too.
            return frame.image  # type: ignore[return-value]
        with self.status.timer.stage("draw"), span(frame.trace, "draw"):
            # In place: the answer is here, and nobody else needs the picture as it was.
            image = on_host(frame.image)
            if self.plan.trails is not None:
                self.plan.trails.draw_on(image, detections, frame.pts_seconds)
            self.plan.annotator.draw_on(image, detections)
            return image

    def _drop(self, frame: Frame, cause: Drop) -> None:
        self.status.dropped[cause] += 1
        if frame.trace is not None:
            frame.trace.dropped(cause)

    def _finish(self) -> None:
        self.outputs.close()
        self.outputs.join()
        if self.plan.tile is not None and not self.outputs.is_open:
            # It was never opened, and others wait for it.
            self.plan.tile.close()
        if self._answers.absence is not None:
            self.status.errors.append(self._answers.absence)
        self.status.elapsed_s = time.perf_counter() - self._started
        if not (self.stop.is_set() and self.plan.source.reopens):
            # Else it was left in the middle, in the state that it is in.
            self.status.enter("ended")
