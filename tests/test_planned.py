"""Plans that are carried out on the CPU give the rows of ONNX Runtime."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from planned_cpu import Interpreter
from repository import ROOT
from test_layouts import KINDS, SQUARE, WIDE, exported, noise
from version_folder import part

from tools.yolo_layouts import served

half = part("yolov7_fp16", "half")
errors, placement, planner, plans = (
    part("yolov7_fp16", f"planned.{name}") for name in ("errors", "placement", "planner", "plan")
)
SHIPPED = ROOT / "yolov7_fp16" / "1" / "model.onnx"


def by_onnx_runtime(model, pictures):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["output"], {"input": pictures})[0]


def planned(model, size=(640, 640)):
    return planner.plan_of(half.to_fp16(model), names=("input", "output"), image_shape=(3, *size))


def carried_out(plan, pictures, folder):
    return Interpreter(plan, len(pictures), folder).run(pictures)


def test_the_shipped_network(tmp_path):
    model, pictures = onnx.load(SHIPPED), noise(2, (640, 640))
    expected = by_onnx_runtime(model, pictures)
    found = carried_out(planned(model), pictures, tmp_path)
    in_half = by_onnx_runtime(half.to_fp16(model), pictures)
    # About as far away as ONNX Runtime's own float16, which rounds at other places.
    for columns in (slice(4), 4):
        error, usual = (
            np.abs(rows[..., columns] - expected[..., columns]) for rows in (found, in_half)
        )
        assert error.mean() <= 1.5 * usual.mean()
        assert error.max() <= 3 * usual.max()
    assert (found[..., 5] != expected[..., 5]).mean() < 0.01


@pytest.mark.parametrize("size", [SQUARE, WIDE])
@pytest.mark.parametrize("classes", [1, 5, 80])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layout(kind, classes, size, tmp_path):
    model = served(exported(kind, classes, size), source="")
    pictures = noise(3, size)
    expected = by_onnx_runtime(half.to_fp16(model), pictures)
    found = carried_out(planned(model, size), pictures, tmp_path)
    # The network has one convolution, which sums in another order, and float32 after it.
    np.testing.assert_allclose(found[..., :4], expected[..., :4], rtol=0, atol=0.2)
    np.testing.assert_allclose(found[..., 4], expected[..., 4], rtol=0, atol=2e-3)
    assert (found[..., 5] != expected[..., 5]).mean() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_of_equally_likely_classes_counts(kind, tmp_path):
    model = served(exported(kind), source="")
    for tensor in model.graph.initializer:
        if tensor.name.startswith("kernel"):
            array = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(array), tensor.name))
    found = carried_out(planned(model, SQUARE), noise(1), tmp_path)
    assert set(found[..., 5].flat) == {0}


class Small:
    """A network of a few operators, whose last map becomes the rows of the output."""

    def __init__(self, side=16):
        self.rng = np.random.default_rng(0)
        self.side, self.nodes, self.weights = side, [], {}

    def node(self, operator, *inputs, outputs=1, **attributes):
        names = [f"t{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def weight(self, array):
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(array)
        return name

    def conv(self, source, channels, before, *, kernel=1, **attributes):
        shape = (channels, before, kernel, kernel)
        filters = self.rng.normal(0, 1, shape) / np.sqrt(before) / kernel
        bias = self.rng.normal(0, 0.5, channels)
        names = [self.weight(array.astype(np.float32)) for array in (filters, bias)]
        attributes.setdefault("pads", [kernel // 2] * 4)
        return self.node("Conv", source, *names, **attributes)

    def silu(self, source):
        return self.node("Mul", source, self.node("Sigmoid", source))

    def model(self, last, channels):
        head = self.conv(last, 6, channels)
        flat = self.node("Reshape", head, self.weight(np.array([0, 6, -1])))
        rows = self.node("Transpose", flat, perm=[0, 2, 1])
        self.nodes[-1].output[0] = "output"
        del rows
        image = ["batch", 3, self.side, self.side]
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", None, 6])],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def assert_computed(small, last, channels, folder, **counts):
    """Check the rows, and the number of launches of each kind."""
    model, pictures = small.model(last, channels), noise(2, (small.side, small.side))
    plan = planned(model, (small.side, small.side))
    found = carried_out(plan, pictures, folder)
    expected = by_onnx_runtime(model, pictures)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.02)
    assert np.abs(expected).max() > 0.5
    names = [type(launch).__name__ for launch in plan.launches]
    assert {name: names.count(name) for name in counts} == counts
    return plan


def test_activations_are_fused_into_the_convolution(tmp_path):
    small = Small()
    last = small.silu(small.conv("input", 16, 3, kernel=3))
    last = small.node("LeakyRelu", small.conv(last, 16, 16), alpha=0.2)
    last = small.node("Relu", small.conv(last, 16, 16))
    last = small.node("Sigmoid", small.conv(last, 16, 16, kernel=3, strides=[2, 2]))
    plan = assert_computed(small, last, 16, tmp_path, Convolution=5)
    kinds = [one.activation for one in plan.launches if isinstance(one, plans.Convolution)]
    assert kinds == ["silu", "leaky", "relu", "sigmoid", "none"]


def test_an_addition_is_fused_into_the_convolution(tmp_path):
    small = Small()
    first = small.silu(small.conv("input", 16, 3))
    later = small.silu(small.conv(first, 16, 16))
    last = small.node("Add", first, small.silu(small.conv(later, 16, 16)))
    assert_computed(small, last, 16, tmp_path, Convolution=4, Add=0)


def test_a_map_with_another_reader_is_added_by_a_launch_of_its_own(tmp_path):
    small = Small()
    one = small.conv("input", 16, 3)
    other = small.conv(one, 16, 16)
    total = small.node("Add", one, other)
    last = small.node("Concat", small.conv(total, 16, 16), small.conv(other, 16, 16), axis=1)
    assert_computed(small, last, 32, tmp_path, Convolution=5, Add=1)


def test_the_inputs_of_a_concatenation_are_written_into_it(tmp_path):
    small = Small()
    first = small.conv("input", 8, 3)
    inner = small.node("Concat", small.conv(first, 16, 8), first, axis=1)
    outer = small.node("Concat", small.conv(inner, 8, 24), inner, axis=1)
    plan = assert_computed(small, outer, 32, tmp_path, Convolution=4, Upsample=0)
    assert [buffer.channels for buffer in plan.buffers] == [8, 32, 8]


def test_a_map_in_two_concatenations_is_copied_into_the_second(tmp_path):
    small = Small()
    first = small.conv("input", 8, 3)
    one = small.node("Concat", first, small.conv(first, 8, 8), axis=1)
    two = small.node("Concat", small.conv(one, 8, 16), first, first, axis=1)
    assert_computed(small, two, 24, tmp_path, Convolution=4, Upsample=2)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_convolutions_that_write_adjacent_channels_are_merged(order, tmp_path):
    small = Small()
    first = small.conv("input", 8, 3)
    branches = [small.silu(small.conv(first, channels, 8)) for channels in (8, 16, 24)]
    later = small.silu(small.conv(branches[1], 8, 16))
    last = small.node("Concat", *(branches[number] for number in order), later, axis=1)
    assert_computed(small, last, 56, tmp_path, Convolution=4)


def test_convolutions_with_other_settings_are_not_merged(tmp_path):
    small = Small()
    first = small.conv("input", 8, 3)
    plain, bent = small.conv(first, 8, 8), small.silu(small.conv(first, 8, 8))
    wide = small.conv(first, 8, 8, kernel=3)
    last = small.node("Concat", bent, plain, wide, axis=1)
    assert_computed(small, last, 24, tmp_path, Convolution=5)


def test_parts_of_a_split_map_are_not_copied(tmp_path):
    small = Small()
    whole = small.conv("input", 32, 3)
    one, two = small.node("Split", whole, small.weight(np.array([16, 16])), outputs=2, axis=1)
    more = small.conv(two, 16, 16)
    last = small.node("Concat", one, two, more, axis=1)
    assert_computed(small, last, 48, tmp_path, Convolution=3, Upsample=0)


def test_parts_of_a_split_map_in_another_order_are_copied(tmp_path):
    small = Small()
    whole = small.conv("input", 32, 3)
    one, two = small.node("Split", whole, small.weight(np.array([16, 16])), outputs=2, axis=1)
    last = small.node("Concat", two, one, axis=1)
    assert_computed(small, last, 32, tmp_path, Upsample=2)


def test_a_slice_of_channels_is_not_copied(tmp_path):
    small = Small()
    whole = small.conv("input", 32, 3)
    numbers = [small.weight(np.array([number])) for number in (8, 24, 1)]
    last = small.conv(small.node("Slice", whole, *numbers), 16, 16, kernel=3)
    assert_computed(small, last, 16, tmp_path, Convolution=3, Upsample=0)


@pytest.mark.parametrize("order", list(itertools.permutations([5, 9, 13])))
def test_larger_pools_are_computed_from_smaller_ones(order, tmp_path):
    small = Small()
    first = small.conv("input", 8, 3)
    pools = [
        small.node("MaxPool", first, kernel_shape=[side] * 2, pads=[side // 2] * 4)
        for side in order
    ]
    last = small.node("Concat", first, *pools, axis=1)
    plan = assert_computed(small, last, 32, tmp_path, Pool=3)
    assert {one.kernel for one in plan.launches if isinstance(one, plans.Pool)} == {5}


def test_pools_with_strides_and_upsampling(tmp_path):
    small = Small()
    first = small.conv("input", 16, 3)
    fine = small.conv(first, 16, 16)
    coarse = small.node("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    coarse = small.node("MaxPool", coarse, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    scales = small.weight(np.array([1, 1, 4, 4], np.float32))
    last = small.node("Concat", small.node("Resize", coarse, "", scales), fine, axis=1)
    assert_computed(small, last, 32, tmp_path, Pool=2, Upsample=1)


def test_pads_that_differ_and_dilations(tmp_path):
    small = Small()
    first = small.conv("input", 8, 3, kernel=3, pads=[0, 0, 1, 1], strides=[2, 2])
    last = small.conv(first, 8, 8, kernel=3, pads=[2] * 4, dilations=[2, 2])
    assert_computed(small, last, 8, tmp_path, Convolution=3)


def test_channels_are_filled_up_to_a_multiple_of_8(tmp_path):
    small = Small()
    last = small.silu(small.conv(small.silu(small.conv("input", 5, 3)), 13, 5, kernel=3))
    plan = assert_computed(small, last, 13, tmp_path)
    assert [buffer.channels for buffer in plan.buffers] == [8, 8, 16, 8]


def test_buffers_that_are_needed_at_the_same_time_share_no_memory():
    plan = planned(onnx.load(SHIPPED))
    sizes = [buffer.bytes for buffer in plan.buffers]
    places = placement.place(plan)
    spans = placement.lifetimes(plan)
    pairs = list(itertools.combinations(range(len(sizes)), 2))
    together = [
        (a, b) for a, b in pairs if spans[a][0] <= spans[b][1] and spans[b][0] <= spans[a][1]
    ]
    for a, b in together:
        first, second = sorted((a, b), key=lambda one: places.offsets[one])
        assert places.offsets[first] + sizes[first] <= places.offsets[second]
    assert max(map(sum, zip(places.offsets, sizes, strict=True))) <= places.size
    assert places.size < sum(sizes) / 2


@pytest.mark.parametrize(
    ("operator", "attribute"),
    [
        ("Conv", {"group": 2}),
        ("MaxPool", {"pads": [0, 0, 1, 1]}),
        ("Resize", {"mode": "linear"}),
        ("MaxPool", {"auto_pad": "SAME_UPPER"}),
        ("Resize", {"nearest_mode": "ceil"}),
        ("Concat", {"axis": 2}),
    ],
)
def test_attributes_that_no_launch_supports_are_refused(operator, attribute):
    model = half.to_fp16(onnx.load(SHIPPED))
    node = next(node for node in model.graph.node if node.op_type == operator)
    (name,) = attribute
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(*one) for one in attribute.items())])
    with pytest.raises(errors.PlanError, match=r"'cudnn-gpu' does not support .*'onnx-gpu'"):
        planner.plan_of(model, names=("input", "output"), image_shape=(3, 640, 640))


def test_maps_of_different_shapes_are_not_added(tmp_path):
    small = Small()
    first = small.conv("input", 16, 3)
    one = small.node("MaxPool", first, kernel_shape=[16, 16], strides=[16, 16])
    last = small.node("Add", one, small.conv(first, 16, 16))
    with pytest.raises(errors.PlanError, match="Add of maps with different shapes"):
        planned(small.model(last, 16), (16, 16))


@pytest.mark.parametrize(("scale", "is_planned"), [(2, True), (4, False)])
def test_a_resize_that_does_not_repeat_pixels_is_refused(scale, is_planned, tmp_path):
    small = Small()
    coarse = small.conv("input", 16, 3, strides=[4, 4])
    scales = small.weight(np.array([1, 1, scale, scale], np.float32))
    modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "round_prefer_floor"}
    last = small.node("Resize", coarse, "", scales, **modes)
    if is_planned:
        assert_computed(small, last, 16, tmp_path, Upsample=1)
    else:
        with pytest.raises(errors.PlanError, match="round_prefer_floor"):
            planned(small.model(last, 16), (16, 16))


def test_a_cast_to_integers_is_refused():
    small = Small()
    model = small.model(small.conv("input", 16, 3), 16)
    node = model.graph.node[-1]
    whole = helper.make_node("Cast", node.output, ["whole"], to=TensorProto.INT32)
    back = helper.make_node("Cast", ["whole"], ["output"], to=TensorProto.FLOAT)
    node.output[0] = whole.input[0] = "rows"
    model.graph.node.extend([whole, back])
    with pytest.raises(errors.PlanError, match="Cast to integers"):
        planned(model, (16, 16))


def test_a_softmax_over_several_axes_is_refused():
    small = Small()
    model = small.model(small.conv("input", 16, 3), 16)
    node = model.graph.node[-1]
    node.output[0] = "rows"
    model.graph.node.append(helper.make_node("Softmax", ["rows"], ["output"], axis=1))
    model.opset_import[0].version = 12
    with pytest.raises(errors.PlanError, match="Softmax"):
        planned(model, (16, 16))


def test_an_operator_that_no_launch_computes_is_named():
    small = Small()
    last = small.node("Tanh", small.conv("input", 16, 3))
    with pytest.raises(errors.PlanError, match=r"Tanh.*'onnx-gpu'"):
        planned(small.model(last, 16), (16, 16))
