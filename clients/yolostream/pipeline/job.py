"""The settings of a run, which are passed to worker processes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

from yolostream.outputs.results import Results
from yolostream.outputs.tile import Tile
from yolostream.pipeline.dispatcher import Batching
from yolostream.pipeline.drawing import Annotator, LabelOptions
from yolostream.pipeline.filters import DetectionFilter
from yolostream.pipeline.plan import IN_FLIGHT, MAX_AGE_S, SERVER_PATIENCE_S, Plan
from yolostream.pipeline.supervision import Limits
from yolostream.pipeline.trails import Trails
from yolostream.sources import Reading, Source


@dataclass(frozen=True)
class Job:
    """What to do with the sources of a run. It can be pickled."""

    results: Results
    track: bool = True
    labels: LabelOptions = field(default_factory=LabelOptions)
    title: bool = True
    """Whether the source's name is drawn on the picture."""
    trail_s: float = 0.0
    """Length of an object's trail in seconds; 0 draws none."""
    detection_filter: DetectionFilter = field(default_factory=DetectionFilter)
    stride: int = 1
    """Every Nth frame is taken."""
    limit: int | None = None
    """Most frames that are taken of each source; None takes all."""
    in_flight: int = IN_FLIGHT
    """Most frames of one source that are in flight."""
    server_patience_s: float = SERVER_PATIENCE_S
    """Seconds that a file waits for a server that is unavailable."""
    max_age_s: float = MAX_AGE_S
    """Seconds after which a frame of a live source is too old to be sent."""
    most_per_second: float = math.inf
    """Most frames per second that are taken of each video."""
    limits: Limits = field(default_factory=Limits)
    """Timeouts of live sources."""
    downscale: bool = True
    """Whether frames are downscaled to the network's input."""
    batching: Batching = field(default_factory=Batching)
    decoder_threads: int = 0
    """Threads that decode one video on the CPU; 0 takes one per core."""

    def plan(self, source: Source, tile: Tile | None) -> Plan:
        """The plan for one source; `tile` is its cell of the tiled picture, if there is one."""
        return Plan(
            source=source,
            outputs_of=partial(self.results.makers, source),
            tile=tile,
            track=self.track,
            annotator=Annotator(source.name if self.title else "", labels=self.labels),
            trails=Trails(self.trail_s) if self.trail_s else None,
            detection_filter=self.detection_filter,
            stride=self.stride,
            limit=self.limit,
            in_flight=self.in_flight,
            server_patience_s=self.server_patience_s,
            max_age_s=self.max_age_s,
            most_per_second=self.most_per_second,
            limits=self.limits,
            resumes=self.results.part > 1,
        )

    def reading(self, input_size: tuple[int, int]) -> Reading:
        """Which frames of a source are decoded, and in which size.

        Args:
            input_size: height and width of the network's input. Frames are downscaled to fit into
                it, unless they are to be drawn.
        """
        fit = input_size if self.downscale else None
        # Longer than the watchdog's limit: the watchdog acts first and reports the reason.
        silence_s = self.limits.stale_after_s + 0.5
        return Reading(self.stride, fit, self.decoder_threads, silence_s)
