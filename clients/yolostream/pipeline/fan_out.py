"""All outputs of one source."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace

from yolostream.errors import OutputError
from yolostream.outputs.output import Output
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.sink import Result, Sink
from yolostream.pipeline.status import Drop, SinkCounts, Status
from yolostream.pipeline.timing import Durations, StageTimer
from yolostream.sources import Session


class FanOut:
    """Passes each result to the sinks of all outputs. They fail independently of each other."""

    def __init__(self) -> None:
        self._sinks: list[Sink] = []

    def open(self, plan: Plan, session: Session) -> list[OutputError]:
        """Make the outputs for the frames of a session.

        Returns:
            The errors of the outputs that could not be made.
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
        """Whether there is an output, even if it has failed since."""
        return bool(self._sinks)

    @property
    def draws(self) -> bool:
        """Whether an output needs the annotated picture at the moment."""
        return any(sink.draws for sink in self._sinks)

    @property
    def has_failed(self) -> bool:
        """Whether all outputs have failed."""
        return all(sink.failed for sink in self._sinks)

    def put(self, result: Result) -> None:
        """Pass a result to all sinks. Unless the source is live, wait for room."""
        for sink in self._sinks:
            sink.put(result)

    def close(self) -> None:
        """Close all outputs when they have written what they were given; see `join`."""
        for sink in self._sinks:
            sink.close()

    def join(self, deadline: float = math.inf) -> None:
        """Wait until all outputs are closed, or `time.monotonic()` is `deadline`."""
        for sink in self._sinks:
            sink.join(deadline - time.monotonic())

    def figures(self, status: Status) -> Status:
        """A copy of a source's status that includes the figures of its outputs."""
        sinks = self._sinks
        counts: dict[str, SinkCounts] = {}
        for sink in sinks:
            counts[sink.kind] = counts.get(sink.kind, SinkCounts()) + sink.counts
        dropped: Counter[Drop] = Counter(dict(status.dropped))
        if late := sum(count.dropped for count in counts.values()):
            dropped["slow_output"] = late
        timer = status.timer + StageTimer()
        timer.stages["write"] += sum((sink.writing for sink in sinks), start=Durations())
        return replace(
            status,
            timer=timer,
            result_ages=status.result_ages + Durations(),
            dropped=dropped,
            lost=Counter(dict(status.lost)),
            first_lost=dict(status.first_lost),
            errors=[*status.errors, *(sink.error for sink in sinks if sink.error is not None)],
            ages=sum((sink.ages for sink in sinks), start=status.ages),
            sinks=counts,
        )

    def _add(self, output: Output, plan: Plan) -> None:
        name = f"{plan.source.name} {type(output).__name__}"
        self._sinks.append(Sink(output, name=name, drops=plan.source.is_live))
