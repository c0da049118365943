"""One decoded frame of a source, with its time stamps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction

from yolostream.frame_trace import FrameTrace
from yolostream.image import AnyImage, size_of


@dataclass(frozen=True, repr=False)
class Frame:
    """One decoded frame with its time stamps."""

    image: AnyImage
    """uint8 [H, W, 3], RGB, ready for display: upright, with square pixels and standard dynamic
    range. It is in GPU memory if the GPU decoded it. It may be downscaled; see `original_size`."""
    index: int
    """0-based number of the frame in its source; skipped frames count."""
    pts: int
    """Presentation time in units of `time_base`. It always increases, even if the source's own
    times do not."""
    time_base: Fraction
    """Seconds of one unit of `pts`."""
    name: str = ""
    """File name of a picture; empty for a frame of a video."""
    source: str = ""
    """Name of the source."""
    captured_at: float = field(default_factory=time.time)
    """Unix time in seconds when the frame was decoded. The system's clock may be set meanwhile."""
    decoded_at: float = field(default_factory=time.monotonic, compare=False)
    """The same by `time.monotonic()`, for ages and intervals."""
    source_pts_seconds: float | None = None
    """Presentation time in seconds from the source itself; None if it has none."""
    session: int = 0
    """How often the source had been reopened before this frame."""
    original_size: tuple[int, int] | None = None
    """Height and width of the frame before it was downscaled; None if it was not."""
    trace: FrameTrace | None = field(default=None, compare=False)
    """Records the frame's trace; None if the frame is not traced."""

    @property
    def pts_seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame in pixels before downscaling; boxes are in these pixels."""
        return self.original_size or size_of(self.image)

    @property
    def age_s(self) -> float:
        """Seconds since the frame was decoded."""
        return time.monotonic() - self.decoded_at
