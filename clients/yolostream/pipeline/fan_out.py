"""All outputs of one source."""

from __future__ import annotations

import math
import time

from yolostream.errors import OutputError
from yolostream.outputs.output import Output
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.sink import Result, Sink
from yolostream.pipeline.status import SinkCounts
from yolostream.pipeline.timing import Durations
from yolostream.sources import Session


class FanOut:
    """Hands each result to a sink for every output. One that fails costs no other."""

    def __init__(self) -> None:
        self._sinks: list[Sink] = []

    def open(self, plan: Plan, session: Session) -> list[OutputError]:
        """Make the outputs for the frames of a session.

        Returns:
            Why some could not be made.
        """
        errors = []
        for make_output in plan.outputs_of(session):
            try:
                self._add(make_output(), plan)
            except OutputError as error:
                errors.append(error)
        if plan.tile is not None:
            plan.tile.open(session.frame_rate)
            self._add(plan.tile, plan)
        return errors

    @property
    def is_open(self) -> bool:
        """Whether there is an output, even if it was given up since."""
        return bool(self._sinks)

    @property
    def draws(self) -> bool:
        """Whether an output wants the annotated picture, now."""
        return any(sink.draws for sink in self._sinks)

    @property
    def has_failed(self) -> bool:
        """Whether all were given up."""
        return all(sink.failed for sink in self._sinks)

    def put(self, result: Result) -> None:
        """Hand over a result; where nothing may be lost, wait for room."""
        for sink in self._sinks:
            sink.put(result)

    def close(self) -> None:
        """Let all outputs be closed, once what they were given is written."""
        for sink in self._sinks:
            sink.close()

    def join(self, deadline: float = math.inf) -> None:
        """Wait until they are, or `time.monotonic()` is `deadline`."""
        for sink in self._sinks:
            sink.join(deadline - time.monotonic())

    @property
    def counts(self) -> dict[str, SinkCounts]:
        """What became of the results, by the kind of the output."""
        counts: dict[str, SinkCounts] = {}
        for sink in self._sinks:
            counts[sink.kind] = counts.get(sink.kind, SinkCounts()) + sink.counts
        return counts

    @property
    def errors(self) -> list[Exception]:
        """Why outputs were given up."""
        return [sink.error for sink in self._sinks if sink.error is not None]

    @property
    def writing(self) -> Durations:
        """What each result took in each output."""
        return sum((sink.writing for sink in self._sinks), start=Durations())

    @property
    def ages(self) -> Durations:
        """From a frame's decoding until it was written, in each output."""
        return sum((sink.ages for sink in self._sinks), start=Durations())

    def _add(self, output: Output, plan: Plan) -> None:
        name = f"{plan.source.name} {type(output).__name__}"
        self._sinks.append(Sink(output, name=name, drops=plan.source.is_live))
