"""One picture of a source, on its way through the pipeline."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction

from yolostream.frame_trace import FrameTrace
from yolostream.image import AnyImage, size_of


@dataclass(frozen=True, repr=False)
class Frame:
    """One decoded frame and its place in time."""

    image: AnyImage
    """uint8 [H, W, 3], RGB, as it is shown: upright, with square pixels, of no high dynamic range;
    in GPU memory where the GPU has decoded it. Downscaled to what is sent where the source was
    asked for no more."""
    index: int
    """0-based number of the frame in its source, counting skipped ones."""
    pts: int
    """Presentation time in units of the source's `time_base`: later than that of the frame before,
    whatever the source says."""
    time_base: Fraction
    """Seconds of one unit of `pts`."""
    name: str = ""
    """File name of a picture; empty for a video's frame."""
    source: str = ""
    """Name of the source."""
    captured_at: float = field(default_factory=time.time)
    """Unix time in seconds at which the frame was decoded, by a clock that may be set."""
    decoded_at: float = field(default_factory=time.monotonic, compare=False)
    """The same by `time.monotonic()`, which tells ages and gaps."""
    source_pts_seconds: float | None = None
    """Presentation time in seconds as the source says it; None where it says nothing."""
    session: int = 0
    """Counts how often the source was opened again before it."""
    original_size: tuple[int, int] | None = None
    """Height and width of the frame before it was downscaled; None where it was not."""
    trace: FrameTrace | None = field(default=None, compare=False)
    """Follows it on its way; None where nobody wants that."""

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the whole frame as it is shown; boxes are in these."""
        return self.original_size or size_of(self.image)

    @property
    def age_s(self) -> float:
        """Seconds since it was decoded."""
        return time.monotonic() - self.decoded_at
