"""Reads datasets in COCO's format: one JSON file of annotations, and the pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from tools.errors import DatasetError
from tools.evaluation.dataset import Annotation, Dataset
from tools.evaluation.picture import Picture, check_there, open_picture
from tools.evaluation.validation import first_problem

Length = Annotated[FiniteFloat, Field(ge=0)]


class _Image(BaseModel):
    id: int
    file_name: str
    width: int | None = None
    height: int | None = None


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, Length, Length]
    area: Length | None = None
    iscrowd: bool = False


class _Category(BaseModel):
    id: int
    name: str


class _File(BaseModel):
    images: Annotated[list[_Image], Field(min_length=1)]
    annotations: list[_Annotation]
    categories: list[_Category]


def choose_annotations(folder: Path) -> Path | None:
    """The annotation file of a folder in COCO's layout; None if there is none.

    Raises:
        DatasetError: There are several files, and not exactly one is `instances_val*.json`.
    """
    files = sorted(folder.glob("annotations/*.json"))
    of_validation = [path for path in files if path.name.startswith("instances_val")]
    for candidates in (files, of_validation):
        if len(candidates) == 1:
            return candidates[0]
    if files:
        raise DatasetError(
            f"several annotation files in {folder} ({', '.join(path.name for path in files)}): "
            "name one of them instead of the folder"
        )
    return None


def read_coco(path: Path, *, pictures: Path | None, limit: int | None) -> Dataset:
    """Read an annotation file, and the headers of its pictures.

    Boxes that extend beyond their picture are not changed, as in COCO's own evaluation.

    Args:
        path: The JSON file.
        pictures: Folder that the file names are relative to; by default, the usual folders beside
            the file are searched.
        limit: Use only the first so many pictures; None uses all.

    Raises:
        DatasetError: The file is not in COCO's format; or a picture is missing or damaged, or has
            another size than the file states.
    """
    file = _parse(path)
    images = file.images[:limit]
    folder = pictures or _find_pictures(path, images[0].file_name)
    check_there([folder / image.file_name for image in images])
    chosen = {image.id for image in images}
    return Dataset(
        path=path,
        pictures=tuple(_open(image, folder, path) for image in images),
        annotations=tuple(_plain(a) for a in file.annotations if a.image_id in chosen),
        categories={category.id: category.name for category in file.categories},
    )


def _parse(path: Path) -> _File:
    try:
        file = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise DatasetError(
            f"{path} is not a COCO annotation file: {first_problem(error)}"
        ) from error
    images = _unique((image.id for image in file.images), f"image of {path}")
    categories = _unique((category.id for category in file.categories), f"category of {path}")
    for number, annotation in enumerate(file.annotations):
        if annotation.image_id not in images or annotation.category_id not in categories:
            raise DatasetError(
                f"annotations.{number} of {path} names image {annotation.image_id} and category "
                f"{annotation.category_id}, which are not both in the file"
            )
    return file


def _unique(ids: Iterable[int], what: str) -> set[int]:
    counts = Counter(ids)
    twice = [identifier for identifier, count in counts.items() if count > 1]
    if twice:
        raise DatasetError(f"more than one {what} has the id {twice[0]}")
    return set(counts)


def _find_pictures(path: Path, file_name: str) -> Path:
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    split = path.stem.removeprefix("instances_")
    candidates = [root / split, root / "images" / split, root / "images", root]
    for folder in candidates:
        if (folder / file_name).is_file():
            return folder
    raise DatasetError(
        f"no picture {file_name} of {path} in any of {', '.join(map(str, candidates))}: give the "
        "folder of the pictures with --images"
    )


def _open(image: _Image, folder: Path, path: Path) -> Picture:
    picture = open_picture(image.id, folder / image.file_name)
    size = (picture.width, picture.height)
    if size != (image.width or picture.width, image.height or picture.height):
        raise DatasetError(
            f"{picture.path} is {size[0]}x{size[1]} pixels, but {image.width}x{image.height} in "
            f"{path}: its boxes would not fit"
        )
    return picture


def _plain(annotation: _Annotation) -> Annotation:
    _, _, width, height = annotation.bbox
    return {
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "bbox": list(annotation.bbox),
        "area": width * height if annotation.area is None else annotation.area,
        "iscrowd": int(annotation.iscrowd),
    }
