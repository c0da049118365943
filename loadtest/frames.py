"""Frames of the demo clips: load as a camera makes it, neither zeros nor noise."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
from yolostream.client.transport.buffers import resize
from yolostream.image import AnyImage, Image
from yolostream.sources import EVERYTHING, Reading, Session, find_sources

from loadtest.repository import VIDEOS


@contextlib.contextmanager
def demo_clip(name: str, reading: Reading = EVERYTHING) -> Iterator[Session]:
    """Open a demo clip.

    Args:
        name: Of the clip in `videos/`, without its ending.
        reading: Which of its frames are made into pictures; by default all.

    Raises:
        SourceError: There is no such clip.
    """
    sources, errors = find_sources([str(VIDEOS / f"{name}.mp4")])
    if errors:
        raise errors[0]
    (video,) = sources
    with contextlib.closing(video.open(reading)) as session:
        yield session


def demo_frames(
    name: str = "mb1_1", *, size: tuple[int, int] | None = None, every: int = 10
) -> list[Image]:
    """Read frames of a demo clip.

    Args:
        name: Of the clip in `videos/`, without its ending.
        size: Height and width to resize to, in pixels; by default the clip's own.
        every: Take every Nth frame.

    Returns:
        uint8 [height, width, 3] each, RGB.

    Raises:
        SourceError: There is no such clip.
    """
    with demo_clip(name, Reading(stride=every)) as session:
        frames = [on_host(frame.image) for frame in session]
    if size is not None:
        height, width = size
        frames = [resize(frame, height=height, width=width) for frame in frames]
    return frames


def on_host(image: AnyImage) -> Image:
    """A picture of the CPU's decoder, which is never on a GPU."""
    assert isinstance(image, np.ndarray)
    return image
