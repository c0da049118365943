"""The profile `cudnn-gpu` on a GPU gives the rows of ONNX Runtime in float32."""

from __future__ import annotations

import tempfile

import numpy as np
import onnx
import onnxruntime
import pytest
from gpu import needs_gpu
from repository import ROOT
from test_layouts import noise
from version_folder import part

pytestmark = needs_gpu

SHIPPED = ROOT / "yolov7_fp16" / "1" / "model.onnx"
SIZES = (1, 2, 4)


def by_onnx_runtime(model, pictures):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["output"], {"input": pictures})[0]


@pytest.fixture(scope="module")
def pictures():
    return noise(SIZES[-1], (640, 640))


@pytest.fixture(scope="module")
def starts(pictures, tmp_path_factory):
    """The rows by batch size after a first and a second start, and the files of each start."""
    import cupy

    runtime = part("yolov7_fp16", "planned.runtime")
    inputs, outputs = cupy.asarray(pictures), cupy.zeros((len(pictures), 25200, 6), np.float32)
    folder = tmp_path_factory.mktemp("convolutions")

    def start():
        stream = cupy.cuda.Stream(non_blocking=True)
        made = runtime.PlannedRuntime(
            SHIPPED, inputs=inputs, outputs=outputs, batch_sizes=SIZES, stream=stream
        )

        def run(size):
            outputs.fill(np.nan)
            cupy.cuda.Device().synchronize()
            made.launch(size)
            stream.synchronize()
            return outputs[:size].get()

        rows = {size: run(size) for size in SIZES}
        return rows, {path: path.stat().st_mtime_ns for path in folder.rglob("*.zip")}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        return start(), start()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("size", SIZES)
def test_rows_are_those_of_onnx_runtime(which, size, starts, pictures):
    model = onnx.load(SHIPPED)
    expected = by_onnx_runtime(model, pictures[:size])
    in_half = by_onnx_runtime(part("yolov7_fp16", "half").to_fp16(model), pictures[:size])
    rows, _ = starts[which]
    found = rows[size]
    # As far away as ONNX Runtime's float16 on the CPU. That rounds less often, because it keeps the
    # result of a convolution in float32 until the activation.
    for columns in (slice(4), 4):
        error, usual = (
            np.abs(rows[..., columns] - expected[..., columns]) for rows in (found, in_half)
        )
        assert error.mean() <= 2 * usual.mean()
        assert error.max() <= 4 * usual.max()
    assert (found[..., 5] != expected[..., 5]).mean() < 0.01


def test_the_second_start_compiles_nothing(starts):
    (_, first), (_, second) = starts
    assert len(first) == 1
    assert second == first
