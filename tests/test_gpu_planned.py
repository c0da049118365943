"""The planned network on a GPU against what ONNX Runtime computes in float32."""

from __future__ import annotations

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
def prepared(pictures, tmp_path_factory):
    """An engine in float16, and one in float8."""
    import cupy

    half, planner, precision, runtime = (
        part("yolov7_fp16", name)
        for name in ("half", "planned.planner", "planned.precision", "planned.runtime")
    )
    model = half.to_fp16(onnx.load(SHIPPED))
    plan = planner.plan_of(model, names=("input", "output"), image_shape=(3, 640, 640))
    inputs, outputs = cupy.asarray(pictures), cupy.zeros((len(pictures), 25200, 6), np.float32)
    choices = tmp_path_factory.mktemp("choices") / "network"

    def engine(kept):
        stream = cupy.cuda.Stream(non_blocking=True)
        memory = {"inputs": inputs, "outputs": outputs, "batch_sizes": SIZES, "stream": stream}
        made = runtime.Engine(plan, kept, **memory, choices=choices)

        def run(size):
            outputs.fill(np.nan)
            cupy.cuda.Device().synchronize()
            made.launch(size)
            stream.synchronize()
            return outputs[:size].get()

        return made, run

    exact, run = engine(precision.half(plan))
    return {"half": run, "again": engine(precision.half(plan))[1]} | {
        "float8": engine(precision.float8(plan, exact.peaks(SIZES[-1])))[1]
    }


@pytest.mark.parametrize("way", ["half", "again"])
@pytest.mark.parametrize("size", SIZES)
def test_float16(way, size, prepared, pictures):
    model = onnx.load(SHIPPED)
    expected = by_onnx_runtime(model, pictures[:size])
    in_half = by_onnx_runtime(part("yolov7_fp16", "half").to_fp16(model), pictures[:size])
    found = prepared[way](size)
    # As far away as ONNX Runtime's float16 on the CPU, which rounds less often: there a convolution
    # keeps float32 until its activation.
    for columns in (slice(4), 4):
        error, usual = (
            np.abs(rows[..., columns] - expected[..., columns]) for rows in (found, in_half)
        )
        assert error.mean() <= 2 * usual.mean()
        assert error.max() <= 4 * usual.max()
    assert (found[..., 5] != expected[..., 5]).mean() < 0.01


def test_float8_is_near(prepared, pictures):
    expected = by_onnx_runtime(onnx.load(SHIPPED), pictures)
    found = prepared["float8"](SIZES[-1])
    assert np.abs(found[..., :4] - expected[..., :4]).mean() < 2
