"""What `yolostream run` does: a configuration in, cameras that are watched until it is stopped."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from yolostream.access_token import new_token
from yolostream.cli import access, detecting
from yolostream.cli.server import DEFAULT_MODEL_REPOSITORY, DEFAULT_SERVER_ENVIRONMENT, ServerInUse
from yolostream.client.access import Access as ClientAccess
from yolostream.client.access import Tls, target_of
from yolostream.client.served import served_ensembles
from yolostream.errors import ServiceError
from yolostream.extras import needed
from yolostream.frame_trace import Sampling
from yolostream.outputs.output import writing
from yolostream.pipeline.share import REQUESTS_IN_FLIGHT
from yolostream.server import embedded
from yolostream.server.access import Access
from yolostream.server.run_folder import gpu_sharing_of
from yolostream.server.traces import exporting_traces
from yolostream.service import configuration_file, systemd
from yolostream.service.advice import advice
from yolostream.service.control import Control
from yolostream.service.ensembles import Ensembles
from yolostream.service.reloading import reloading
from yolostream.service.runtime_store import RuntimeStore
from yolostream.service.service import Service, Tracing
from yolostream.service.settings import (
    CameraDefaults,
    CameraSettings,
    Configuration,
    ServerSettings,
    TraceSettings,
    WebSettings,
)
from yolostream.service.web.access import Access as WebAccess
from yolostream.service.web.context import Context
from yolostream.service.web.server import serving
from yolostream.service.worker_process import Connect
from yolostream.sources import find_sources

_STOP_SERVER_S = 0.5
"""The Triton of a service has nothing to finish: all that was sent is answered, or given up."""

_LOOK_S = 1.0
"""Between two looks whether the service is well."""

_LONGEST = 60
"""Name of a camera, before it is told apart from others."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """A configuration, and where it comes from."""

    configuration: Configuration
    path: Path | None = None
    """Of its file; None where cameras were named to the command."""
    contents: bytes = b""
    """Of the file, as it was read."""

    @property
    def store(self) -> RuntimeStore | None:
        """Keeps what is changed over the API."""
        if self.path is None:
            return None
        state = os.environ.get("STATE_DIRECTORY")
        folder = self.configuration.state or (Path(state) if state else self.path.parent)
        return RuntimeStore(folder / f"{self.path.stem}.runtime.yaml")


def read(path: Path) -> Site:
    """A site whose configuration is a file.

    Raises:
        ConfigurationError: something in it is wrong.
    """
    # Before it is read: what is written meanwhile counts as a change.
    contents = path.read_bytes() if path.is_file() else b""
    return Site(configuration_file.read(path), path, contents)


def named(specs: Sequence[str], model: str) -> Site:
    """A site with cameras that were named to the command.

    Raises:
        SourceError: one of them is none.
    """
    found, errors = find_sources(specs)
    if errors:
        raise errors[0]
    if len(found) != len(specs):
        raise ServiceError("each camera is one address or one video: name no folders")
    names = _names_of([source.name for source in found])
    cameras = {name: CameraSettings(source=spec) for name, spec in zip(names, specs, strict=True)}
    return Site(Configuration(defaults=CameraDefaults(model=model), cameras=cameras))


def _names_of(words: Sequence[str]) -> list[str]:
    """Names of cameras that are like these words, which may be names of files."""
    names: list[str] = []
    for word in words:
        name = re.sub(r"[^a-zA-Z0-9_-]+", "_", word).lstrip("_-")[:_LONGEST] or "camera"
        others = (f"{name}_{number}" for number in itertools.count(2))
        names.append(next(one for one in itertools.chain([name], others) if one not in names))
    return names


def run(site: Site, server_settings: ServerSettings, web: WebSettings) -> None:
    """Watch the cameras until somebody wants to stop.

    Args:
        site: what is watched; its file is read again when it has changed, and on SIGHUP.
        server_settings: of the Triton; they win over those of the site.
        web: of the page; likewise.
    """
    configuration = site.configuration.model_copy(update={"server": server_settings, "web": web})
    for words in advice(configuration, site.path):
        _log.warning("%s", words)
    web_access = WebAccess.of(web)
    with contextlib.ExitStack() as stack:
        if site.path is not None:
            # It may come before we are ready for it, and is no reason to end.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if (folder := configuration.outputs.folder) is not None:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        # Before a server is started: it says what is missing.
        tracing = stack.enter_context(_tracing(configuration.traces))
        server = stack.enter_context(_served(configuration))
        connect, tls = _connect(server, server_settings), _tls(server_settings)
        list_served = partial(served_ensembles, server.url, ClientAccess(server.token, tls))
        ensembles = stack.enter_context(contextlib.closing(Ensembles(connect, list_served)))
        service = Service(connect, tracing=tracing)
        stack.callback(service.close)
        control = Control(
            service,
            site.configuration,
            path=site.path,
            store=site.store,
            events=service.events,
        )
        address = stack.enter_context(
            serving(Context(service, control, ensembles, web_access, triton=server.triton))
        )
        if site.path is not None:
            reloader = stack.enter_context(reloading(control, site.path, site.contents))
            signal.signal(signal.SIGHUP, lambda number, frame: reloader.ask())
        # The page and the cameras stop at the same time.
        stack.callback(service.ask_to_stop)
        stack.callback(systemd.tell, systemd.STOPPING)
        _log.info("look at %s", address)
        systemd.tell(systemd.READY)
        _watch_over(service)


def _watch_over(service: Service) -> None:
    """Tell systemd that all is well until somebody wants to stop.

    Raises:
        ServiceError: it is not.
    """
    pause_s = min(_LOOK_S, (systemd.watchdog_s() or _LOOK_S) / 3)
    never = threading.Event()
    with contextlib.suppress(KeyboardInterrupt):
        while service.is_well:
            systemd.tell(systemd.ALIVE)
            never.wait(pause_s)
        raise ServiceError("the service hangs, or has ended by a defect: start it again")
    _log.info("stopping")


def _models_of(configuration: Configuration) -> list[str]:
    """The ensembles that are loaded."""
    models = {configuration.resolved(one).model for one in configuration.cameras.values()}
    return sorted(models | {configuration.defaults.model})


@contextlib.contextmanager
def _tracing(settings: TraceSettings | None) -> Iterator[Tracing | None]:
    """Who follows frames; None where nobody does.

    Raises:
        PackageMissing: one of theirs.
    """
    if settings is None:
        yield None
        return
    with needed("traces", "a configuration with traces"):
        from yolostream.service.collector import Collector
    with contextlib.closing(Collector(settings.url, settings.service_name)) as collector:
        yield Tracing(Sampling(settings.every, settings.slow), collector.take)


@contextlib.contextmanager
def _served(configuration: Configuration) -> Iterator[ServerInUse]:
    settings, traces = configuration.server, configuration.traces
    if settings.url is not None:
        yield ServerInUse(settings.url, access.token_from(settings.token_file))
        return
    _log.info("starting Triton")
    with embedded.serve(
        settings.model_repository or DEFAULT_MODEL_REPOSITORY,
        environment=settings.environment or DEFAULT_SERVER_ENVIRONMENT,
        models=_models_of(configuration),
        profile=settings.profile,
        # It is for this run alone.
        access=Access(token := new_token()),
        options=[] if traces is None else exporting_traces(traces.url),
        stop_timeout_s=_STOP_SERVER_S,
    ) as triton:
        _log.info("Triton is ready at %s (profile %s)", triton.url, triton.profile or "default")
        yield ServerInUse(triton.url, token, triton)


def _connect(server: ServerInUse, settings: ServerSettings) -> Connect:
    for name, value in gpu_sharing_of(target_of(server.url)).items():
        os.environ.setdefault(name, value)
    return partial(
        detecting.connect,
        server.url,
        timeout_s=30.0,
        downscale=True,
        transport="auto",
        decoder="auto",
        token=server.token,
        tls=_tls(settings),
        # More frames on their way to a CPU would only wait for each other, and become old.
        max_in_flight=REQUESTS_IN_FLIGHT,
    )


def _tls(settings: ServerSettings) -> Tls | None:
    files = settings.tls
    return None if files is None else Tls(files.ca, files.certificate, files.key)
