"""Compare two folders of KITTI text, as deepstream-app's `gie-kitti-output-dir` writes them.

For example, one folder comes from a machine with DeepStream, and the other from
`python -m tests.nvinferserver`, which replays DeepStream's configuration without DeepStream.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from yolostream.detections import Detections

from tools.agreement import SAME_IOU, SAME_SCORE, Agreement, agreement
from tools.command import one_line_errors
from tools.errors import DatasetError

_NUMBERS = 15
"""Number of columns after the label. A label may contain spaces."""


def compare(one: Path, other: Path) -> tuple[Agreement, int]:
    """Compare the frames that both folders have.

    Returns:
        The agreement, and the number of these frames.

    Raises:
        DatasetError: a folder is missing, the folders have no frame in common, or a line is not
            KITTI.
    """
    names = sorted(_frames(one) & _frames(other))
    if not names:
        raise DatasetError(
            f"{one} and {other} have no frame in common: files are named APP_SOURCE_FRAME.txt"
        )
    pairs = ((read_kitti(one / name), read_kitti(other / name)) for name in names)
    return agreement(pairs), len(names)


def read_kitti(path: Path) -> Detections:
    """Read the objects of one frame.

    Raises:
        DatasetError: a line does not have a label, 14 columns and a confidence.
    """
    names, boxes, scores = [], [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            name, *columns = line.rsplit(maxsplit=_NUMBERS)
            values = [float(column) for column in columns]
            _, _, _, x1, y1, x2, y2, *_, score = values
            if len(values) != _NUMBERS:
                raise ValueError(len(values))
        except ValueError as error:
            raise DatasetError(
                f"{path}:{number}: '{line}' is not a label, truncation, occlusion, alpha, left, "
                "top, right, bottom, seven zeros and a confidence"
            ) from error
        names.append(name)
        boxes.append((x1, y1, x2, y2))
        scores.append(score)
    labels = tuple(sorted(set(names)))
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        class_ids=np.array([labels.index(name) for name in names], np.int64),
        labels=labels,
    )


def _frames(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}: name two folders of KITTI text")
    return {path.name for path in folder.glob("*.txt")}


def _report(compared: Agreement, frames: int, one: Path, other: Path) -> None:
    print(f"{frames} frames in both")
    print(f"{compared.boxes[0]} boxes in {one}, {compared.boxes[1]} in {other}")
    print(f"{len(compared.ious)} pairs of the same class")
    if len(compared.ious):
        print(
            f"IoU of a pair: median {np.median(compared.ious):.4f}, least {min(compared.ious):.4f}"
        )
        print(
            f"scores of a pair differ: median {np.median(compared.score_differences):.4f}, "
            f"most {max(compared.score_differences):.4f}"
        )
    print(
        f"{compared.share:.1%} of all boxes agree (IoU of {SAME_IOU} or more, scores within "
        f"{SAME_SCORE})"
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.compare_kitti", description=__doc__)
    parser.add_argument("one", type=Path, help="folder of KITTI text")
    parser.add_argument("other", type=Path, help="folder to compare it with")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _arguments(argv)
    with one_line_errors():
        compared, frames = compare(arguments.one, arguments.other)
        _report(compared, frames, arguments.one, arguments.other)


if __name__ == "__main__":
    main()
