"""The configuration that is in force, and who may change it: the file, a signal, the API."""

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
    """Keeps a service in line with its configuration, and changes no camera that need not.

    Two say what cameras there are: the file, and the API. For each camera the later of both
    counts: a change over the API holds until the file says something else of this camera than it
    did when it was changed. So it survives a restart, a reload, and changes of other cameras.

    All methods may be called from any thread.

    Args:
        service: runs the cameras; its events tell of the file, when it is read again.
        configuration: as it was read.
        path: of the file that it was read from; None where there is none to read again.
        store: keeps what the API changes; None forgets it at the end.

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
    ) -> None:
        self.problem: str | None = None
        """Why the file on disk is not in force; None where it is."""
        self._service = service
        self._configuration = configuration
        # What counts from the next start on stays as it was.
        self._folder = configuration.outputs.folder
        self._path = path
        self._store = store
        self._lock = threading.RLock()
        # Of two who read the file at once, one might put the older file in force last.
        self._reading = threading.Lock()
        # So that nobody guesses passwords by the versions of settings.
        self._key = secrets.token_bytes(32)
        # It is only ever replaced as a whole: who reads it waits for nobody.
        self._plan = CameraPlan()
        self._runtime = still_valid({} if store is None else store.load(), configuration.cameras)
        self._apply(CameraPlan.of(configuration, self._runtime, self._folder, since=self._plan))

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
        return dict(self._plan.resolved)

    def own_settings(self, name: str) -> CameraSettings:
        """What a camera says itself: `model_fields_set` names the keys; others are defaults.

        Raises:
            KeyError: there is none of this name.
        """
        return self._plan.own[name]

    def version(self, name: str) -> str:
        """Differs where a camera's settings do; it tells nothing of them.

        Raises:
            KeyError: there is none of this name.
        """
        words = json.dumps(self._plan.resolved[name].revealed(), sort_keys=True)
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
            check_runtime_secrets(name, settings, self._configuration.cameras.get(name))
            return self._set(name, settings, dry_run=dry_run)

    def remove(self, name: str, *, dry_run: bool = False) -> Change:
        """Let go of a camera.

        Raises:
            KeyError: there is none of this name.
            ServiceError: the change cannot be kept, so it is not made.
        """
        with self._lock:
            if name not in self._plan.own:
                raise KeyError(name)
            return self._set(name, None, dry_run=dry_run)

    def reload(self) -> Changes:
        """Read the file again, and change what differs.

        Where it is broken, all stays as it is, `problem` says why, and so does the log, once.

        Raises:
            ConfigurationError: it is broken.
            ServiceError: there is no file, or what the API changed cannot be kept.
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
            raise ServiceError("there is no file to read again: cameras were named to the command")
        # A large one takes a while, in which others may change cameras.
        configuration = configuration_file.read(self._path)
        with self._lock:
            runtime = still_valid(self._runtime, configuration.cameras)
            plan = CameraPlan.of(configuration, runtime, self._folder, since=self._plan)
            self._keep(runtime)
            before = self._configuration
            self._configuration = configuration
            return Changes.of(self._apply(plan), before, configuration)

    def _set(self, name: str, settings: CameraSettings | None, *, dry_run: bool) -> Change:
        of_file = self._configuration.cameras.get(name)
        runtime = changed(self._runtime, name, settings, of_file)
        plan = CameraPlan.of(self._configuration, runtime, self._folder, since=self._plan)
        change = plan.change(name, since=self._plan)
        if not dry_run:
            self._keep(runtime)
            self._apply(plan)
        return change

    def _keep(self, runtime: dict[str, RuntimeChange]) -> None:
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
