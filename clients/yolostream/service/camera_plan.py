"""What the cameras are to be, by the file and by what the API changed; and what that changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from yolostream.service.camera_task import CameraTask
from yolostream.service.runtime_store import RuntimeChange
from yolostream.service.settings import CameraSettings, Configuration


@dataclass(frozen=True)
class Change:
    """What becomes of one camera."""

    camera: str
    kind: Literal["added", "changed", "removed", "untouched"]
    keys: tuple[str, ...] = ()
    """Of the settings that differ from before."""


@dataclass(frozen=True)
class Changes:
    """What becomes of all cameras."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()
    """They lose no frame."""
    needs_restart: tuple[str, ...] = ()
    """Sections of the file that differ, and count from the next start on."""

    @classmethod
    def of(cls, changes: Iterable[Change], before: Configuration, after: Configuration) -> Changes:
        """Those of single cameras together, and what else differs between two configurations."""
        by_kind: dict[str, list[str]] = {}
        for change in changes:
            by_kind.setdefault(change.kind, []).append(change.camera)
        return cls(
            **{kind: tuple(names) for kind, names in by_kind.items()},
            needs_restart=tuple(
                section
                for section in ("server", "web", "log", "outputs", "traces", "state")
                if getattr(before, section) != getattr(after, section)
            ),
        )

    @property
    def words(self) -> str:
        """For people: what differs."""
        parts = [
            f"{kind} {', '.join(names)}"
            for kind in ("added", "changed", "removed")
            if (names := getattr(self, kind))
        ]
        if self.needs_restart:
            parts.append(f"{', '.join(self.needs_restart)}: from the next start on")
        return "; ".join(parts) or "nothing differs"


@dataclass(frozen=True)
class CameraPlan:
    """The cameras as they are to be: all of them were looked at, and none is wrong."""

    own: Mapping[str, CameraSettings] = field(default_factory=dict)
    """What each says itself."""
    resolved: Mapping[str, CameraSettings] = field(default_factory=dict)
    """The same, with the defaults where it says nothing."""
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
        """What the file and the API say.

        Args:
            configuration: the file's.
            runtime: what the API changed, by camera; it wins.
            folder: for what is written of the cameras; None where nothing is.
            since: the plan before. A camera that stays as it is may have lost its file since then:
                no change of others fails by that.

        Raises:
            SourceError: the source of a camera that differs is none.
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
        """What becomes of a camera that was planned otherwise before."""
        before, after = since.resolved.get(name), self.resolved.get(name)
        if before is None or after is None:
            return Change(name, "removed" if after is None else "added")
        keys = tuple(
            key for key in type(after).model_fields if getattr(before, key) != getattr(after, key)
        )
        return Change(name, "changed" if keys else "untouched", keys)

    def changes(self, *, since: CameraPlan) -> list[Change]:
        """What becomes of each camera that is planned now, or was before."""
        return [self.change(name, since=since) for name in {**self.own, **since.own}]
