"""What is to be done with the sources of a run, in words that travel between processes."""

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
    """What is to be done with the sources of a run. It can be pickled."""

    results: Results
    track: bool = True
    labels: LabelOptions = field(default_factory=LabelOptions)
    title: bool = True
    """Whether the source's name stands on the picture."""
    trail_s: float = 0.0
    """Seconds that the trail of an object reaches back; 0 draws none."""
    detection_filter: DetectionFilter = field(default_factory=DetectionFilter)
    stride: int = 1
    """Every Nth frame is taken."""
    limit: int | None = None
    """Frames of each source taken at most."""
    in_flight: int = IN_FLIGHT
    """Frames of one source on their way at once."""
    server_patience_s: float = SERVER_PATIENCE_S
    max_age_s: float = MAX_AGE_S
    most_per_second: float = math.inf
    """Frames of each video taken at most."""
    limits: Limits = field(default_factory=Limits)
    """How patient we are with live sources."""
    downscale: bool = True
    """Whether frames are made no larger than the network's input."""
    batching: Batching = field(default_factory=Batching)
    decoder_threads: int = 0
    """Threads that decode one video on the CPU; 0 takes one a core."""

    def plan(self, source: Source, tile: Tile | None) -> Plan:
        """What is done with the frames of one source."""
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
        """How much of a source is made into pictures.

        Args:
            input_size: height and width of the network's input. Frames are downscaled to fit into
                it, but for those that somebody looks at.
        """
        fit = input_size if self.downscale else None
        # The watchdog comes first, who knows the reason.
        silence_s = self.limits.stale_after_s + 0.5
        return Reading(self.stride, fit, self.decoder_threads, silence_s)
