"""Labeled pictures, whatever form they came in, and which of their categories a model knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.errors import DatasetError
from tools.evaluation.picture import Picture

Annotation = dict[str, Any]
"""As in COCO's files: `image_id`, `category_id`, `bbox` (x, y, width, height in pixels), `area` in
pixels, `iscrowd`: a region where detections of the category are neither right nor wrong."""


@dataclass(frozen=True)
class Dataset:
    """Pictures and what is to be found in them."""

    path: Path
    """What it was read from."""
    pictures: tuple[Picture, ...]
    annotations: tuple[Annotation, ...]
    """Of these pictures. A picture without any shows nothing that is to be found."""
    categories: dict[int, str] | None
    """Names by category id; None where the ids are class ids of whatever model is evaluated."""

    @property
    def empty_pictures(self) -> int:
        """Pictures in which nothing is to be found."""
        return len(self.pictures) - len({found["image_id"] for found in self.annotations})


@dataclass(frozen=True)
class Matching:
    """Which categories of a dataset a model knows."""

    names: dict[int, str]
    """The model's name of each category that is scored, by category id."""
    category_ids: dict[int, int]
    """Their category ids by the model's class id."""
    unknown: tuple[str, ...]
    """Categories that the model does not have; they are not scored."""


def match(dataset: Dataset, labels: Sequence[str]) -> Matching:
    """Find each category among a model's labels, by name, whatever its case and separators.

    Args:
        dataset: Its ids may have gaps, as COCO's 80 categories have among 90 numbers.
        labels: The model's class names by class id.

    Raises:
        DatasetError: They have no category in common, or two categories are one to the model.
    """
    categories = dataset.categories
    if categories is None:
        used = sorted({annotation["category_id"] for annotation in dataset.annotations})
        categories = {i: labels[i] if i < len(labels) else f"class {i}" for i in used}
    class_ids = {_plain(label): class_id for class_id, label in enumerate(labels)}
    category_ids: dict[int, int] = {}
    unknown = []
    for category_id, name in categories.items():
        class_id = class_ids.get(_plain(name))
        if class_id is None:
            unknown.append(name)
        elif class_id in category_ids:
            raise DatasetError(
                f"two categories of {dataset.path} are '{labels[class_id]}' to the model, one of "
                f"them '{name}': rename or join them"
            )
        else:
            category_ids[class_id] = category_id
    if not category_ids:
        raise DatasetError(
            f"the model knows none of the categories of {dataset.path} "
            f"({', '.join(unknown) or 'there are none'}), only: {', '.join(labels)}"
        )
    names = {category_id: labels[class_id] for class_id, category_id in category_ids.items()}
    return Matching(names, category_ids, tuple(unknown))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
