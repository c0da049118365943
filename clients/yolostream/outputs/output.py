"""The interface of an output."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import av

from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.image import Image


class Output(Protocol):
    """Writes the frames of one source, which it gets in order."""

    @property
    def kind(self) -> str:
        """Its name in statistics, such as `jsonl`."""

    @property
    def draws(self) -> bool:
        """Whether it needs the annotated picture. Nothing is drawn if no output needs it."""

    @property
    def lost(self) -> int:
        """Frames that it was given and could not write without raising an error."""

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame.

        Args:
            frame: the frame; its image may be the annotated one.
            annotated: uint8 [H, W, 3], RGB, with the detections drawn if `draws` is true.
            detections: the frame's detections.

        Raises:
            OutputError: the frame cannot be written; earlier frames stay readable.
        """

    def close(self) -> None:
        """Finish the output: afterwards, its files can be played or parsed."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn errors of the disk or the encoder inside the block into an `OutputError`."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path} ({reason}): free space, or choose another folder with --output"
        ) from error
