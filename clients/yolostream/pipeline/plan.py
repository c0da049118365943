"""The settings for one source."""

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
"""Frames of one source in flight: one for each step of the ensemble."""

SERVER_PATIENCE_S = 60.0
"""Seconds that a file waits for a server that is unavailable."""

MAX_AGE_S = 0.5
"""Seconds after which a frame of a live source is too old to be sent."""

LIVE_FRAMES = 3
"""Most frames of a live source that wait: a tenth of a second at 30 frames/s. A pause that long
loses no frame. If the server is too slow, frames wait no longer than that."""


@dataclass(frozen=True)
class Plan:
    """What to do with the frames of one source. See `Job` for the fields without a text here."""

    source: Source
    outputs_of: Callable[[Session], Sequence[Callable[[], Output]]]
    """Returns the functions that make the outputs, when the source is open."""
    tile: Tile | None = None
    """Its cell of the tiled picture."""
    track: bool = True
    annotator: Annotator | None = None
    """Draws the detections; None if pictures are never drawn."""
    trails: Trails | None = None
    """Draws the trails of the objects; None draws none."""
    detection_filter: DetectionFilter = field(default_factory=DetectionFilter)
    stride: int = 1
    """Every Nth frame is taken."""
    limit: int | None = None
    """Most frames that are taken; None takes all."""
    in_flight: int = IN_FLIGHT
    server_patience_s: float = SERVER_PATIENCE_S
    max_age_s: float = MAX_AGE_S
    most_per_second: float = math.inf
    """Most frames per second that are taken of a video."""
    limits: Limits = field(default_factory=Limits)
    """Timeouts of a live source."""
    resumes: bool = False
    """Whether another process, which died, has read it before. Then its address is known to be
    right, and a camera that does not answer is tried again without a limit."""
    traces: FrameTraces | None = None
    """Traces its frames; None traces none."""

    @property
    def admission(self) -> Admission:
        """How frames wait: a file loses none; of a live source, the newest ones are kept."""
        if self.source.is_live:
            return Admission("newest", capacity=LIVE_FRAMES, max_age_s=self.max_age_s)
        return Admission("block", capacity=2)
