"""Reads datasets in YOLO's format: `images/SPLIT/NAME.jpg` and `labels/SPLIT/NAME.txt`.

Each line of a label file is one object: its class id, and either `x y width height` of its box (x
and y of the center) or the corners of its outline. Coordinates are 0..1 of the picture's width and
height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError
from yolostream.sources.kinds import PICTURE_SUFFIXES

from tools.errors import DatasetError
from tools.evaluation.dataset import Annotation, Dataset
from tools.evaluation.picture import Picture, check_there, open_picture
from tools.evaluation.validation import first_problem


def _numbered(names: object) -> object:
    return dict(enumerate(names)) if isinstance(names, list) else names


class _Description(BaseModel):
    """The used part of a `data.yaml`."""

    names: Annotated[dict[int, str], BeforeValidator(_numbered)]
    val: Path
    path: Path = Path()


def read_yolo(place: Path, *, limit: int | None) -> Dataset:
    """Read the label files of a split, and the headers of its pictures.

    Pictures are numbered from 1 in the order of their names. A picture without a label file, or
    with an empty one, has no objects.

    Args:
        place: A `data.yaml`, a folder with one, a folder with `images` and `labels`, or the folder
            with the pictures of one split, such as `images/test`.
        limit: Use only the first so many pictures; None uses all.

    Raises:
        DatasetError: There are no pictures or no labels, or one of them cannot be read.
    """
    description = place / "data.yaml" if place.is_dir() else place
    if description.is_file():
        categories, split = _read_description(description)
    else:
        categories, split = None, _choose_split(place)
    paths = _picture_files(split)[:limit]
    check_there(paths)
    if not paths:
        raise DatasetError(f"there are no pictures in {split}: check the path")
    if not any(_label_file(path).is_file() for path in paths):
        raise DatasetError(
            f"there are no label files for {split}: write them, such as {_label_file(paths[0])}"
        )
    pictures = [open_picture(number, path) for number, path in enumerate(paths, start=1)]
    annotations = [found for picture in pictures for found in _read_labels(picture)]
    if categories is not None:
        _check_classes(annotations, categories, description)
    return Dataset(place, tuple(pictures), tuple(annotations), categories)


def _read_description(path: Path) -> tuple[dict[int, str], Path]:
    """Class names by class id, and the path of `val`."""
    try:
        description = _Description.model_validate(yaml.safe_load(path.read_bytes()))
    except yaml.YAMLError as error:
        raise DatasetError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise DatasetError(
            f"{path} must give 'names', and one folder or list of pictures as 'val': "
            f"{first_problem(error)}"
        ) from error
    root = path.parent / description.path
    split = root / description.val
    # Some exporters write paths relative to the folder of a training script, which is not here.
    if not split.exists() and description.val.parts[0] == "..":
        split = root.joinpath(*description.val.parts[1:])
    return description.names, split


def _choose_split(folder: Path) -> Path:
    images = folder / "images"
    if not images.is_dir():
        if "images" in folder.absolute().parts and folder.is_dir():
            return folder
        raise DatasetError(
            f"{folder} is not a dataset: it needs annotations/*.json, a data.yaml, or images and "
            "labels"
        )
    splits = sorted(path for path in images.iterdir() if path.is_dir())
    if not splits:
        return images
    if len(splits) == 1:
        return splits[0]
    if images / "val" not in splits:
        raise DatasetError(
            f"several splits in {images} ({', '.join(path.name for path in splits)}): name one of "
            f"them, such as {splits[0]}"
        )
    return images / "val"


def _picture_files(split: Path) -> list[Path]:
    if split.suffix == ".txt" and split.is_file():
        lines = split.read_text(encoding="utf-8").splitlines()
        return [split.parent / line.strip() for line in lines if line.strip()]
    if not split.is_dir():
        raise DatasetError(f"there is no folder or list of pictures at {split}: check the path")
    return sorted(path for path in split.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def _label_file(picture: Path) -> Path:
    """The path of a picture's label file: the last folder `images` becomes `labels`."""
    before, found, after = str(picture.absolute().with_suffix(".txt")).rpartition("/images/")
    if not found:
        raise DatasetError(
            f"{picture} is not in a folder 'images': move it to images/, next to labels/"
        )
    return Path(before) / "labels" / after


def _read_labels(picture: Picture) -> list[Annotation]:
    path = _label_file(picture.path)
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [
        _annotation(line, picture, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _annotation(line: str, picture: Picture, place: str) -> Annotation:
    try:
        number, *values = line.split()
        class_id = int(number)
        if class_id < 0:
            raise ValueError(class_id)
        left, top, width, height = _box([float(value) for value in values])
    except ValueError as error:
        raise DatasetError(
            f"{place}: '{line}' is not a class id and x, y, width, height in 0..1, or corners in "
            "0..1"
        ) from error
    left, width = left * picture.width, width * picture.width
    top, height = top * picture.height, height * picture.height
    return {
        "image_id": picture.id,
        "category_id": class_id,
        "bbox": [left, top, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _box(values: list[float]) -> tuple[float, float, float, float]:
    """Left, top, width and height of a box or an outline."""
    if len(values) < 4 or len(values) % 2 or not all(0 <= value <= 1 for value in values):
        raise ValueError(values)
    if len(values) == 4:
        x, y, width, height = values
        return x - width / 2, y - height / 2, width, height
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _check_classes(annotations: list[Annotation], names: dict[int, str], path: Path) -> None:
    unknown = {annotation["category_id"] for annotation in annotations} - set(names)
    if unknown:
        raise DatasetError(f"labels name class {min(unknown)}, but {path} has only {len(names)}")
