"""Export a YOLO detector as the ONNX model that the server's `yolov7_fp16` serves.

The source is a checkpoint in the official YOLOv7 format (a release file, or one written by the
official `train.py`), a checkpoint of `tools.train_demo_model`, or an ONNX file that another YOLO
project exported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from yolostream import __version__

from tools.command import one_line_errors
from tools.digest import sha256_of
from tools.errors import CheckpointError, LabelsError
from tools.exporting.check import Floats
from tools.exporting.graph import Graph, check_target, write
from tools.file_formats import refuse_other_formats
from tools.labels import check_labels, read_labels
from tools.onnx_file import load_onnx
from tools.served_onnx import NAMES, names_of, read_served_onnx
from tools.yolo_layouts import served

SIDE = 640
_STRIDE = 32

Size = tuple[int, int]
"""Height and width, in pixels."""


def from_checkpoint(path: Path, *, size: Size) -> Graph:
    """Trace the network of a checkpoint, which needs PyTorch.

    Args:
        path: Checkpoint in the official format, or of `tools.train_demo_model`.
        size: Height and width of the input, in pixels.

    Raises:
        CheckpointError: The checkpoint cannot be read safely and exactly, or PyTorch is missing.
    """
    refuse_other_formats(path, CheckpointError)
    try:
        import torch
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"reading the checkpoint {path} needs PyTorch: run 'make tools', and start this with "
            ".venv-tools/bin/python; ONNX files do not need it"
        ) from error

    from tools.exporting.trace import traced
    from tools.yolov7 import fuse_batch_norm
    from tools.yolov7.checkpoint import read_network

    network, names = read_network(path)
    plain = fuse_batch_norm(network)

    def reference(pictures: Floats) -> Floats:
        with torch.no_grad():
            rows: Floats = plain(torch.from_numpy(pictures)).numpy()
        return rows

    classes = max(network.table.class_ids) + 1
    return Graph(traced(plain, size=size), names, classes, reference)


def from_onnx(path: Path, *, size: Size | None, names: tuple[str, ...]) -> Graph:
    """Convert the output of another project's ONNX file to the one that is served.

    Args:
        path: ONNX file.
        size: Height and width in pixels, if they are dynamic in the file; else None.
        names: Class names by class id; if empty, those in the file.

    Raises:
        OnnxError: The file's layout is not supported; the message describes it.
    """
    model = served(load_onnx(path), source=str(path), size=size, names=names)
    return Graph(model, names_of(model))


def _names(graph: Graph, given: tuple[str, ...], source: Path) -> tuple[str, ...]:
    """Class names by class id. Given names may rename the classes, but not change their number."""
    names = given or graph.names
    if not names:
        raise LabelsError(
            f"{source} has no class names: give --labels, a file with one name per line, or the "
            "data.yaml that the model was trained with"
        )
    check_labels(names, source)
    if len(names) < graph.classes or len(names) != len(graph.names or names):
        raise LabelsError(
            f"--labels names {len(names)} classes, but {source} has {graph.classes}: write one "
            "line per class"
        )
    return names


def _is_side(text: str) -> bool:
    return text.isdecimal() and int(text) > 0 and int(text) % _STRIDE == 0


def _size(text: str) -> Size:
    """Parse HEIGHTxWIDTH, or one number for both."""
    sides = text.lower().split("x")
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2 or not all(map(_is_side, sides)):
        raise argparse.ArgumentTypeError(
            f"must be HEIGHTxWIDTH, such as 384x640, each a multiple of {_STRIDE}, is {text}"
        )
    return int(sides[0]), int(sides[1])


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.export_onnx", description=__doc__)
    add = parser.add_argument
    add("source", type=Path, help="checkpoint (.pt), or ONNX file of another YOLO (.onnx)")
    add("output", type=Path, help="ONNX file to write")
    add(
        "--labels",
        type=Path,
        help="file of class names, one per line, or a data.yaml (default: names in the source)",
    )
    add(
        "--size",
        type=_size,
        metavar="HEIGHTxWIDTH",
        help=f"size of the input in pixels, multiples of {_STRIDE}, such as 384x640 for wide "
        f"pictures; one number stands for both (default: {SIDE}; for an ONNX file, its own size)",
    )
    add("--half", action="store_true", help="float16 weights and arithmetic, for GPUs")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    with one_line_errors():
        _export(_arguments(argv))


def _export(arguments: argparse.Namespace) -> None:
    source, output = arguments.source, arguments.output
    check_target(output)
    given = read_labels(arguments.labels) if arguments.labels else ()
    if source.suffix.lower() == ".onnx":
        graph = from_onnx(source, size=arguments.size, names=given)
    else:
        graph = from_checkpoint(source, size=arguments.size or (SIDE, SIDE))
    metadata = {
        NAMES: json.dumps(_names(graph, given, source)),
        "source": source.name,
        "source_sha256": sha256_of(source),
        "exporter": f"yolostream {__version__}",
    }
    for sentence in write(graph, output, half=arguments.half, metadata=metadata):
        print(sentence, file=sys.stderr)
    written = read_served_onnx(output)
    print(
        f"{output}: {written.rows} rows of {len(written.names)} classes for pictures of "
        f"{written.height}x{written.width} (height x width), "
        f"{output.stat().st_size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
