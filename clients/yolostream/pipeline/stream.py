"""The frames of one source, from the mailbox to the outputs."""

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
    """The frames of one source that wait to be sent, and those that are in flight.

    A thread takes the answers in order, tracks and draws objects, and passes results to the sinks.

    Args:
        plan: the settings for the source.
        detector: sends the frames of a file again if the server was unavailable.
        on_ready: called when a frame may be sent, because one was read or one was answered.
    """

    def __init__(self, plan: Plan, detector: Detector, *, on_ready: Callable[[], None]) -> None:
        self.plan = plan
        self.status = Status(plan.source.name)
        self.on_ready = on_ready
        """Replaced when another dispatcher takes the stream over."""
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
        """Prepare for the frames of a session. An output that cannot be made is left out."""
        plan = self.plan
        if self.stop.is_set():
            # Stopped while the source was being opened: outputs made now would not be closed.
            return
        if session.frame_count is not None:
            taken = -(-session.frame_count // plan.stride)
            self.status.frames_expected = min(taken, plan.limit or taken)
        self._session_rate = float(session.frame_rate)
        self._set_rate()
        if not self.outputs.is_open:
            self.status.errors += self.outputs.open(plan, session)

    def fail(self, error: Exception) -> None:
        """Stop the source with an error; frames in flight are still written."""
        self.status.errors.append(error)
        self.status.enter("failed", str(error))
        self.stop.set()
        self.mailbox.close(discard=True)

    # Called by the thread that sends.

    def take(self) -> Frame | None:
        """The next frame to send; None if there is none, or too many are in flight."""
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
        """Wait for the answer to a frame that was sent."""
        self.status.frames_sent += 1
        self._in_flight.put((frame, pending))

    def end(self) -> None:
        """End the stream when the frames in flight are answered: no more are sent."""
        self._in_flight.put(None)

    # Called by the thread that runs the stream.

    @property
    def is_alive(self) -> bool:
        """Whether its outputs are still open."""
        return self._thread.is_alive()

    def follow(self, plan: Plan) -> None:
        """Use another plan from the next frame on; only its filter, age and rate may differ."""
        self.plan = plan
        self.mailbox.admission = plan.admission
        self._set_rate()

    def join(self, timeout_s: float) -> None:
        """Wait until the results of all sent frames are written, and the outputs are closed."""
        self._thread.join(timeout_s)

    def snapshot(self) -> Status:
        """A copy of the status that includes the figures of the outputs."""
        return self.outputs.figures(self.status)

    def _set_rate(self) -> None:
        taken = self._session_rate / self.plan.stride
        self._numbering.frame_rate = min(taken, self.plan.most_per_second)

    # The stream's own thread.

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
            self._process(frame, detections)
        if trace is not None:
            trace.release()

    def _process(self, frame: Frame, detections: Detections) -> None:
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
            # It may be in GPU memory, and is not copied if nothing is drawn.
            return frame.image  # type: ignore[return-value]
        with self.status.timer.stage("draw"), span(frame.trace, "draw"):
            # Drawn in place: the frame is answered, so nothing else uses the picture.
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
            # Its cell was never opened, but the other cells wait for it.
            self.plan.tile.close()
        if self._answers.absence is not None:
            self.status.errors.append(self._answers.absence)
        self.status.elapsed_s = time.perf_counter() - self._started
        if not (self.stop.is_set() and self.plan.source.reopens):
            # A stopped camera keeps its state: it has not come to an end.
            self.status.enter("ended")
