"""The whole content of `cameras.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from yolostream.service.settings.cameras import CameraDefaults, CameraName, CameraSettings
from yolostream.service.settings.outputs import OutputFolder
from yolostream.service.settings.section import Section
from yolostream.service.settings.server import ServerSettings
from yolostream.service.settings.telemetry import LogSettings, TraceSettings
from yolostream.service.settings.web import WebSettings


class Configuration(Section):
    """The whole content of `cameras.yaml`."""

    server: ServerSettings = ServerSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    outputs: OutputFolder = OutputFolder()
    traces: TraceSettings | None = None
    """Export of traces. Without this section, no frame is traced."""
    state: Path | None = None
    """Folder for changes that are made over the API; by default the folder of this file."""
    defaults: CameraDefaults = CameraDefaults()
    cameras: dict[CameraName, CameraSettings] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_sections(cls, values: Any) -> Any:
        """Use the defaults for an empty section, such as one whose lines are all comments."""
        if not isinstance(values, dict):
            return values
        return {
            key: value
            for key, value in values.items()
            if value is not None or key not in cls.model_fields
        }

    def resolved(self, camera: CameraSettings) -> CameraSettings:
        """A camera's settings, completed with the defaults."""
        own = {name: getattr(camera, name) for name in camera.model_fields_set}
        usual = {name: getattr(self.defaults, name) for name in self.defaults.model_fields_set}
        return CameraSettings.model_validate({**usual, **own})
