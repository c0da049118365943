"""`yolostream run`."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import Annotated

import typer

from yolostream.cli import access, detect_options, detecting
from yolostream.cli.messages import stderr
from yolostream.cli.server import (
    DEFAULT_MODEL_REPOSITORY,
    DEFAULT_SERVER_ENVIRONMENT,
    ModelRepository,
    ProfileOption,
    ServerEnvironment,
    served_at,
)
from yolostream.client.access import target_of
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.interruption import wait_for
from yolostream.pipeline.share import REQUESTS_IN_FLIGHT
from yolostream.server.run_folder import gpu_sharing_of
from yolostream.service.service import Service
from yolostream.service.settings import CameraSettings
from yolostream.sources import find_sources


def run(
    cameras: Annotated[
        list[str],
        typer.Argument(metavar="CAMERA...", help="Addresses of cameras, or video files."),
    ],
    url: detect_options.Url = None,
    model: detect_options.ModelName = DEFAULT_MODEL,
    port: Annotated[int, typer.Option(help="Of the page.")] = 8080,
    token_file: access.TokenFile = None,
    tls_ca: access.TlsCa = None,
    tls_cert: access.TlsCert = None,
    tls_key: access.TlsKey = None,
    profile: ProfileOption = None,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Watch cameras day and night, and show them on a page."""
    # It takes half a second, which no other command should.
    from yolostream.service.web.server import serving

    tls = access.client_tls(tls_ca, tls_cert, tls_key)
    token = access.token_from(token_file)
    with served_at(url, token, model, profile, model_repository, server_environment) as server:
        for name, value in gpu_sharing_of(target_of(server.url)).items():
            os.environ.setdefault(name, value)
        connect = partial(
            detecting.connect,
            server.url,
            timeout_s=30.0,
            downscale=True,
            transport="auto",
            decoder="auto",
            token=server.token,
            tls=tls,
            # More frames on their way to a CPU would only wait for each other, and become old.
            max_in_flight=REQUESTS_IN_FLIGHT,
        )
        service = Service(connect)
        try:
            for name, source in _named(cameras):
                settings = CameraSettings(source=source, model=model)
                service.put(name, settings.task(name, None))
            with serving(service, port=port, triton=server.triton) as address:
                stderr.print(f"Look at http://{address}", style="bold")
                wait_for(threading.Event())
        finally:
            service.close()


def _named(specs: list[str]) -> list[tuple[str, str]]:
    found, errors = find_sources(specs)
    if errors:
        raise errors[0]
    return [(source.name, spec) for source, spec in zip(found, specs, strict=True)]
