"""Reports the results of an evaluation: tables on the terminal, and files."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from yolostream.errors import OutputError

from tools.evaluation.dataset import Dataset, Matching
from tools.evaluation.passes import Pass
from tools.evaluation.plot import write_precision_recall
from tools.evaluation.scoring import CLASS_METRICS, METRICS, Figures, Scores, coco_results
from tools.evaluation.variant import Thresholds
from tools.served_onnx import ServedOnnx

NOTE = """\
These figures are for the served model: pictures are letterboxed to the network's input size, each \
box has one class, and a picture has at most {max_detections} boxes, of which COCO counts the 100 \
with the highest scores per class. YOLOv7's published evaluation allows several classes per box, \
and pads pictures to rectangles of up to 672 pixels, so a network scores less here than in its \
tables. To compare two detectors, run this on both."""

_PACKAGES = ("numpy", "onnxruntime", "pillow", "pycocotools", "tritonclient", "yolostream")


@dataclass(frozen=True)
class Side:
    """One run and its scores, either through the server or without it."""

    ran: Pass
    scores: Scores


@dataclass(frozen=True)
class Evaluation:
    """All results of an evaluation.

    Attributes:
        dataset: The dataset.
        matching: The categories that are scored.
        model: Name of the ensemble.
        onnx: The network's file in the model repository; None if it was not read.
        server_version: Version of Triton.
        thresholds: Thresholds of the suppression in both runs.
        served: The run through the server.
        bare: The run without a server, if there was one.
    """

    dataset: Dataset
    matching: Matching
    model: str
    onnx: ServedOnnx | None
    server_version: str
    thresholds: Thresholds
    served: Side
    bare: Side | None

    @property
    def sides(self) -> dict[str, Side]:
        """The runs by name."""
        sides = {"served": self.served, "bare": self.bare}
        return {name: side for name, side in sides.items() if side is not None}

    @property
    def difference(self) -> Figures | None:
        """The figures of `served` minus those of `bare`; None without `bare`."""
        if self.bare is None:
            return None
        bare = self.bare.scores.overall
        return {
            name: None if value is None or (other := bare[name]) is None else value - other
            for name, value in self.served.scores.overall.items()
        }

    @property
    def note(self) -> str:
        """The note on comparing the figures with others."""
        return NOTE.format(max_detections=self.thresholds.max_detections)


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write `evaluation.json`, `detections.json` and `precision_recall.png`.

    `detections.json` has the detections of the served run, in COCO's results format. The files are
    moved to the folder when all of them are complete.

    Raises:
        OutputError: `folder` cannot be written to.
    """
    results = coco_results(evaluation.dataset, evaluation.matching, evaluation.served.ran.rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            whole = Path(scratch)
            (whole / "detections.json").write_text(json.dumps(results), encoding="utf-8")
            write_precision_recall(evaluation.served.scores, whole / "precision_recall.png")
            text = json.dumps(_as_json(evaluation), indent=2, ensure_ascii=False)
            (whole / "evaluation.json").write_text(text + "\n", encoding="utf-8")
            for path in list(whole.iterdir()):
                os.replace(path, folder / path.name)
    except OSError as error:
        raise OutputError(f"cannot write to {folder} ({error}): name another --output") from error


def show(evaluation: Evaluation, console: Console) -> None:
    """Print the figures."""
    dataset = evaluation.dataset
    title = f"{evaluation.model} on {dataset.path}: {len(dataset.pictures)} pictures"
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(_overall_table(evaluation))
    console.print(_class_table(evaluation))
    for name, side in evaluation.sides.items():
        console.print(
            f"{name}: {side.ran.pictures_per_s:.1f} pictures/s, "
            f"{side.ran.waited_s:.1f} of {side.ran.elapsed_s:.1f} s spent waiting for pictures",
            highlight=False,
        )
    if evaluation.matching.unknown:
        unknown = ", ".join(evaluation.matching.unknown)
        console.print(Text(f"Not scored, because the model does not have them: {unknown}"))
    console.print(Text(evaluation.note, style="dim"))


def _overall_table(evaluation: Evaluation) -> Table:
    columns = {name: side.scores.overall for name, side in evaluation.sides.items()}
    if evaluation.difference is not None:
        columns["difference"] = evaluation.difference
    table = Table("", title="All classes", title_justify="left")
    for name in columns:
        table.add_column(name, justify="right")
    for metric in METRICS:
        cells = [_printed(v[metric], signed=name == "difference") for name, v in columns.items()]
        table.add_row(metric, *cells)
    return table


def _class_table(evaluation: Evaluation) -> Table:
    table = Table("class", title="Each class, served", title_justify="left")
    for column in ("labels", *CLASS_METRICS):
        table.add_column(column, justify="right")
    if evaluation.bare is not None:
        table.add_column("AP bare", justify="right")
    bare = evaluation.bare.scores.classes if evaluation.bare else ()
    for served, *others in zip_longest(evaluation.served.scores.classes, bare):
        cells = [*served.figures.values(), *(other.figures["AP"] for other in others if other)]
        table.add_row(Text(served.name), str(served.labels), *map(_printed, cells))
    return table


def _printed(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def _as_json(evaluation: Evaluation) -> dict[str, Any]:
    dataset, onnx = evaluation.dataset, evaluation.onnx
    return {
        "dataset": {
            "path": str(dataset.path),
            "pictures": len(dataset.pictures),
            "pictures_without_objects": dataset.empty_pictures,
            "annotations": len(dataset.annotations),
            "categories_not_scored": evaluation.matching.unknown,
        },
        "model": {
            "name": evaluation.model,
            "onnx": str(onnx.path) if onnx else None,
            "sha256": onnx.sha256 if onnx else None,
        },
        "thresholds": asdict(evaluation.thresholds),
        **{name: _side_as_json(side) for name, side in evaluation.sides.items()},
        "served_minus_bare": evaluation.difference,
        "versions": {
            "triton": evaluation.server_version,
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
        "note": evaluation.note,
    }


def _side_as_json(side: Side) -> dict[str, Any]:
    return {
        "overall": side.scores.overall,
        "classes": {s.name: {"labels": s.labels, **s.figures} for s in side.scores.classes},
        "pictures_per_s": round(side.ran.pictures_per_s, 2),
        "elapsed_s": round(side.ran.elapsed_s, 3),
        "waited_for_pictures_s": round(side.ran.waited_s, 3),
    }
