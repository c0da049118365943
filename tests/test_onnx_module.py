"""Compares the results of PyTorch and ONNX Runtime for the same graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from needs import needs
from repository import ROOT

needs("torch", variable="REQUIRE_TORCH")

import torch  # noqa: E402
from test_layouts import KINDS, P6, SQUARE, WIDE, also_output, exported, noise  # noqa: E402
from version_folder import part  # noqa: E402

from tools.yolo_layouts import served  # noqa: E402

onnx_module = part("yolov7_fp16", "onnx_module")
onnx_operators = part("yolov7_fp16", "onnx_operators")
SHIPPED = ROOT / "yolov7_fp16" / "1" / "model.onnx"


def by_onnx_runtime(model, pictures):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["output"], {"input": pictures})[0]


def by_pytorch(model, pictures):
    module = onnx_module.module_of(model).eval()
    with torch.inference_mode():
        return module(torch.from_numpy(pictures)).numpy()


def assert_same_rows(model, pictures):
    expected, found = by_onnx_runtime(model, pictures), by_pytorch(model, pictures)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    # Sums of thousands of products in another order differ by up to 0.0005 pixels of 800.
    np.testing.assert_allclose(found[..., :4], expected[..., :4], rtol=0, atol=2e-3)
    # After the sigmoid, the difference is 2e-6.
    np.testing.assert_allclose(found[..., 4], expected[..., 4], rtol=0, atol=1e-5)
    # Two equally likely classes may be swapped, which happens in one row of 2,835.
    assert (found[..., 5] != expected[..., 5]).mean() < 1e-3


@pytest.mark.parametrize("batch", [1, 3])
def test_the_shipped_network_gives_the_same_rows(batch):
    assert_same_rows(onnx.load(SHIPPED), noise(batch, (640, 640)))


@pytest.mark.parametrize("size", [SQUARE, WIDE])
@pytest.mark.parametrize("classes", [1, 5, 80])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_gives_the_same_rows(kind, classes, size):
    assert_same_rows(served(exported(kind, classes, size), source=""), noise(3, size))


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_opsets_with_other_forms_of_operators_give_the_same_rows(kind, opset):
    assert_same_rows(served(exported(kind, opset=opset), source=""), noise(3))


@pytest.mark.parametrize("kind", KINDS)
def test_a_fourth_stride_and_raw_maps_give_the_same_rows(kind):
    model = exported(kind, size=(128, 192), strides=P6)
    for stride in P6:
        also_output(model, f"map{stride}", rank=4)
    assert_same_rows(served(model, source=""), noise(3, (128, 192)))


def test_one_module_supports_batches_of_every_size():
    model = served(exported("v8"), source="")
    module = part("yolov7_fp16", "onnx_module").module_of(model)
    for batch in (1, 2, 5):
        assert len(module(torch.from_numpy(noise(batch)))) == batch


@pytest.mark.parametrize(
    ("operator", "attribute"),
    [
        ("Conv", {"pads": [0, 0, 1, 1]}),
        ("MaxPool", {"pads": [0, 0, 1, 1]}),
        ("Resize", {"mode": "linear"}),
        ("Resize", {"nearest_mode": "ceil"}),
    ],
)
def test_an_unsupported_attribute_is_refused(operator, attribute):
    model = onnx.load(SHIPPED)
    node = next(node for node in model.graph.node if node.op_type == operator)
    (name,) = attribute
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(*one) for one in attribute.items())])
    network = onnx_module.module_of(model)
    with pytest.raises(onnx_operators.OperatorError, match=rf"{operator}.*'onnx-gpu'"):
        network(torch.zeros(1, 3, 640, 640))


def test_an_unknown_operator_is_named():
    model = onnx.load(SHIPPED)
    (last,) = [node for node in model.graph.node if "output" in node.output]
    last.op_type = "Einsum"
    with pytest.raises(onnx_operators.OperatorError, match=r"Einsum.*'onnx-gpu'"):
        onnx_module.module_of(model)
