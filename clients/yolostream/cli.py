"""The command line."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from yolostream import detect, embedded
from yolostream.detector import DEFAULT_MODEL, Detector
from yolostream.doctor import Verdict, examine
from yolostream.doctor.report import show
from yolostream.drawing import Labels
from yolostream.errors import YolostreamError
from yolostream.interruption import EXIT_INTERRUPTED, interrupt_on_stop_signals
from yolostream.outputs.video import DEFAULT_BITRATE
from yolostream.pipeline import IN_FLIGHT, Selection
from yolostream.report import Report
from yolostream.sources import Source, nvdec, open_sources

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_IN_FLIGHT = 28
"""Frames on their way at once, all sources together; the server's queue holds somewhat more."""
EMBEDDED_PANEL = "Embedded Triton (without --url)"

stdout = Console()
stderr = Console(stderr=True)

app = typer.Typer(
    help="Object detection on video streams, served by NVIDIA Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Save(StrEnum):
    """What `detect` writes; the names are those of `detect.Format`."""

    mp4 = "mp4"
    tiled = "tiled"
    jsonl = "jsonl"
    csv = "csv"
    mot = "mot"


class Transport(StrEnum):
    """How frames travel; the names are those of `detector.Transport`."""

    auto = "auto"
    grpc = "grpc"
    shared_memory = "shared-memory"
    cuda_shared_memory = "cuda-shared-memory"


class Decoder(StrEnum):
    """What decodes videos; the names are those of `sources.decoding.DecoderName`."""

    cpu = "cpu"
    gpu = "gpu"
    auto = "auto"


class Profile(StrEnum):
    """Profiles of the embedded Triton; the names are those of `embedded.Profile`."""

    cpu = "cpu"
    onnx_gpu = "onnx-gpu"
    torch_gpu = "torch-gpu"


ProfileOption = Annotated[
    Profile | None,
    typer.Option(help="By default what the machine allows.", rich_help_panel=EMBEDDED_PANEL),
]
ModelRepository = Annotated[
    Path, typer.Option(help="The models that it serves.", rich_help_panel=EMBEDDED_PANEL)
]
ServerEnvironment = Annotated[
    Path, typer.Option(help="Its Python environment.", rich_help_panel=EMBEDDED_PANEL)
]
DEFAULT_MODEL_REPOSITORY = REPOSITORY / "model_repository"
DEFAULT_SERVER_ENVIRONMENT = REPOSITORY / ".venv-server"


@app.command("detect")
def detect_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Video file, picture, folder or glob of them, camera number, or RTSP URL.",
        ),
    ],
    url: Annotated[
        str | None,
        typer.Option(help="gRPC address of a Triton, host:port. By default one is started here."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the ensemble.")] = DEFAULT_MODEL,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("output"),
    save: Annotated[
        list[Save] | None,
        typer.Option(help="What to write; repeat it for several. By default everything."),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="Drop weaker objects than the server does."),
    ] = 0.0,
    classes: Annotated[
        str | None, typer.Option(help="Only these, by name or number: 'car,bus'.")
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Take every Nth frame.")] = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take at most so many frames of each source.")
    ] = None,
    track: Annotated[bool, typer.Option(help="Number the objects through time.")] = True,
    show_labels: Annotated[bool, typer.Option(help="Write names on the boxes.")] = True,
    show_confidence: Annotated[bool, typer.Option(help="Write confidences there.")] = True,
    bitrate: Annotated[
        int, typer.Option(min=10_000, help="Bits per second of each video.")
    ] = DEFAULT_BITRATE,
    shrink: Annotated[
        bool, typer.Option(help="Shrink frames to the network's input before sending.")
    ] = True,
    transport: Annotated[
        Transport, typer.Option(help="How frames travel to the server.")
    ] = Transport.auto,
    decoder: Annotated[
        Decoder, typer.Option(help="What decodes videos; 'auto' is the GPU where there is one.")
    ] = Decoder.cpu,
    in_flight: Annotated[
        int, typer.Option(min=1, help="Frames of one source on their way at once.")
    ] = IN_FLIGHT,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 30.0,
    profile: ProfileOption = None,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Find and follow objects in videos, cameras and pictures.

    Writes an annotated MP4 of each source, a tiled one of all, JSON Lines, CSV and MOT text.
    """
    opened, source_errors = open_sources(
        sources,
        reserved_names=frozenset({detect.TILED_NAME}),
        decoder=decoder.value,
        notify=_note,
    )
    for source_error in source_errors:
        _complain(source_error)
    if not opened:
        raise typer.Exit(source_errors[0].exit_code)
    with contextlib.ExitStack() as stack:
        with _interruptible():
            if url is None:
                started = _started(model_repository, server_environment, profile, models=[model])
                url = stack.enter_context(started).url
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
        if decoder is not Decoder.cpu and transport is Transport.auto:
            _note_detour(detector)
        report = detect.run(
            opened,
            detector,
            results=detect.Results(
                folder=output,
                formats=_formats(save, opened),
                track=track,
                labels=Labels(name=show_labels, confidence=show_confidence),
                bitrate=bitrate,
            ),
            selection=Selection(
                stride=stride,
                limit=limit,
                min_confidence=confidence,
                class_ids=_class_ids(classes, detector.labels),
            ),
            in_flight=in_flight,
            console=stderr,
        )
    _conclude(report, source_errors)


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Others than loopback let anybody in.")
    ] = embedded.LOOPBACK,
    http_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8002,
    profile: ProfileOption = None,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Run Triton here until Ctrl-C, for load tests, DeepStream and other clients."""
    ports = embedded.Ports(http=http_port, grpc=grpc_port, metrics=metrics_port)
    with contextlib.ExitStack() as stack:
        started = _started(model_repository, server_environment, profile, host=host, ports=ports)
        with _interruptible():
            server = stack.enter_context(started)
        with contextlib.suppress(KeyboardInterrupt):
            stderr.print(f"HTTP {server.http_url}, metrics {server.metrics_url}; Ctrl-C stops it")
            server.wait()


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
) -> None:
    """Say what is missing or wrong on this machine and in the DeepStream files.

    The exit code is 1 if something is wrong; what not everybody needs is only noted.
    """
    checks = examine(model_repository, server_environment, REPOSITORY / "clients" / "deepstream")
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        show(checks, stdout)
    if any(check.verdict == Verdict.bad for check in checks):
        raise typer.Exit(1)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C before the first frame; typer would end without a word."""
    try:
        yield
    except KeyboardInterrupt:
        _complain("interrupted before the first frame; nothing was written")
        raise typer.Exit(EXIT_INTERRUPTED) from None


@contextlib.contextmanager
def _started(
    model_repository: Path,
    server_environment: Path,
    profile: Profile | None,
    *,
    models: Sequence[str] = (),
    host: str = embedded.LOOPBACK,
    ports: embedded.Ports = embedded.Ports(),  # noqa: B008  # frozen
) -> Iterator[embedded.EmbeddedTriton]:
    stderr.print("Starting Triton ...", style="dim")
    with embedded.serve(
        model_repository,
        environment=server_environment,
        models=models,
        profile=profile.value if profile else None,
        host=host,
        ports=ports,
    ) as server:
        turns = (
            "" if server.shares_gpu or server.profile == "cpu" else ", its steps take turns: no MPS"
        )
        stderr.print(
            f"Triton is ready at {server.url} (profile {server.profile}{turns})", style="dim"
        )
        yield server


def _formats(save: list[Save] | None, sources: list[Source]) -> frozenset[detect.Format]:
    if save:
        return frozenset(choice.value for choice in save)
    # A grid of one says nothing that its only cell does not.
    alone = sum(source.is_video for source in sources) < 2
    return frozenset(detect.FORMATS) - ({"tiled"} if alone else set())


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


def _conclude(report: Report, source_errors: Sequence[YolostreamError]) -> None:
    report.show(stdout)
    lane_errors = [lane.error for lane in report.lanes if isinstance(lane.error, YolostreamError)]
    for message in dict.fromkeys(map(str, lane_errors)):
        _complain(message)
    if report.interrupted:
        _complain("interrupted; what was done until then is complete and was kept")
        raise typer.Exit(EXIT_INTERRUPTED)
    if errors := [*source_errors, *lane_errors]:
        raise typer.Exit(errors[0].exit_code)


def _note_detour(detector: Detector) -> None:
    if detector.transport != "cuda-shared-memory" and not nvdec.missing():
        _note(
            f"frames that the GPU decodes reach {detector.url} through the host's memory; "
            "'--transport cuda-shared-memory' says why"
        )


def _note(message: object) -> None:
    _say(("note:", "bold yellow"), message)


def _complain(message: object) -> None:
    _say(("error:", "bold red"), message)


def _say(kind: tuple[str, str], message: object) -> None:
    # A file's name may be any bytes, and may look like markup.
    printable = str(message).encode(errors="replace").decode()
    stderr.print(Text.assemble(kind, f" {printable}"), soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line; a known error is one line and an exit code of its own."""
    interrupt_on_stop_signals()
    try:
        app()
    except YolostreamError as error:
        _complain(error)
        sys.exit(error.exit_code)
