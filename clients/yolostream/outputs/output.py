"""What every output does."""

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
    """Takes the frames of one source in order."""

    @property
    def kind(self) -> str:
        """What it is called in figures, such as `jsonl`."""

    @property
    def draws(self) -> bool:
        """Whether it looks at the annotated picture; nobody draws for those that do not."""

    @property
    def lost(self) -> int:
        """Frames that it was given and did not write. One that raises instead has none."""

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame.

        Args:
            frame: as decoded; its image may be the annotated one.
            annotated: uint8 [H, W, 3], RGB, with the detections drawn where the output draws.
            detections: what was found in it.

        Raises:
            OutputError: it cannot be written; what came before stays readable.
        """

    def close(self) -> None:
        """Finish the file. It is playable, or parseable, from now on at the latest."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk or the encoder reports inside the block into one clear error."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path} ({reason}): free space, or choose another folder with --output"
        ) from error
