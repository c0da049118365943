"""Export a trained checkpoint as the ONNX model that the server's `yolov7_fp16` serves."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from tools.yolov7 import Network, folded
from tools.yolov7.checkpoint import load_checkpoint

SIZE = 640
OPSET = 17
# Twice what the rounding of float32 was seen to do; a wrong graph is off by whole pixels.
BOX_TOLERANCE_PX = 0.05
CONFIDENCE_TOLERANCE = 5e-5
# Two classes this close may change places by rounding.
CLASS_TIE = 1e-4

Floats = npt.NDArray[np.float32]


class ExportError(Exception):
    """The exported graph does not compute what the network computes."""


def export(network: Network, path: Path, *, metadata: dict[str, str]) -> None:
    """Write `network` as ONNX after checking the file against PyTorch.

    The graph maps `input`, float32 [b, 3, 640, 640] RGB 0..1, to `output`, float32 [b, 25200, 6]
    (see `tools.yolov7.head.Detect.decode`); b is dynamic.

    Args:
        network: On the CPU; it is folded here.
        path: File to write; it is only touched when the check succeeds.
        metadata: Strings to store in the model.

    Raises:
        ExportError: ONNX Runtime and PyTorch disagree.
    """
    plain = folded(network)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        candidate = Path(folder) / path.name
        _trace(plain, candidate)
        model = onnx.load(candidate)
        onnx.helper.set_model_props(model, metadata)
        _declare_output(model, _run(session_of(candidate, threads=2), _blank()).shape)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, candidate)
        verify(plain, candidate)
        os.replace(candidate, path)


def _blank() -> Floats:
    return np.zeros((1, 3, SIZE, SIZE), np.float32)


def _declare_output(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Write the sizes that tracing leaves open, so that a server can check them."""
    dims = model.graph.output[0].type.tensor_type.shape.dim
    for dim, size in zip(dims[1:], shape[1:], strict=True):
        dim.dim_value = size


def _trace(network: Network, path: Path) -> None:
    with warnings.catch_warnings():
        # Deprecated, but it gives the cleaner graph, with a dynamic batch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, SIZE, SIZE),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
        )


def verify(network: Network, path: Path) -> None:
    """Compare the ONNX file with the network, and each row of a batch with the picture alone.

    Raises:
        ExportError: They differ by more than rounding.
    """
    session = session_of(path, threads=2)
    images = np.random.default_rng(0).random((3, 3, SIZE, SIZE), dtype=np.float32)
    batch = _run(session, images)
    with torch.no_grad():
        _compare(batch, network(torch.from_numpy(images)).numpy(), what="ONNX Runtime and PyTorch")
    for i in range(len(images)):
        alone = _run(session, images[i : i + 1])
        _compare(batch[i : i + 1], alone, what=f"row {i} of a batch and the picture alone")


def _compare(actual: Floats, expected: Floats, *, what: str) -> None:
    if actual.shape != expected.shape:
        raise ExportError(f"{what} differ in shape: {actual.shape} and {expected.shape}")
    box = float(np.abs(actual[..., :4] - expected[..., :4]).max())
    gap = np.abs(actual[..., 4] - expected[..., 4])
    changed = float((actual[..., 5] != expected[..., 5]).mean())
    if not (box <= BOX_TOLERANCE_PX and gap.max() <= CONFIDENCE_TOLERANCE and changed <= CLASS_TIE):
        raise ExportError(
            f"{what} differ: boxes by {box:.4f} px, confidence by {gap.max():.2e}, "
            f"class in {changed:.2%} of rows"
        )


def session_of(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, images: Floats) -> Floats:
    output: Floats = session.run(["output"], {"input": images})[0]
    return output


def seconds_per_frame(path: Path, *, threads: int = 2, repeats: int = 20) -> float:
    """Median time of one 640 x 640 frame in ONNX Runtime on the CPU."""
    session = session_of(path, threads=threads)
    image = _blank()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        _run(session, image)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.export_onnx", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="file written by tools.train_demo_model")
    parser.add_argument("output", type=Path, help="ONNX file to write")
    parser.add_argument(
        "--labels", type=Path, required=True, help="text file with one class name a line"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _arguments(argv)
    network, meta = load_checkpoint(arguments.checkpoint)
    names = arguments.labels.read_text(encoding="utf-8").splitlines()
    if len(names) <= max(network.table.class_ids):
        largest = max(network.table.class_ids)
        raise SystemExit(f"{arguments.labels} has {len(names)} names, too few for class {largest}")
    metadata = {
        "names": json.dumps(names),
        "table": meta.table,
        "checkpoint_sha256": hashlib.sha256(arguments.checkpoint.read_bytes()).hexdigest(),
        "trained_classes": json.dumps(network.table.class_ids),
    }
    export(network, arguments.output, metadata=metadata)
    megabytes = arguments.output.stat().st_size / 1e6
    milliseconds = seconds_per_frame(arguments.output) * 1e3
    print(f"{arguments.output}: {megabytes:.1f} MB, {milliseconds:.1f} ms a frame on 2 CPU threads")


if __name__ == "__main__":
    main()
