"""What is written, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr, field_validator

from yolostream.outputs.hls import Hls
from yolostream.outputs.recording import Recording
from yolostream.outputs.rotation import Rotation
from yolostream.outputs.segments import Segments
from yolostream.service.settings.section import HIDDEN, Secret, Section
from yolostream.sources.address import has_host

_RTSP = re.compile(r"rtsps?://[^/\s]\S*", re.IGNORECASE)


class OutputFolder(Section):
    """Where results go."""

    folder: Path | None = None
    """Each camera has a folder of its name in there. Without it, nothing is written."""


class OutputSettings(Section):
    """What is written of a camera, where the configuration has a folder for outputs.

    `true` stands for the usual limits.
    """

    jsonl: Rotation | bool = True
    """JSON Lines: one line a frame."""
    csv: Rotation | bool = False
    """One row an object."""
    segments: Segments | bool = False
    """Annotated MP4 files, one after the other."""
    hls: Hls | bool = False
    """The last seconds, annotated, for players."""
    push: Secret | None = None
    """Address of an RTSP server that annotated video is sent to."""

    @field_validator("push")
    @classmethod
    def _is_rtsp(cls, push: SecretStr | None) -> SecretStr | None:
        if push not in (None, HIDDEN) and not _is_rtsp(push.get_secret_value()):
            raise ValueError("push takes the address of an RTSP server: rtsp://host/path")
        return push

    def recording(self, folder: Path) -> Recording:
        """The same, as the pipeline has it."""
        return Recording(
            folder,
            jsonl=_or_usual(self.jsonl, Rotation),
            csv=_or_usual(self.csv, Rotation),
            segments=_or_usual(self.segments, Segments),
            hls=_or_usual(self.hls, Hls),
            push_url=None if self.push is None else self.push.get_secret_value(),
        )


def _is_rtsp(address: str) -> bool:
    return address.isprintable() and bool(_RTSP.fullmatch(address)) and has_host(address)


_Limits = TypeVar("_Limits")


def _or_usual(said: _Limits | bool, usual: Callable[[], _Limits]) -> _Limits | None:
    if isinstance(said, bool):
        return usual() if said else None
    return said
