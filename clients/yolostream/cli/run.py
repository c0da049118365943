"""`yolostream run`."""

from __future__ import annotations

import logging
import signal
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from yolostream.cli import access, detect_options
from yolostream.cli.messages import print_note, stdout
from yolostream.cli.server import PANEL, ProfileOption
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.errors import YolostreamError
from yolostream.extras import needed

if TYPE_CHECKING:
    from yolostream.cli.site import Site
    from yolostream.service.leases.sharing import Sharing
    from yolostream.service.settings import ServerSettings, WebSettings

Section = TypeVar("Section", "ServerSettings", "WebSettings")

SHARING = "Several instances"

_CONFIGURATIONS = (".yaml", ".yml")

_log = logging.getLogger(__name__)


class LogFormat(StrEnum):
    """The formats of `settings.LogSettings`, as the type of an option."""

    console = "console"
    json = "json"


def run(
    cameras: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="cameras.yaml | CAMERA",
            help="Configuration file, or addresses of cameras and video files; files play like "
            "cameras.",
        ),
    ] = None,
    demo: detect_options.Demo = False,
    check: Annotated[bool, typer.Option("--check", help="Only check the configuration.")] = False,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of the page and the API. By default 127.0.0.1:8080.",
        ),
    ] = None,
    web_token_file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File with the tokens that give access to the page and the API.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Allow access from other machines without a token."),
    ] = False,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Format of the log: lines for people, or JSON.")
    ] = None,
    leases: Annotated[
        str | None,
        typer.Option(
            metavar="kubernetes:NAME | FOLDER",
            help="Distribute the cameras over all instances that use the same leases: Kubernetes "
            "Leases of this name in the pod's namespace, or a local folder.",
            rich_help_panel=SHARING,
        ),
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of this instance; by default the host name, in Kubernetes the pod's name.",
            rich_help_panel=SHARING,
        ),
    ] = None,
    lease_seconds: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=600,
            help="Seconds without renewal after which an instance counts as dead; by default 8.",
            rich_help_panel=SHARING,
        ),
    ] = None,
    url: detect_options.Url = None,
    model: detect_options.ModelName = DEFAULT_MODEL,
    token_file: access.TokenFile = None,
    tls_ca: access.TlsCa = None,
    tls_cert: access.TlsCert = None,
    tls_key: access.TlsKey = None,
    profile: ProfileOption = None,
    model_repository: Annotated[
        Path | None, typer.Option(help="Folder with the models.", rich_help_panel=PANEL)
    ] = None,
    server_environment: Annotated[
        Path | None,
        typer.Option(
            help="Triton's Python environment, or an installation of Triton.",
            rich_help_panel=PANEL,
        ),
    ] = None,
) -> None:
    """Watch cameras continuously, and show them on a page.

    Options take precedence over the configuration. If any option of the server is given, the
    configuration's section about the server is ignored.

    Ctrl-C or SIGTERM stops the service; SIGHUP makes it read the configuration again.
    """
    cameras = detect_options.named(cameras, demo=demo)
    is_file = len(cameras) == 1 and cameras[0].lower().endswith(_CONFIGURATIONS)
    if is_file and not check:
        # A SIGHUP before the service is ready must not end it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Imported late: it takes half a second, which would delay every other command.
    with _its_packages():
        from yolostream.cli.site import named, read

    site = read(Path(cameras[0])) if is_file else named(cameras, model)
    if is_file and model != DEFAULT_MODEL:
        raise typer.BadParameter(
            f"--model {model} does not apply to a configuration: write it into the defaults of "
            f"{cameras[0]}"
        )
    if check:
        _check(site)
        return
    tls = {"ca": tls_ca, "certificate": tls_cert, "key": tls_key}
    server = _server(
        site,
        url=url,
        token_file=token_file,
        tls=_given(tls) or None,
        profile=profile,
        model_repository=model_repository,
        environment=server_environment,
    )
    web = _web(site, address=listen, token_file=web_token_file, insecure=insecure or None)
    sharing = _sharing(leases, instance=instance, duration_s=lease_seconds)
    _watch(site, server, web, sharing, log_format)


def _its_packages() -> AbstractContextManager[None]:
    return needed("service", "'yolostream run'")


def _check(site: Site) -> None:
    from yolostream.service.advice import advice

    configuration, store = site.configuration, site.store
    for words in advice(configuration, site.path):
        print_note(words)
    changed = 0 if store is None else len(store.load())
    resolved = [configuration.resolved(camera) for camera in configuration.cameras.values()]
    enabled = sum(camera.enabled for camera in resolved)
    more = f", changed over the API: {changed}" if changed else ""
    stdout.print(f"cameras: {len(resolved)}, enabled: {enabled}{more}", highlight=False)


def _sharing(store: str | None, **options: Any) -> Sharing | None:
    from yolostream.service.leases.sharing import Sharing

    given = _given(options)
    if store is not None:
        return Sharing.of(store, **given)
    if given:
        raise typer.BadParameter("--instance and --lease-seconds need --leases")
    return None


def _watch(
    site: Site,
    server: ServerSettings,
    web: WebSettings,
    sharing: Sharing | None,
    log_format: LogFormat | None,
) -> None:
    """Run the service; an error is logged in the format of the log."""
    with _its_packages():
        from yolostream.cli import running
        from yolostream.service import logs

    log = site.configuration.log
    if log_format is not None:
        log = log.model_copy(update={"format": log_format.value})
    logs.set_up(log)
    try:
        running.run(site, server, web, sharing)
    except YolostreamError as error:
        if log.format == "console":
            raise
        _log.error("%s", error)
        raise typer.Exit(error.exit_code) from None


def _server(site: Site, **options: Any) -> ServerSettings:
    given = _given(options)
    return _validated(site.configuration.server, given) if given else site.configuration.server


def _web(site: Site, **options: Any) -> WebSettings:
    web = site.configuration.web
    said = {name: getattr(web, name) for name in web.model_fields_set}
    return _validated(web, {**said, **_given(options)})


def _validated(like: Section, values: Any) -> Section:
    from pydantic import ValidationError

    try:
        return type(like).model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise typer.BadParameter(f"{first['input']}: {first['msg']}") from None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
