"""All of `cameras.yaml`."""

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
    """All of `cameras.yaml`."""

    server: ServerSettings = ServerSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    outputs: OutputFolder = OutputFolder()
    traces: TraceSettings | None = None
    """Without it, no frame is followed."""
    state: Path | None = None
    """Folder for what was changed over the API; by default the one of the configuration."""
    defaults: CameraDefaults = CameraDefaults()
    cameras: dict[CameraName, CameraSettings] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_sections(cls, said: Any) -> Any:
        """A section whose keys are all comments says nothing."""
        if not isinstance(said, dict):
            return said
        return {
            key: value
            for key, value in said.items()
            if value is not None or key not in cls.model_fields
        }

    def resolved(self, camera: CameraSettings) -> CameraSettings:
        """A camera's settings, with the defaults where it says nothing."""
        said = {name: getattr(camera, name) for name in camera.model_fields_set}
        usual = {name: getattr(self.defaults, name) for name in self.defaults.model_fields_set}
        return CameraSettings.model_validate({**usual, **said})
