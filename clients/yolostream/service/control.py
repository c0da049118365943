"""The configuration that is in force, and who may change it: the file, a signal, the API."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from yolostream.errors import ConfigurationError, ServiceError
from yolostream.redaction import redact
from yolostream.service import configuration_file
from yolostream.service.camera_task import CameraTask
from yolostream.service.events import Events
from yolostream.service.runtime_store import RuntimeChange, RuntimeStore, digest
from yolostream.service.service import Service
from yolostream.service.settings import CameraSettings, Configuration

_log = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class _Plan:
    """The cameras as they are to be: all of them were looked at, and none is wrong."""

    own: Mapping[str, CameraSettings]
    """What each says itself."""
    resolved: Mapping[str, CameraSettings]
    tasks: Mapping[str, CameraTask] = field(repr=False)


class Control:
    """Keeps a service in line with its configuration, and changes no camera that need not.

    Two say what cameras there are: the file, and the API. For each camera the later of both
    counts: a change over the API holds until the file says something else of this camera than it
    did when it was changed. So it survives a restart, a reload, and changes of other cameras.

    All methods may be called from any thread.

    Args:
        service: runs the cameras.
        configuration: as it was read.
        path: of the file that it was read from; None where there is none to read again.
        store: keeps what the API changes; None forgets it at the end.
        events: are told of the file, when it is read again.

    Raises:
        ServiceError: what the store has cannot be read.
        SourceError: a camera's source is none.
    """

    def __init__(
        self,
        service: Service,
        configuration: Configuration,
        *,
        path: Path | None = None,
        store: RuntimeStore | None = None,
        events: Events | None = None,
    ) -> None:
        self.problem: str | None = None
        """Why the file on disk is not in force; None where it is."""
        self._service = service
        self._configuration = configuration
        # What counts from the next start on stays as it was.
        self._folder = configuration.outputs.folder
        self._path = path
        self._store = store
        self._events = events or Events()
        self._lock = threading.RLock()
        # So that nobody guesses passwords by the versions of settings.
        self._key = secrets.token_bytes(32)
        self._resolved: Mapping[str, CameraSettings] = {}
        self._own: Mapping[str, CameraSettings] = {}
        self._runtime = _still_valid({} if store is None else store.load(), configuration)
        self._apply(_planned(configuration, self._runtime, self._folder))

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Nobody else changes anything inside of the block."""
        with self._lock:
            yield

    @property
    def configuration(self) -> Configuration:
        """What the file says, without what the API changed."""
        return self._configuration

    def settings(self) -> dict[str, CameraSettings]:
        """All cameras, with the defaults where they say nothing."""
        with self._lock:
            return dict(self._resolved)

    def own_settings(self, name: str) -> CameraSettings:
        """What a camera says itself: `model_fields_set` names the keys; others are defaults.

        Raises:
            KeyError: there is none of this name.
        """
        with self._lock:
            return self._own[name]

    def version(self, name: str) -> str:
        """Differs where a camera's settings do; it tells nothing of them.

        Raises:
            KeyError: there is none of this name.
        """
        with self._lock:
            words = json.dumps(self._resolved[name].revealed(), sort_keys=True)
            return hmac.digest(self._key, words.encode(), "sha256").hex()[:16]

    def put(self, name: str, settings: CameraSettings, *, dry_run: bool = False) -> Change:
        """Add a camera, or replace what it says.

        Args:
            name: of the camera.
            settings: what it says itself; the rest is up to the defaults.
            dry_run: only tell what would be.

        Raises:
            ConfigurationError: only the file may say that.
            ServiceError: the change cannot be kept, so it is not made.
            SourceError: its source is none.
        """
        with self._lock:
            if _asks_this_machine(settings) and not self._is_of_file(name, settings):
                raise ConfigurationError(
                    f"camera {name} would be told secrets of this machine: variables and "
                    "password_file belong into the configuration, and not into what is sent"
                )
        return self._set(name, settings, dry_run=dry_run)

    def remove(self, name: str, *, dry_run: bool = False) -> Change:
        """Let go of a camera.

        Raises:
            KeyError: there is none of this name.
            ServiceError: the change cannot be kept, so it is not made.
        """
        with self._lock:
            if name not in self._own:
                raise KeyError(name)
            return self._set(name, None, dry_run=dry_run)

    def reload(self) -> Changes:
        """Read the file again, and change what differs.

        Where it is broken, all stays as it is, `problem` says why, and so does the log, once.

        Raises:
            ConfigurationError: it is broken.
            ServiceError: there is no file, or what the API changed cannot be kept.
        """
        with self._lock:
            try:
                changes = self._reload()
            except ServiceError as error:
                if str(error) != self.problem:
                    self.problem = str(error)
                    _log.error("the configuration stays as it was: %s", error)
                    self._events.publish("configuration_problem", reason=redact(self.problem))
                raise
            self.problem = None
            self._events.publish("configuration_read", words=_in_words(changes))
            _log.info("the configuration was read again: %s", _in_words(changes))
            return changes

    def _is_of_file(self, name: str, settings: CameraSettings) -> bool:
        """Whether the file has the same camera, with the same login."""
        of_file = self._configuration.cameras.get(name)
        return of_file is not None and (of_file.source, of_file.login) == (
            settings.source,
            settings.login,
        )

    def _reload(self) -> Changes:
        if self._path is None:
            raise ServiceError("there is no file to read again: cameras were named to the command")
        configuration = configuration_file.read(self._path)
        runtime = _still_valid(self._runtime, configuration)
        plan = _planned(configuration, runtime, self._folder)
        if runtime != self._runtime:
            self._keep(runtime)
        before = self._configuration
        self._configuration = configuration
        by_kind: dict[str, list[str]] = {}
        for change in self._apply(plan):
            by_kind.setdefault(change.kind, []).append(change.camera)
        return Changes(
            **{kind: tuple(names) for kind, names in by_kind.items()},
            needs_restart=tuple(
                section
                for section in ("server", "web", "log", "outputs", "traces", "state")
                if getattr(before, section) != getattr(configuration, section)
            ),
        )

    def _set(self, name: str, settings: CameraSettings | None, *, dry_run: bool) -> Change:
        with self._lock:
            of_file = self._configuration.cameras.get(name)
            runtime = {key: one for key, one in self._runtime.items() if key != name}
            # What equals a default says more than one that is left out: the defaults may change.
            if digest(settings) != digest(of_file):
                runtime[name] = RuntimeChange(settings=settings, instead_of=digest(of_file))
            plan = _planned(self._configuration, runtime, self._folder)
            change = self._change(name, plan)
            if not dry_run:
                if runtime != self._runtime:
                    self._keep(runtime)
                self._apply(plan)
            return change

    def _keep(self, runtime: dict[str, RuntimeChange]) -> None:
        if self._store is not None:
            self._store.save(runtime)
        self._runtime = runtime

    def _apply(self, plan: _Plan) -> list[Change]:
        names = [*plan.own, *(name for name in self._own if name not in plan.own)]
        changes = [self._change(name, plan) for name in names]
        for change in changes:
            if change.kind == "removed":
                self._service.remove(change.camera)
            elif change.kind != "untouched":
                task, settings = plan.tasks[change.camera], plan.resolved[change.camera]
                self._service.put(change.camera, task, enabled=settings.enabled)
        self._own, self._resolved = plan.own, plan.resolved
        return changes

    def _change(self, name: str, plan: _Plan) -> Change:
        before, after = self._resolved.get(name), plan.resolved.get(name)
        if before is None or after is None:
            return Change(name, "removed" if after is None else "added")
        keys = tuple(
            key for key in type(after).model_fields if getattr(before, key) != getattr(after, key)
        )
        return Change(name, "changed" if keys else "untouched", keys)


def _asks_this_machine(settings: CameraSettings) -> bool:
    """Whether it names variables or files of the service, which who asks need not know."""
    login = settings.login
    words = [settings.source] + ([login.username, login.password] if login else [])
    return settings.password_file is not None or any("${" in word for word in words)


def _still_valid(
    runtime: Mapping[str, RuntimeChange], configuration: Configuration
) -> dict[str, RuntimeChange]:
    """The changes of cameras of which the file says what it said then."""
    of_file = configuration.cameras
    return {
        name: change
        for name, change in runtime.items()
        if change.instead_of == digest(of_file.get(name))
    }


def _planned(
    configuration: Configuration, runtime: Mapping[str, RuntimeChange], folder: Path | None
) -> _Plan:
    both = configuration.cameras | {name: change.settings for name, change in runtime.items()}
    own = {name: settings for name, settings in both.items() if settings is not None}
    resolved = {name: configuration.resolved(settings) for name, settings in own.items()}
    tasks = {name: settings.task(name, folder) for name, settings in resolved.items()}
    return _Plan(own, resolved, tasks)


def _in_words(changes: Changes) -> str:
    parts = [
        f"{kind} {', '.join(names)}"
        for kind in ("added", "changed", "removed")
        if (names := getattr(changes, kind))
    ]
    if changes.needs_restart:
        parts.append(f"{', '.join(changes.needs_restart)}: from the next start on")
    return "; ".join(parts) or "nothing differs"
