"""What `yolostream detect` does: from words on the command line to lanes, and through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console

from yolostream.cli.progress import Progress
from yolostream.cli.report import Report
from yolostream.client.detector import Detector
from yolostream.client.statistics import StepTotals
from yolostream.errors import OutputError, ServerError
from yolostream.outputs.csv import Csv
from yolostream.outputs.jsonl import JsonLines
from yolostream.outputs.mot import Mot
from yolostream.outputs.output import Output, writing
from yolostream.outputs.pictures import AnnotatedPictures
from yolostream.outputs.tiled import Tiled
from yolostream.outputs.video import DEFAULT_BITRATE, Mp4
from yolostream.pipeline import runner
from yolostream.pipeline.drawing import Labels, Painter
from yolostream.pipeline.runner import Lane
from yolostream.pipeline.selection import Selection
from yolostream.pipeline.tracking import Tracker
from yolostream.sources import Source

Format = Literal["mp4", "tiled", "jsonl", "csv", "mot"]
FORMATS: tuple[Format, ...] = get_args(Format)
DRAWN: frozenset[Format] = frozenset({"mp4", "tiled"})
TILED_NAME = "tiled"
"""The grid's file takes this name, so no source may."""


@dataclass(frozen=True)
class Results:
    """What is made of the detections, and where it goes."""

    folder: Path
    formats: frozenset[Format] = frozenset(FORMATS)
    track: bool = True
    labels: Labels = field(default_factory=Labels)
    bitrate: int = DEFAULT_BITRATE
    """Bits per second of each video."""


def run(
    sources: list[Source],
    detector: Detector,
    *,
    results: Results,
    selection: Selection,
    in_flight: int,
    console: Console,
) -> Report:
    """Run every source to its end or to Ctrl-C, with a progress bar for each on `console`.

    Raises:
        OutputError: the output folder cannot be written.
    """
    with writing(results.folder):
        results.folder.mkdir(parents=True, exist_ok=True)
    _check_apart(sources, results.folder)
    lanes = _lanes(sources, results, stride=selection.stride)
    before = detector.statistics()
    interrupted = False
    with Progress(lanes, selection, console=console) as progress:
        try:
            runner.run(
                lanes, detector, selection=selection, in_flight=in_flight, on_tick=progress.update
            )
        except KeyboardInterrupt:
            interrupted = True
    return Report(
        lanes=lanes,
        steps=_served_since(before, detector),
        folder=results.folder,
        interrupted=interrupted,
    )


def _check_apart(sources: list[Source], folder: Path) -> None:
    """Raise `OutputError` where a result could take the place of what it is made from."""
    for source in sources:
        for path in source.files:
            if path.resolve().parent in (folder.resolve(), (folder / source.name).resolve()):
                raise OutputError(
                    f"results in {folder} could overwrite {path}: choose another folder with "
                    "--output"
                )


def _served_since(before: dict[str, StepTotals], detector: Detector) -> dict[str, StepTotals]:
    try:
        after = detector.statistics()
    except ServerError:
        # The server died on the way: the lanes tell, and the report does without its part.
        return {}
    return {step: totals.since(before[step]) for step, totals in after.items()}


def _lanes(sources: list[Source], results: Results, *, stride: int) -> list[Lane]:
    videos = [source for source in sources if source.is_video]
    tiled = None
    if "tiled" in results.formats and videos:
        tiled = Tiled(results.folder / f"{TILED_NAME}.mp4", sources=videos, bitrate=results.bitrate)
    lanes = []
    for source in sources:
        outputs = _outputs(source, results)
        if tiled is not None and source.is_video:
            outputs.append(tiled.cell(videos.index(source)))
        lanes.append(
            Lane(
                source=source,
                outputs=outputs,
                tracker=Tracker(float(source.frame_rate) / stride)
                if results.track and source.is_video
                else None,
                painter=Painter(source.name, labels=results.labels)
                if results.formats & DRAWN
                else None,
            )
        )
    return lanes


def _outputs(source: Source, results: Results) -> list[Output]:
    folder, name = results.folder, source.name
    outputs: list[Output] = []
    if "mp4" in results.formats and source.is_video:
        outputs.append(Mp4(folder / f"{name}.mp4", source=source, bitrate=results.bitrate))
    if "mp4" in results.formats and not source.is_video:
        outputs.append(AnnotatedPictures(folder / name))
    if "jsonl" in results.formats:
        outputs.append(JsonLines(folder / f"{name}.jsonl", source=name))
    if "csv" in results.formats:
        outputs.append(Csv(folder / f"{name}.csv", source=name))
    if "mot" in results.formats and source.is_video and results.track:
        outputs.append(Mot(folder / f"{name}.txt"))
    return outputs
