"""A dataset of labeled pictures, and the matching of its categories with a model's classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.errors import DatasetError
from tools.evaluation.picture import Picture

Annotation = dict[str, Any]
"""An annotation as in COCO's files: `image_id`, `category_id`, `bbox` (x, y, width, height in
pixels), `area` in square pixels, and `iscrowd`. In a region with `iscrowd`, detections of the
category are neither right nor wrong."""


@dataclass(frozen=True)
class Dataset:
    """Pictures with their annotations."""

    path: Path
    """File or folder that it was read from."""
    pictures: tuple[Picture, ...]
    annotations: tuple[Annotation, ...]
    """Annotations of these pictures. A picture may have none."""
    categories: dict[int, str] | None
    """Names by category id; None if the category ids are the model's class ids."""

    @property
    def empty_pictures(self) -> int:
        """Number of pictures without annotations."""
        return len(self.pictures) - len({found["image_id"] for found in self.annotations})


@dataclass(frozen=True)
class Matching:
    """Which categories of a dataset the model's classes are."""

    names: dict[int, str]
    """The model's class names of the scored categories, by category id."""
    category_ids: dict[int, int]
    """Category ids of the scored categories, by class id."""
    unknown: tuple[str, ...]
    """Names of the categories that the model does not have. They are not scored."""


def match(dataset: Dataset, labels: Sequence[str]) -> Matching:
    """Match categories and classes by name, ignoring case and separators.

    Args:
        dataset: The dataset. Its category ids may have gaps, like COCO's.
        labels: The model's class names by class id.

    Raises:
        DatasetError: No category matches, or two categories match the same class.
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
                f"two categories of {dataset.path} match the model's class '{labels[class_id]}', "
                f"one of them is '{name}': rename or merge them"
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
