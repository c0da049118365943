"""Starts Triton and the service for `yolostream run`, and stops them at the end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial

from yolostream.access_token import new_token
from yolostream.cli import access, detecting
from yolostream.cli.server import DEFAULT_MODEL_REPOSITORY, DEFAULT_SERVER_ENVIRONMENT, ServerInUse
from yolostream.cli.site import Site
from yolostream.client.access import Access as ClientAccess
from yolostream.client.access import Tls, target_of
from yolostream.client.served import served_ensembles
from yolostream.errors import ServiceError
from yolostream.extras import needed
from yolostream.frame_traces import Sampling
from yolostream.outputs.claim import claimed
from yolostream.pipeline.share import REQUESTS_IN_FLIGHT
from yolostream.server import embedded
from yolostream.server.access import Access
from yolostream.server.run_folder import gpu_sharing_of
from yolostream.server.traces import exporting_traces
from yolostream.service import systemd
from yolostream.service.advice import advice
from yolostream.service.control import Control
from yolostream.service.ensembles import Ensembles
from yolostream.service.lanes import Connect
from yolostream.service.leases.coordinator import running_coordinator
from yolostream.service.leases.sharing import Sharing
from yolostream.service.reloading import reloading
from yolostream.service.runtime_store import RuntimeStore
from yolostream.service.service import Service, Tracing
from yolostream.service.settings import Configuration, ServerSettings, TraceSettings, WebSettings
from yolostream.service.web.access import Access as WebAccess
from yolostream.service.web.context import Context
from yolostream.service.web.server import serving

_STOP_SERVER_S = 0.5
"""Short, because when Triton is stopped, every request has been answered or given up."""

_CHECK_S = 1.0
"""Interval between two checks of the service's health."""

_log = logging.getLogger(__name__)


def run(
    site: Site,
    server_settings: ServerSettings,
    web: WebSettings,
    sharing: Sharing | None = None,
) -> None:
    """Watch the cameras until the process is asked to stop.

    Args:
        site: the cameras; its file is read again when it has changed, and on SIGHUP.
        server_settings: settings of Triton, which replace those of the site.
        web: settings of the page, which replace those of the site.
        sharing: how the cameras are shared with other instances; None if there are none.
    """
    configuration = site.configuration.model_copy(update={"server": server_settings, "web": web})
    for words in advice(configuration, site.path):
        _log.warning("%s", words)
    web_access = WebAccess.of(web)
    folder = configuration.outputs.folder
    with (
        contextlib.nullcontext() if folder is None else claimed(folder, shared=sharing is not None),
        # Before Triton is started, so that a missing package is reported at once.
        _tracing(configuration.traces) as tracing,
        _served(configuration) as server,
        _watched(site, server, _tls(server_settings), tracing, web_access, sharing) as context,
        serving(context) as address,
        _reloading_file(site, context.control),
    ):
        try:
            _log.info("the page is at %s", address)
            systemd.notify(systemd.READY)
            _run_until_stopped(context.service)
        finally:
            systemd.notify(systemd.STOPPING)
            # The page and the cameras stop at the same time.
            context.service.ask_to_stop()


@contextlib.contextmanager
def _watched(
    site: Site,
    server: ServerInUse,
    tls: Tls | None,
    tracing: Tracing | None,
    web_access: WebAccess,
    sharing: Sharing | None,
) -> Iterator[Context]:
    """Watch the cameras until the block ends."""
    connect = _connect(server, tls)
    list_served = partial(served_ensembles, server.url, ClientAccess(server.token, tls))
    instance = None if sharing is None else sharing.instance
    with (
        contextlib.closing(Ensembles(connect, list_served)) as ensembles,
        contextlib.ExitStack() as after_cameras,
        contextlib.closing(Service(connect, tracing=tracing, instance=instance)) as service,
        contextlib.ExitStack() as while_running,
    ):
        # Instances do not tell each other about changes made over the API.
        store = site.store if sharing is None else None
        control = Control(service, site.configuration, path=site.path, store=store)
        coordinator = None
        if sharing is not None:
            _warn_of_ignored_changes(site.store)
            coordinator = sharing.coordinator(service.leased)
            while_running.enter_context(running_coordinator(coordinator))
            # The leases are released after all cameras have stopped.
            after_cameras.callback(coordinator.leave)
        yield Context(
            service, control, ensembles, web_access, triton=server.triton, coordinator=coordinator
        )


def _warn_of_ignored_changes(store: RuntimeStore | None) -> None:
    if store is not None and (changes := store.load()):
        _log.warning(
            "%s: changes that were made over the API are ignored with --leases, because only the "
            "configuration counts",
            ", ".join(changes),
        )


@contextlib.contextmanager
def _reloading_file(site: Site, control: Control) -> Iterator[None]:
    """Read the site's file again when it has changed, and on SIGHUP, until the block ends."""
    if site.path is None:
        yield
        return
    with reloading(control, site.path, site.contents) as reloader:
        signal.signal(signal.SIGHUP, lambda number, frame: reloader.request())
        yield


def _run_until_stopped(service: Service) -> None:
    """Tell systemd that the service is healthy, until the process is asked to stop.

    Raises:
        ServiceError: the service hangs or has ended.
    """
    pause_s = min(_CHECK_S, (systemd.watchdog_s() or _CHECK_S) / 3)
    never = threading.Event()
    with contextlib.suppress(KeyboardInterrupt):
        while service.is_healthy:
            systemd.notify(systemd.ALIVE)
            never.wait(pause_s)
        raise ServiceError("the service hangs, or has ended because of a defect: start it again")
    _log.info("stopping")


def _models_of(configuration: Configuration) -> list[str]:
    """The names of the ensembles to load."""
    models = {configuration.resolved(one).model for one in configuration.cameras.values()}
    return sorted(models | {configuration.defaults.model})


@contextlib.contextmanager
def _tracing(settings: TraceSettings | None) -> Iterator[Tracing | None]:
    """The tracing of frames, until the block ends; None if the configuration has none.

    Raises:
        PackageMissing: a package of the extra `traces` is not installed.
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
        # A new token, because only this run uses the server.
        access=Access(token := new_token()),
        options=[] if traces is None else exporting_traces(traces.url),
        stop_timeout_s=_STOP_SERVER_S,
    ) as triton:
        _log.info("Triton is ready at %s (profile %s)", triton.url, triton.profile or "default")
        yield ServerInUse(triton.url, token, triton)


def _connect(server: ServerInUse, tls: Tls | None) -> Connect:
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
        tls=tls,
        # With more requests in flight, frames would only queue in the server and become old.
        max_in_flight=REQUESTS_IN_FLIGHT,
    )


def _tls(settings: ServerSettings) -> Tls | None:
    files = settings.tls
    return None if files is None else Tls(files.ca, files.certificate, files.key)
