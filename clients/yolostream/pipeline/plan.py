"""What is done with the frames of one source."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from yolostream.frame_traces import FrameTraces
from yolostream.outputs.output import Output
from yolostream.outputs.tile import Tile
from yolostream.pipeline.drawing import Annotator
from yolostream.pipeline.filters import DetectionFilter
from yolostream.pipeline.mailbox import Admission
from yolostream.pipeline.supervision import Limits
from yolostream.pipeline.trails import Trails
from yolostream.sources import Session, Source

IN_FLIGHT = 3
"""Frames of one source on their way at once: one in each step of the ensemble."""

SERVER_PATIENCE_S = 60.0
"""How long a file waits for a server that is being restarted."""

MAX_AGE_S = 0.5
"""An older frame of a live source is not worth sending any more."""

LIVE_FRAMES = 3
"""Frames of a live source that wait at most: at 30 frames/s, a hiccup of a tenth of a second costs
none, and a server that is too slow makes the others no older than that."""


@dataclass(frozen=True)
class Plan:
    """What is done with the frames of one source."""

    source: Source
    outputs_of: Callable[[Session], Sequence[Callable[[], Output]]]
    """What makes the outputs, once the source is open."""
    tile: Tile | None = None
    """Its cell of the tiled picture."""
    track: bool = True
    annotator: Annotator | None = None
    """Draws the detections; None where nobody looks."""
    trails: Trails | None = None
    """Draws where they came from."""
    detection_filter: DetectionFilter = field(default_factory=DetectionFilter)
    stride: int = 1
    """Every Nth frame is taken."""
    limit: int | None = None
    """Frames taken at most."""
    in_flight: int = IN_FLIGHT
    server_patience_s: float = SERVER_PATIENCE_S
    max_age_s: float = MAX_AGE_S
    most_per_second: float = math.inf
    """Frames of a video taken at most."""
    limits: Limits = field(default_factory=Limits)
    """How patient we are with a live source."""
    resumes: bool = False
    """Another process read it before, which died: a camera that is away is no wrong address."""
    traces: FrameTraces | None = None
    """Follows its frames; None where nobody wants that."""

    @property
    def admission(self) -> Admission:
        """Files wait for room and lose nothing; of a live source the newest frame is kept."""
        if self.source.is_live:
            return Admission("newest", capacity=LIVE_FRAMES, max_age_s=self.max_age_s)
        return Admission("block", capacity=2)
