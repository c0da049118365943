"""`yolostream detect`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import typer

from yolostream.cli import access, detecting
from yolostream.cli import detect_options as options
from yolostream.cli.messages import print_error, stderr, stdout
from yolostream.cli.report import Report
from yolostream.cli.server import (
    DEFAULT_MODEL_REPOSITORY,
    DEFAULT_SERVER_ENVIRONMENT,
    ModelRepository,
    ProfileOption,
    ServerEnvironment,
    served_at,
)
from yolostream.cli.summary import write as write_summary
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.errors import OutputError, YolostreamError
from yolostream.interruption import EXIT_INTERRUPTED, INTERRUPTED
from yolostream.outputs.results import FORMATS, TILED_NAME, Format, Results
from yolostream.outputs.video import DEFAULT_BITRATE
from yolostream.pipeline.drawing import LabelOptions
from yolostream.pipeline.filters import DetectionFilter, class_ids
from yolostream.pipeline.job import Job
from yolostream.pipeline.plan import IN_FLIGHT, MAX_AGE_S, SERVER_PATIENCE_S
from yolostream.pipeline.supervision import CAMERA_PATIENCE_S, STALE_AFTER_S, Limits
from yolostream.pipeline.workers import workers_for
from yolostream.sources import Realtime, Source, Video, check_files, find_sources
from yolostream.sources.decoding import DecoderName


def detect(
    sources: options.Sources = None,
    demo: options.Demo = False,
    url: options.Url = None,
    model: options.ModelName = DEFAULT_MODEL,
    output: options.Output = Path("output"),
    save: options.Saved = None,
    summary: options.Summary = None,
    warm_up: options.WarmUp = 0.0,
    confidence: options.Confidence = 0.0,
    classes: options.Classes = None,
    stride: options.Stride = 1,
    limit: options.Limit = None,
    track: options.Track = True,
    show_labels: options.ShowLabels = True,
    show_confidence: options.ShowConfidence = True,
    bitrate: options.Bitrate = DEFAULT_BITRATE,
    downscale: options.Downscale = True,
    transport: options.TransportName = "auto",
    decoder: options.Decoder = "auto",
    stream_index: options.StreamIndex = None,
    realtime: options.Realtime = False,
    max_age: options.MaxAge = MAX_AGE_S,
    stale_after: options.StaleAfter = STALE_AFTER_S,
    camera_patience: options.CameraPatience = CAMERA_PATIENCE_S,
    in_flight: options.InFlight = IN_FLIGHT,
    batch: options.Batch = None,
    workers: options.Workers = None,
    timeout: options.Timeout = 30.0,
    server_patience: options.ServerPatience = SERVER_PATIENCE_S,
    token_file: access.TokenFile = None,
    tls_ca: access.TlsCa = None,
    tls_cert: access.TlsCert = None,
    tls_key: access.TlsKey = None,
    profile: ProfileOption = None,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Detect and track objects in videos, cameras and pictures.

    Writes an annotated MP4 of each source, a tiled MP4 of all, JSON Lines, CSV and MOT text.
    """
    tls = access.client_tls(tls_ca, tls_cert, tls_key)
    specs = options.named(sources, demo=demo)
    found, source_errors = _found(specs, decoder, stream_index, realtime=realtime)
    workers = min(workers or workers_for(len(found)), len(found))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            served_at(
                url,
                access.token_from(token_file),
                model,
                profile,
                model_repository,
                server_environment,
            )
        )
        connect = partial(
            detecting.connect,
            server.url,
            model,
            timeout_s=timeout,
            downscale=downscale,
            transport=transport,
            decoder=decoder,
            token=server.token,
            tls=tls,
        )
        # Used only for questions about the model. Each worker makes a detector of its own.
        about = stack.enter_context(connect(max_in_flight=1, transport="grpc"))
        _check_classes(classes, about.labels)
        report = detecting.run(
            found,
            Job(
                results=Results(output, _formats(save, found, track), bitrate),
                track=track,
                labels=LabelOptions(name=show_labels, confidence=show_confidence),
                detection_filter=DetectionFilter(confidence, classes),
                stride=stride,
                limit=limit,
                in_flight=in_flight,
                server_patience_s=server_patience,
                max_age_s=max_age,
                limits=Limits(stale_after, camera_patience),
                downscale=downscale,
            ),
            connect,
            about=about,
            workers=workers,
            batch=batch,
            warm_up_s=warm_up,
            console=stderr,
        )
    _conclude(report, source_errors, summary)


def _found(
    specs: list[str], decoder: DecoderName, stream_index: int | None, *, realtime: bool
) -> tuple[list[Source], list[YolostreamError]]:
    """The sources that can be read, and the errors of the others, which are printed."""
    named, unknown = find_sources(
        specs,
        reserved_names=frozenset({TILED_NAME}),
        decoder=decoder,
        stream_index=stream_index,
    )
    found, unreadable = check_files(named)
    errors: list[YolostreamError] = [*unknown, *unreadable]
    for error in errors:
        print_error(error)
    if not found:
        raise typer.Exit(errors[0].exit_code)
    if realtime:
        found = [
            Realtime(source) if isinstance(source, Video) and not source.is_live else source
            for source in found
        ]
    return found, errors


def _formats(
    save: list[options.Save] | None, sources: list[Source], track: bool
) -> frozenset[Format]:
    formats: frozenset[Format] = frozenset([choice.value for choice in save] if save else FORMATS)
    if not save and sum(source.is_video for source in sources) < 2:
        # A grid with one cell would be the same video again.
        formats -= {"tiled"}
    formats = formats if track else formats - {"mot"}
    if not formats - (set() if any(source.is_video for source in sources) else {"mot", "tiled"}):
        raise typer.BadParameter("these options write no output: choose another --save")
    return formats


def _check_classes(classes: str | None, labels: tuple[str, ...]) -> None:
    if classes is not None:
        try:
            class_ids(classes, labels)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error


def _conclude(report: Report, errors: Sequence[YolostreamError], summary: Path | None) -> None:
    report.show(stdout)
    for message in dict.fromkeys(report.messages):
        print_error(message)
    if summary is not None:
        try:
            write_summary(report, summary, earlier_errors=errors)
        except OutputError as error:
            print_error(error)
            errors = [*errors, error]
    if report.interrupted:
        print_error(f"{INTERRUPTED}; the results until then are complete and were kept")
        raise typer.Exit(EXIT_INTERRUPTED)
    if errors := [*errors, *report.errors]:
        raise typer.Exit(errors[0].exit_code)
