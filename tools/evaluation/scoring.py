"""Average precision and recall by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tools.bare import Rows
from tools.evaluation.dataset import Annotation, Dataset, Matching

METRICS = (
    *("AP", "AP50", "AP75", "AP small", "AP medium", "AP large"),
    *("AR1", "AR10", "AR100", "AR small", "AR medium", "AR large"),
)
"""In the order of pycocotools: mean over IoU 0.50, 0.55, ... 0.95 where no other is named; sizes by
area, below 32x32, up to 96x96 pixels and above; recall with 1, 10 and 100 boxes of a class."""

CLASS_METRICS = ("AP", "AP50", "AP75", "AR100")
"""Of a single class."""

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO takes the precision."""

Figures = dict[str, float | None]
"""0..1 by name; None where there is nothing to be found."""


@dataclass(frozen=True)
class ClassScores:
    """Of one class.

    Attributes:
        name: The model's name.
        labels: Objects that were to be found.
        figures: `CLASS_METRICS`.
        precisions: At IoU 0.5, float [101] by `RECALLS`; empty where there was nothing to find.
    """

    name: str
    labels: int
    figures: Figures
    precisions: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Of one pass: `METRICS` over all classes that are labeled, and class by class."""

    overall: Figures
    classes: tuple[ClassScores, ...]


def coco_results(dataset: Dataset, matching: Matching, rows: Sequence[Rows]) -> list[Annotation]:
    """Detections in COCO's results form, with the dataset's own image and category ids."""
    return [
        {
            "image_id": picture.id,
            "category_id": matching.category_ids[int(class_id)],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for picture, found in zip(dataset.pictures, rows, strict=True)
        for x1, y1, x2, y2, score, class_id in found.tolist()
        if class_id in matching.category_ids
    ]


def score(dataset: Dataset, matching: Matching, results: list[Annotation]) -> Scores:
    """Compare detections with the labels, over the categories that the model knows.

    Args:
        dataset: The labels. Detections in a picture without any are wrong, as in every other.
        matching: Says which categories count.
        results: From `coco_results`.
    """
    truth = _indexed(dataset, matching, dataset.annotations)
    evaluation = COCOeval(truth, _indexed(dataset, matching, results), "bbox")
    # It reports to stdout, which is ours.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    overall = dict(zip(METRICS, map(_figure, evaluation.stats.tolist()), strict=True))
    classes = (
        _class_scores(evaluation, index, matching.names[category_id], _labels(dataset, category_id))
        for index, category_id in enumerate(sorted(matching.names))  # As pycocotools does.
    )
    return Scores(overall, tuple(classes))


def _indexed(dataset: Dataset, matching: Matching, annotations: Sequence[Annotation]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": picture.id} for picture in dataset.pictures],
        "annotations": [
            # From 1: pycocotools takes a label with the id 0 for never found.
            {"iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3], **row, "id": number}
            for number, row in enumerate(annotations, start=1)
        ],
        "categories": [{"id": category_id} for category_id in matching.names],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _labels(dataset: Dataset, category_id: int) -> int:
    return sum(a["category_id"] == category_id and not a["iscrowd"] for a in dataset.annotations)


def _class_scores(evaluation: COCOeval, index: int, name: str, labels: int) -> ClassScores:
    # Of every size, with the most detections.
    precision = evaluation.eval["precision"][:, :, index, 0, -1]
    recall = evaluation.eval["recall"][:, index, 0, -1]
    means = (precision.mean(), precision[0].mean(), precision[5].mean(), recall.mean())
    return ClassScores(
        name=name,
        labels=labels,
        figures=dict(zip(CLASS_METRICS, map(_figure, map(float, means)), strict=True)),
        precisions=precision[0] if labels else np.empty(0),
    )


def _figure(value: float) -> float | None:
    """Pycocotools says -1 where there is nothing to be found."""
    return None if value < 0 else value
