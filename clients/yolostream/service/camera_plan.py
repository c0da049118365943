"""The cameras that the configuration file and the API ask for, and how two such plans differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from yolostream.service.camera_task import CameraTask
from yolostream.service.runtime_store import RuntimeChange
from yolostream.service.settings import CameraSettings, Configuration

_FIXED_SECTIONS = ("server", "web", "log", "outputs", "traces", "state")
"""Sections that are only read when the service starts."""


@dataclass(frozen=True)
class Change:
    """How one camera differs between two plans."""

    camera: str
    kind: Literal["added", "changed", "removed", "untouched"]
    keys: tuple[str, ...] = ()
    """Keys of the settings that differ."""


@dataclass(frozen=True)
class Changes:
    """How two configurations differ."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()
    """Cameras that stay as they are and lose no frame."""
    needs_restart: tuple[str, ...] = ()
    """Sections of the file that differ, and that take effect when the service is restarted."""

    @classmethod
    def of(cls, changes: Iterable[Change], before: Configuration, after: Configuration) -> Changes:
        """Combine the changes of single cameras with those of the other sections."""
        by_kind: dict[str, list[str]] = {}
        for change in changes:
            by_kind.setdefault(change.kind, []).append(change.camera)
        return cls(
            **{kind: tuple(names) for kind, names in by_kind.items()},
            needs_restart=tuple(
                section
                for section in _FIXED_SECTIONS
                if getattr(before, section) != getattr(after, section)
            ),
        )

    @property
    def words(self) -> str:
        """The changes as text for people."""
        parts = [
            f"{kind} {', '.join(names)}"
            for kind in ("added", "changed", "removed")
            if (names := getattr(self, kind))
        ]
        if self.needs_restart:
            parts.append(f"restart the service to change {', '.join(self.needs_restart)}")
        return "; ".join(parts) or "nothing differs"


@dataclass(frozen=True)
class CameraPlan:
    """All cameras that there should be. Their settings are valid."""

    own: Mapping[str, CameraSettings] = field(default_factory=dict)
    """The settings of each camera, without the configuration's defaults."""
    resolved: Mapping[str, CameraSettings] = field(default_factory=dict)
    """The same settings, completed with the configuration's defaults."""
    tasks: Mapping[str, CameraTask] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        configuration: Configuration,
        runtime: Mapping[str, RuntimeChange],
        folder: Path | None,
        *,
        since: CameraPlan,
    ) -> CameraPlan:
        """Combine the configuration file with the changes of the API.

        Args:
            configuration: content of the file.
            runtime: changes of the API by camera, which take precedence over the file.
            folder: folder for outputs; None writes none.
            since: the previous plan. The tasks of unchanged cameras are taken from it, because a
                camera whose video file has gone must not prevent changes of other cameras.

        Raises:
            SourceError: the source of a new or changed camera is not valid.
        """
        both = configuration.cameras | {name: change.settings for name, change in runtime.items()}
        own = {name: settings for name, settings in both.items() if settings is not None}
        resolved = {name: configuration.resolved(settings) for name, settings in own.items()}
        tasks = {
            name: since.tasks[name]
            if since.resolved.get(name) == settings
            else settings.task(name, folder)
            for name, settings in resolved.items()
        }
        return cls(own, resolved, tasks)

    def change(self, name: str, *, since: CameraPlan) -> Change:
        """How a camera differs from the previous plan. At least one of the plans contains it."""
        before, after = since.resolved.get(name), self.resolved.get(name)
        if before is None or after is None:
            return Change(name, "removed" if after is None else "added")
        keys = tuple(
            key for key in type(after).model_fields if getattr(before, key) != getattr(after, key)
        )
        return Change(name, "changed" if keys else "untouched", keys)

    def changes(self, *, since: CameraPlan) -> list[Change]:
        """How each camera of this plan and of the previous one differs."""
        return [self.change(name, since=since) for name in {**self.own, **since.own}]
