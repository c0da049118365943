"""What an evaluation says: tables for people, files for programs."""

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
These figures are of what is served: a picture letterboxed into the network's one input size, one \
class a box, and at most {max_detections} boxes a picture, of which COCO counts the best 100 of \
each class. The evaluation that YOLOv7's authors publish lets one box be several classes and pads \
to rectangles of up to 672 pixels, so a network scores less here than in their tables. Compare two \
detectors by running this on both."""

_PACKAGES = ("numpy", "onnxruntime", "pillow", "pycocotools", "tritonclient", "yolostream")


@dataclass(frozen=True)
class Side:
    """What was scored: a pass through the server, or through the bare session."""

    ran: Pass
    scores: Scores


@dataclass(frozen=True)
class Evaluation:
    """Everything that is reported.

    Attributes:
        dataset: What was evaluated on.
        matching: Which of its categories count.
        model: Name of the ensemble.
        onnx: The network's file in the model repository; None where it was not looked at.
        server_version: Of Triton.
        thresholds: Of the server's suppression during the evaluation, and of the bare session's.
        served: Through the server.
        bare: The same without it.
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
        """By name, those that there are."""
        sides = {"served": self.served, "bare": self.bare}
        return {name: side for name, side in sides.items() if side is not None}

    @property
    def difference(self) -> Figures | None:
        """What serving adds to the bare session's figures."""
        if self.bare is None:
            return None
        bare = self.bare.scores.overall
        return {
            name: None if value is None or (other := bare[name]) is None else value - other
            for name, value in self.served.scores.overall.items()
        }

    @property
    def note(self) -> str:
        """What the figures can be compared with."""
        return NOTE.format(max_detections=self.thresholds.max_detections)


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write `evaluation.json`, `detections.json` and `precision_recall.png`, once all are whole.

    `detections.json` is in COCO's results form, and of what was served.

    Raises:
        OutputError: `folder` is not to be written to.
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
        console.print(Text(f"Not scored, since the model does not have them: {unknown}"))
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
