"""The runs of `detect` that are measured, by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from yolostream.pipeline.workers import workers_for

from loadtest.clips import CAMERA_FPS
from loadtest.search import Bound

Kind = Literal["all_out", "all_objects", "cameras", "annotated"]
"""Files as fast as possible with about 20 objects a frame; the same with every object; files that
play like cameras; files into annotated MP4s."""

_ONE_DECODER_FPS = 800.0
"""No decoder decodes more frames per second of one 1080p video."""

_DRAWN_FPS = 200.0
"""No encoder encodes more frames per second of one annotated video."""

_FEWEST_FRAMES = 30

BOUND = Bound(CAMERA_FPS, latency_s=0.1)
"""For the frames of cameras, from decoding a frame until its row is written."""

EDGE = 1 / 8
"""The number of cameras is found to this share of itself."""

WARM_UP_S = 8.0
"""Of cameras, not counted. While 48 cameras are opened, many frames are late."""


@dataclass(frozen=True)
class Scenario:
    """One run of `detect`."""

    kind: Kind
    sources: int
    """Number of videos at once."""
    decoder: str
    """`gpu` or `cpu`."""
    frames_each: int
    """Frames of each source."""
    workers: int | None = None
    """Worker processes; by default as many as `detect` takes."""

    @property
    def name(self) -> str:
        """A name for people, files and figures."""
        workers = f"-{self.workers}-workers" if self.workers else ""
        return f"{self.kind}-{self.sources}-{self.decoder}{workers}"


@dataclass(frozen=True)
class Length:
    """The length of runs."""

    seconds: float
    """Of each run, without its start."""
    frames_per_s: float
    """The server's own rate. A file has so many frames that a run takes `seconds` at this rate."""

    def frames(self, sources: int, *, most_fps: float) -> int:
        """Frames of each source, if one source cannot be faster than `most_fps`."""
        each = min(self.frames_per_s / sources, most_fps)
        return max(_FEWEST_FRAMES, math.ceil(self.seconds * each))


def files(sources: Sequence[int], decoders: Sequence[str], length: Length) -> Iterator[Scenario]:
    """Files as fast as possible, by each decoder, of which the first is faster.

    The usual number of processes runs with every number of sources. One process is several times
    slower, so it runs once: with about eight sources and the faster decoder. So do all objects.
    """
    eight = min(sources, key=lambda number: abs(number - 8))
    for number in sources:
        frames = length.frames(number, most_fps=_ONE_DECODER_FPS)
        for decoder in decoders:
            yield Scenario("all_out", number, decoder, frames)
        if number == eight and workers_for(number) > 1:
            yield Scenario("all_out", number, decoders[0], frames, workers=1)
    frames = length.frames(eight, most_fps=_ONE_DECODER_FPS)
    yield Scenario("all_objects", eight, decoders[0], frames)
    for number in (1, 2):
        frames = length.frames(number, most_fps=_DRAWN_FPS)
        yield Scenario("annotated", number, decoders[0], frames)


def cameras(number: int, decoder: str, seconds: float) -> Scenario:
    """Files that play like cameras, for so many seconds after the warm-up."""
    frames = max(_FEWEST_FRAMES, round((WARM_UP_S + seconds) * CAMERA_FPS))
    return Scenario("cameras", number, decoder, frames)


def breaks(run: dict[str, Any]) -> str:
    """Say why the cameras of a run, as `Client.measure` returns it, do not hold the bound."""
    if "error" in run:
        return str(run["error"])
    counted = run["frames_each"] - round(WARM_UP_S * CAMERA_FPS)
    left_out = run["dropped"] + run["lost"]
    if not left_out and (missing := run["sources"] * counted - run["frames"]) > 0:
        return f"{missing} frames missing"
    return BOUND.broken_by(
        run["age_ms"]["worst_p99"],
        left_out=left_out,
        frames=run["sources"] * counted,
        frames_per_s_each=run["frames_per_s"] / run["sources"],
    )
