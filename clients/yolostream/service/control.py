"""Applies the configuration file and the changes of the API to the service."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from yolostream.errors import ServiceError
from yolostream.redaction import redact
from yolostream.service import configuration_file
from yolostream.service.camera_plan import CameraPlan, Change, Changes
from yolostream.service.runtime_address import check_runtime_secrets
from yolostream.service.runtime_store import RuntimeChange, RuntimeStore, changed, still_valid
from yolostream.service.service import Service
from yolostream.service.settings import CameraSettings, Configuration

_log = logging.getLogger(__name__)


class Control:
    """Makes the cameras of a service what the configuration file and the API ask for.

    Cameras are defined in the file and over the API, and for each camera the later definition
    applies: a change over the API applies until the camera's section in the file changes. It
    survives a restart, a reload, and changes of other cameras. Only cameras that differ are
    changed.

    All methods may be called from any thread.

    Args:
        service: runs the cameras, and publishes an event when the file is read again.
        configuration: content of the file.
        path: the file; None if there is none that can be read again.
        store: saves the changes of the API; None does not save them.

    Raises:
        ServiceError: the saved changes cannot be read.
        SourceError: the source of a camera is not valid.
    """

    def __init__(
        self,
        service: Service,
        configuration: Configuration,
        *,
        path: Path | None = None,
        store: RuntimeStore | None = None,
    ) -> None:
        self.problem: str | None = None
        """Why the present content of the file is not applied; None if it is."""
        self._service = service
        self._configuration = configuration
        # A reload does not change it; see `Changes.needs_restart`.
        self._folder = configuration.outputs.folder
        self._path = path
        self._store = store
        self._lock = threading.RLock()
        # Two reloads at the same time could apply the older content last.
        self._reading = threading.Lock()
        # A secret key, so that passwords cannot be guessed from the versions of settings.
        self._key = secrets.token_bytes(32)
        # It is only replaced as a whole, so it can be read without the lock.
        self._plan = CameraPlan()
        self._runtime = still_valid({} if store is None else store.load(), configuration.cameras)
        self._apply(CameraPlan.of(configuration, self._runtime, self._folder, since=self._plan))

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Prevent changes by other threads until the block ends."""
        with self._lock:
            yield

    @property
    def configuration(self) -> Configuration:
        """The content of the file, without the changes of the API."""
        return self._configuration

    def settings(self) -> dict[str, CameraSettings]:
        """The settings of all cameras, completed with the configuration's defaults."""
        return dict(self._plan.resolved)

    def own_settings(self, name: str) -> CameraSettings:
        """The settings of a camera without the configuration's defaults.

        `model_fields_set` contains the keys that are set.

        Raises:
            KeyError: there is no camera of this name.
        """
        return self._plan.own[name]

    def version(self, name: str) -> str:
        """A text that changes with a camera's settings, but does not reveal them.

        Raises:
            KeyError: there is no camera of this name.
        """
        words = json.dumps(self._plan.resolved[name].revealed(), sort_keys=True)
        return hmac.digest(self._key, words.encode(), "sha256").hex()[:16]

    def put(self, name: str, settings: CameraSettings, *, dry_run: bool = False) -> Change:
        """Add a camera, or replace its settings.

        Args:
            name: name of the camera.
            settings: its settings. The configuration's defaults apply to keys that are not set.
            dry_run: only return what would change.

        Raises:
            ConfigurationError: the settings are only allowed in the file.
            ServiceError: the change cannot be saved, so it is not made.
            SourceError: the source is not valid.
        """
        with self._lock:
            check_runtime_secrets(name, settings, self._configuration.cameras.get(name))
            return self._set(name, settings, dry_run=dry_run)

    def remove(self, name: str, *, dry_run: bool = False) -> Change:
        """Remove a camera.

        Args:
            name: name of the camera.
            dry_run: only return what would change.

        Raises:
            KeyError: there is no camera of this name.
            ServiceError: the change cannot be saved, so it is not made.
        """
        with self._lock:
            if name not in self._plan.own:
                raise KeyError(name)
            return self._set(name, None, dry_run=dry_run)

    def reload(self) -> Changes:
        """Read the file again, and change the cameras that differ.

        If that fails, nothing changes and `problem` is set. The same error is logged only once.

        Raises:
            ConfigurationError: the file is not valid.
            ServiceError: there is no file, or the changes of the API cannot be saved.
        """
        publish = self._service.events.publish
        with self._reading:
            try:
                changes = self._reload()
            except ServiceError as error:
                if str(error) != self.problem:
                    self.problem = str(error)
                    _log.error("the configuration stays as it was: %s", error)
                    publish("configuration_problem", reason=redact(self.problem))
                raise
            self.problem = None
            publish("configuration_read", words=changes.words)
            _log.info("the configuration was read again: %s", changes.words)
            return changes

    def _reload(self) -> Changes:
        if self._path is None:
            raise ServiceError(
                "there is no configuration to read again, because the cameras were given on the "
                "command line: start the service with a cameras.yaml"
            )
        # Outside of the lock, because reading a large file takes long.
        configuration = configuration_file.read(self._path)
        with self._lock:
            runtime = still_valid(self._runtime, configuration.cameras)
            plan = CameraPlan.of(configuration, runtime, self._folder, since=self._plan)
            self._save(runtime)
            before = self._configuration
            self._configuration = configuration
            return Changes.of(self._apply(plan), before, configuration)

    def _set(self, name: str, settings: CameraSettings | None, *, dry_run: bool) -> Change:
        of_file = self._configuration.cameras.get(name)
        runtime = changed(self._runtime, name, settings, of_file)
        plan = CameraPlan.of(self._configuration, runtime, self._folder, since=self._plan)
        change = plan.change(name, since=self._plan)
        if not dry_run:
            self._save(runtime)
            self._apply(plan)
        return change

    def _save(self, runtime: dict[str, RuntimeChange]) -> None:
        if runtime == self._runtime:
            return
        if self._store is not None:
            self._store.save(runtime)
        self._runtime = runtime

    def _apply(self, plan: CameraPlan) -> list[Change]:
        changes = plan.changes(since=self._plan)
        for change in changes:
            if change.kind == "removed":
                self._service.remove(change.camera)
            elif change.kind != "untouched":
                task, settings = plan.tasks[change.camera], plan.resolved[change.camera]
                self._service.put(change.camera, task, enabled=settings.enabled)
        self._plan = plan
        return changes
