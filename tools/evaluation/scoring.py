"""Computes average precision and recall with pycocotools."""

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
"""The metrics in the order of pycocotools. Except AP50 and AP75, they are means over the IoUs 0.50,
0.55, ... 0.95. Small objects have an area below 32x32 pixels, and large ones above 96x96. AR1, AR10
and AR100 allow 1, 10 and 100 boxes per class."""

CLASS_METRICS = ("AP", "AP50", "AP75", "AR100")
"""The metrics of a single class."""

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO samples the precision."""

Figures = dict[str, float | None]
"""Values 0..1 by metric; None if there are no labels."""


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class.

    Attributes:
        name: The model's name of the class.
        labels: Number of labeled objects.
        figures: Values of `CLASS_METRICS`.
        precisions: Precisions at IoU 0.5, float [101] for `RECALLS`; empty without labels.
    """

    name: str
    labels: int
    figures: Figures
    precisions: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """The scores of one run: `METRICS` over all labeled classes, and the scores of each class."""

    overall: Figures
    classes: tuple[ClassScores, ...]


def coco_results(dataset: Dataset, matching: Matching, rows: Sequence[Rows]) -> list[Annotation]:
    """Convert detections to COCO's results format, with the dataset's image and category ids."""
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
    """Compare detections with the labels, for the matched categories.

    Args:
        dataset: The labels. All detections in a picture without labels are wrong.
        matching: The categories that are scored.
        results: The detections, from `coco_results`.
    """
    truth = _indexed(dataset, matching, dataset.annotations)
    evaluation = COCOeval(truth, _indexed(dataset, matching, results), "bbox")
    # pycocotools prints to stdout, which is reserved for the tool's results.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    overall = dict(zip(METRICS, map(_figure, evaluation.stats.tolist()), strict=True))
    classes = (
        _class_scores(evaluation, index, matching.names[category_id], _labels(dataset, category_id))
        for index, category_id in enumerate(sorted(matching.names))  # the order of pycocotools
    )
    return Scores(overall, tuple(classes))


def _indexed(dataset: Dataset, matching: Matching, annotations: Sequence[Annotation]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "images": [{"id": picture.id} for picture in dataset.pictures],
        "annotations": [
            # Ids begin with 1, because pycocotools counts a label with id 0 as not found.
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
    # Index 0: objects of all sizes. Index -1: the largest number of detections.
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
    """Pycocotools returns -1 if there are no labels."""
    return None if value < 0 else value
