"""`yolostream detect`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import typer

from yolostream.cli import detect_options as options
from yolostream.cli import detecting
from yolostream.cli.messages import interruptible, note, print_error, stderr, stdout
from yolostream.cli.report import Report
from yolostream.cli.server import (
    DEFAULT_MODEL_REPOSITORY,
    DEFAULT_SERVER_ENVIRONMENT,
    ModelRepository,
    ProfileOption,
    ServerEnvironment,
    started,
)
from yolostream.client.detector import DEFAULT_MODEL, Detector
from yolostream.errors import YolostreamError
from yolostream.interruption import EXIT_INTERRUPTED
from yolostream.outputs.video import DEFAULT_BITRATE
from yolostream.pipeline.drawing import Labels
from yolostream.pipeline.runner import IN_FLIGHT
from yolostream.pipeline.selection import Selection
from yolostream.sources import Source, nvdec, open_sources

MAX_IN_FLIGHT = 28
"""Frames on their way at once, all sources together; the server's queue holds somewhat more."""


def detect(
    sources: options.Sources,
    url: options.Url = None,
    model: options.ModelName = DEFAULT_MODEL,
    output: options.Output = Path("output"),
    save: options.Saved = None,
    confidence: options.Confidence = 0.0,
    classes: options.Classes = None,
    stride: options.Stride = 1,
    limit: options.Limit = None,
    track: options.Track = True,
    show_labels: options.ShowLabels = True,
    show_confidence: options.ShowConfidence = True,
    bitrate: options.Bitrate = DEFAULT_BITRATE,
    shrink: options.Shrink = True,
    transport: options.TransportName = options.Transport.auto,
    decoder: options.DecoderName = options.Decoder.cpu,
    in_flight: options.InFlight = IN_FLIGHT,
    timeout: options.Timeout = 30.0,
    profile: ProfileOption = None,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Find and follow objects in videos, cameras and pictures.

    Writes an annotated MP4 of each source, a tiled one of all, JSON Lines, CSV and MOT text.
    """
    opened, source_errors = _opened(sources, decoder)
    labels = Labels(name=show_labels, confidence=show_confidence)
    results = detecting.Results(
        folder=output, formats=_formats(save, opened), track=track, labels=labels, bitrate=bitrate
    )
    with contextlib.ExitStack() as stack:
        with interruptible():
            if url is None:
                triton = started(model_repository, server_environment, profile, models=[model])
                url = stack.enter_context(triton).url
            detector = stack.enter_context(
                Detector(
                    url,
                    model,
                    max_in_flight=min(in_flight * len(opened), MAX_IN_FLIGHT),
                    timeout_s=timeout,
                    shrink=shrink,
                    transport=transport.value,
                )
            )
        _note_detour(detector, decoder, transport)
        selection = Selection(stride, limit, confidence, _class_ids(classes, detector.labels))
        report = detecting.run(
            opened,
            detector,
            results=results,
            selection=selection,
            in_flight=in_flight,
            console=stderr,
        )
    _conclude(report, source_errors)


def _opened(
    specs: list[str], decoder: options.Decoder
) -> tuple[list[Source], Sequence[YolostreamError]]:
    """The sources that can be read, and what is wrong with the others, which is said."""
    opened, errors = open_sources(
        specs,
        reserved_names=frozenset({detecting.TILED_NAME}),
        decoder=decoder.value,
        notify=note,
    )
    for error in errors:
        print_error(error)
    if not opened:
        raise typer.Exit(errors[0].exit_code)
    return opened, errors


def _formats(save: list[options.Save] | None, sources: list[Source]) -> frozenset[detecting.Format]:
    if save:
        return frozenset(choice.value for choice in save)
    # A grid of one says nothing that its only cell does not.
    alone = sum(source.is_video for source in sources) < 2
    return frozenset(detecting.FORMATS) - ({"tiled"} if alone else set())


def _class_ids(classes: str | None, labels: tuple[str, ...]) -> frozenset[int] | None:
    if classes is None:
        return None
    return frozenset(_class_id(word.strip(), labels) for word in classes.split(","))


def _class_id(word: str, labels: tuple[str, ...]) -> int:
    if word in labels:
        return labels.index(word)
    if word.isdigit() and int(word) < len(labels):
        return int(word)
    raise typer.BadParameter(f"the model knows no class '{word}', only: {', '.join(labels)}")


def _note_detour(
    detector: Detector, decoder: options.Decoder, transport: options.Transport
) -> None:
    asked = decoder is not options.Decoder.cpu and transport is options.Transport.auto
    if asked and detector.transport != "cuda-shared-memory" and not nvdec.missing():
        note(
            f"frames that the GPU decodes reach {detector.url} through the host's memory; "
            "'--transport cuda-shared-memory' says why"
        )


def _conclude(report: Report, source_errors: Sequence[YolostreamError]) -> None:
    report.show(stdout)
    lane_errors = [lane.error for lane in report.lanes if isinstance(lane.error, YolostreamError)]
    for message in dict.fromkeys(map(str, lane_errors)):
        print_error(message)
    if report.interrupted:
        print_error("interrupted; what was done until then is complete and was kept")
        raise typer.Exit(EXIT_INTERRUPTED)
    if errors := [*source_errors, *lane_errors]:
        raise typer.Exit(errors[0].exit_code)
