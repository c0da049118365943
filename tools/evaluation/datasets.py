"""Reads a dataset in any of the supported formats."""

from __future__ import annotations

from pathlib import Path

from tools.errors import DatasetError
from tools.evaluation.coco import choose_annotations, read_coco
from tools.evaluation.dataset import Dataset
from tools.evaluation.yolo import read_yolo


def read_dataset(path: Path, *, pictures: Path | None = None, limit: int | None = None) -> Dataset:
    """Read the labels of a dataset, and the headers of its pictures.

    Args:
        path: A COCO annotation file, a folder in COCO's layout (`annotations/*.json` and
            pictures), or a path for `read_yolo`.
        pictures: Folder of a COCO file's pictures, if it is not beside the file.
        limit: Use only the first so many pictures; None uses all.

    Raises:
        DatasetError: The format is not supported, or a part is missing or wrong.
    """
    if not path.exists():
        raise DatasetError(f"there is no dataset at {path}: check the path")
    annotations = path if path.suffix == ".json" else choose_annotations(path)
    if annotations is not None:
        return read_coco(annotations, pictures=pictures, limit=limit)
    if pictures is not None:
        raise DatasetError(
            f"--images needs a COCO annotation file, and {path} is not one: leave it out"
        )
    return read_yolo(path, limit=limit)
