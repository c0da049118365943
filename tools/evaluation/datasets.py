"""From a path to a dataset."""

from __future__ import annotations

from pathlib import Path

from tools.errors import DatasetError
from tools.evaluation.coco import choose_annotations, read_coco
from tools.evaluation.dataset import Dataset
from tools.evaluation.yolo import read_yolo


def read_dataset(path: Path, *, pictures: Path | None = None, limit: int | None = None) -> Dataset:
    """Read labels, and the headers of their pictures.

    Args:
        path: A COCO annotation file, a folder in COCO's layout (`annotations/*.json` and
            pictures), or what `read_yolo` takes.
        pictures: Folder of a COCO file's pictures, where it is not beside the file.
        limit: Take only so many pictures, the first ones.

    Raises:
        DatasetError: It is none of these, or something in it is missing or wrong.
    """
    if not path.exists():
        raise DatasetError(f"no dataset at {path}")
    annotations = path if path.suffix == ".json" else choose_annotations(path)
    if annotations is not None:
        return read_coco(annotations, pictures=pictures, limit=limit)
    if pictures is not None:
        raise DatasetError(f"--images goes with a COCO annotation file, and {path} is none")
    return read_yolo(path, limit=limit)
