"""The settings of outputs."""

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
    """Where outputs are written."""

    folder: Path | None = None
    """Folder for outputs, with a subfolder for each camera. Without it, cameras have no outputs."""


class OutputSettings(Section):
    """The outputs of a camera. They need the folder in the section `outputs`.

    `true` turns an output on with its default limits.
    """

    jsonl: Rotation | bool = True
    """JSON Lines files, with one line for each frame."""
    csv: Rotation | bool = False
    """CSV files, with one row for each object."""
    segments: Segments | bool = False
    """Annotated video as consecutive MP4 files."""
    hls: Hls | bool = False
    """The last seconds of annotated video, for HLS players."""
    push: Secret | None = None
    """Address of an RTSP server that annotated video is sent to."""

    @field_validator("push")
    @classmethod
    def _is_rtsp(cls, push: SecretStr | None) -> SecretStr | None:
        if push not in (None, HIDDEN) and not _is_rtsp(push.get_secret_value()):
            raise ValueError("push takes the address of an RTSP server: rtsp://host/path")
        return push

    def recording(self, folder: Path) -> Recording:
        """The settings of the same outputs for the pipeline."""
        return Recording(
            folder,
            jsonl=_limits(self.jsonl, Rotation),
            csv=_limits(self.csv, Rotation),
            segments=_limits(self.segments, Segments),
            hls=_limits(self.hls, Hls),
            push_url=None if self.push is None else self.push.get_secret_value(),
        )


def _is_rtsp(address: str) -> bool:
    return address.isprintable() and bool(_RTSP.fullmatch(address)) and has_host(address)


_Limits = TypeVar("_Limits")


def _limits(setting: _Limits | bool, usual: Callable[[], _Limits]) -> _Limits | None:
    """The limits of an output, which are `usual()` for true; None if the output is off."""
    if isinstance(setting, bool):
        return usual() if setting else None
    return setting
