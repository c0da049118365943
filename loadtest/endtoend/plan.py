"""What is measured: runs of `detect`, by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from yolostream.pipeline.workers import workers_for

from loadtest.bound import Bound
from loadtest.errors import LoadTestError
from loadtest.gpu.rows import CAMERA_FPS

Kind = Literal["all_out", "all_objects", "cameras", "annotated"]
"""Files as fast as they go, at about 20 objects a frame; the same with every object that the server
finds; files that play like cameras; files into annotated MP4s."""

_ONE_DECODER_FPS = 800.0
"""Frames per second of one 1080p video that no decoder is expected to exceed."""

_DRAWN_FPS = 200.0
"""The same of one that is drawn and encoded."""

_FEWEST_FRAMES = 30

BOUND = Bound(CAMERA_FPS, latency_s=0.1)
"""Of cameras' frames, from decoding one until its row is written; none may be left out."""

EDGE = 1 / 8
"""The most cameras are known to this share of their number."""

WARM_UP_S = 8.0
"""Of cameras, not counted: while 48 are opened, hardly a frame goes its usual way."""


@dataclass(frozen=True)
class Scenario:
    """One run of `detect`.

    Attributes:
        kind: What it is for.
        sources: Videos at once.
        decoder: `gpu` or `cpu`.
        frames_each: Of each source.
        workers: Processes that feed the sources; by default as many as `detect` takes.
    """

    kind: Kind
    sources: int
    decoder: str
    frames_each: int
    workers: int | None = None

    @property
    def name(self) -> str:
        """For people, files and figures."""
        workers = f"-{self.workers}-workers" if self.workers else ""
        return f"{self.kind}-{self.sources}-{self.decoder}{workers}"


@dataclass(frozen=True)
class Length:
    """How long runs are.

    Attributes:
        seconds: Of each, without its start.
        frames_per_s: That the server answers by itself; files are made as long as that takes.
    """

    seconds: float
    frames_per_s: float

    def frames(self, sources: int, *, most_fps: float) -> int:
        """Of each source, where one cannot be faster than `most_fps`."""
        each = min(self.frames_per_s / sources, most_fps)
        return max(_FEWEST_FRAMES, math.ceil(self.seconds * each))


def counts(text: str) -> tuple[int, ...]:
    """Numbers of sources, smallest first, from the command line's `1,2,8`.

    Raises:
        LoadTestError: It is something else.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise LoadTestError(f"--sources takes numbers such as 1,2,8, not '{text}'")
    return tuple(sorted({int(word) for word in words}))


def all_out(sources: Sequence[int], decoders: Sequence[str], length: Length) -> Iterator[Scenario]:
    """Files that are read as fast as possible, by each decoder.

    The usual number of processes runs with every number of sources. One process is several times
    slower, so it runs once: with about eight sources and the faster decoder.

    Args:
        sources: The numbers of sources.
        decoders: The decoders, the faster one first.
        length: The length of each run.
    """
    for number in sources:
        frames = length.frames(number, most_fps=_ONE_DECODER_FPS)
        for decoder in decoders:
            yield Scenario("all_out", number, decoder, frames)
        if number == about_eight(sources) and workers_for(number) > 1:
            yield Scenario("all_out", number, decoders[0], frames, workers=1)


def all_objects(sources: Sequence[int], decoder: str, length: Length) -> Scenario:
    """A run with about eight sources in which every object counts."""
    number = about_eight(sources)
    frames = length.frames(number, most_fps=_ONE_DECODER_FPS)
    return Scenario("all_objects", number, decoder, frames)


def about_eight(sources: Sequence[int]) -> int:
    """The number of sources that is nearest to eight."""
    return min(sources, key=lambda number: abs(number - 8))


def annotated(decoder: str, length: Length) -> Iterator[Scenario]:
    """One source and two into annotated MP4s."""
    for number in (1, 2):
        yield Scenario("annotated", number, decoder, length.frames(number, most_fps=_DRAWN_FPS))


def cameras(number: int, decoder: str, seconds: float) -> Scenario:
    """So many files that play like cameras.

    Args:
        number: Of them.
        decoder: `gpu` or `cpu`.
        seconds: That they play after they have warmed up.
    """
    frames = max(_FEWEST_FRAMES, round((WARM_UP_S + seconds) * CAMERA_FPS))
    return Scenario("cameras", number, decoder, frames)


def breaks(run: dict[str, Any]) -> str:
    """Why the cameras of a run do not hold; nothing where they do.

    Args:
        run: As `Client.measure` returns it.
    """
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
