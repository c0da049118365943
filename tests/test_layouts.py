from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from repository import ROOT

from tools import export_onnx
from tools.errors import OnnxError
from tools.served_onnx import read_served_onnx
from tools.yolo_layouts import served
from tools.yolo_layouts.declared import OPSETS

P5, P6 = (8, 16, 32), (8, 16, 32, 64)
OTHER_STRIDES = [(4, 8, 16, 32), (4, 8, 16, 32, 64), (8, 16, 32, 64, 128), (16, 32), (8, 16)]
SQUARE, WIDE = (128, 128), (96, 160)
KINDS = {"v5": "YOLOv5 and YOLOv7", "v8": "YOLOv8, v9, 11", "rows": "YOLOv8 transposed"}


def exported(kind, classes=5, size=SQUARE, *, strides=P5, opset=17, ends=("images", "output0")):
    """A small network with random weights whose outputs have the layout of an exporter."""
    anchors, fields = (3, 5 + classes) if kind == "v5" else (1, 4 + classes)
    rng = np.random.default_rng(classes)
    nodes, levels, weights = [], [], {}
    for stride in strides:
        kernel = rng.normal(0, 3, (anchors * fields, 3, stride, stride)) / stride
        weights[f"kernel{stride}"] = kernel.astype(np.float32)
        levels.append(f"level{stride}")
        nodes += [
            helper.make_node(
                "Conv", [ends[0], f"kernel{stride}"], [f"map{stride}"], strides=[stride, stride]
            ),
            helper.make_node("Reshape", [f"map{stride}", "split"], [f"split{stride}"]),
            helper.make_node("Transpose", [f"split{stride}"], [f"last{stride}"], perm=[0, 1, 3, 2]),
            helper.make_node("Reshape", [f"last{stride}", "rows"], [f"level{stride}"]),
        ]
    height, width = size
    weights |= {
        "split": np.array([0, anchors, fields, -1]),
        "rows": np.array([0, -1, fields]),
        "scale": np.array([width, height, width / 4, height / 4, *[1] * (fields - 4)], np.float32),
    }
    last = "boxes" if kind == "v8" else ends[1]
    nodes += [
        helper.make_node("Concat", levels, ["logits"], axis=1),
        helper.make_node("Sigmoid", ["logits"], ["fractions"]),
        helper.make_node("Mul", ["fractions", "scale"], [last]),
    ]
    if kind == "v8":
        nodes.append(helper.make_node("Transpose", [last], [ends[1]], perm=[0, 2, 1]))
    graph = helper.make_graph(
        nodes,
        "exported",
        [helper.make_tensor_value_info(ends[0], TensorProto.FLOAT, ["batch", 3, *size])],
        [helper.make_tensor_value_info(ends[1], TensorProto.FLOAT, ["batch", "a", "b"])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if kind != "v5":
        ultralytics(model, names=named(classes))
    return model


def named(classes):
    return {class_id: f"kind {class_id}, it's" for class_id in range(classes)}


def ultralytics(model, **metadata):
    """Metadata as Ultralytics writes it: the text of Python literals."""
    stated = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, stated | {key: str(value) for key, value in metadata.items()})
    return model


def noise(batch, size=SQUARE):
    return np.random.default_rng(batch).random((batch, 3, *size), dtype=np.float32)


def run(model, pictures):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: pictures})[0]


def decoded(values, kind, classes):
    """Decode the outputs of an exporter to [b, N, 6] by the definition of their layout."""
    rows = values.swapaxes(1, 2) if kind == "v8" else values
    scores = rows[..., 4:]
    if kind == "v5":
        scores = scores[..., :1] * (1 if classes == 1 else scores[..., 1:])
    x, y, width, height = rows[..., 0], rows[..., 1], rows[..., 2], rows[..., 3]
    columns = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return np.stack([*columns, scores.max(axis=2), scores.argmax(axis=2)], axis=2)


def ends(model):
    return [
        (tensor.name, [dim.dim_param or dim.dim_value for dim in tensor.type.tensor_type.shape.dim])
        for tensor in (*model.graph.input, *model.graph.output)
    ]


def names_of(model):
    return json.loads({entry.key: entry.value for entry in model.metadata_props}["names"])


def assert_serves(model, kind, classes=5, size=SQUARE, *, size_option=None):
    result = served(model, source="best.onnx", size=size_option)
    for batch in (1, 3):
        pictures = noise(batch, size)
        expected = decoded(run(model, pictures), kind, classes)
        np.testing.assert_allclose(run(result, pictures), expected, rtol=1e-5, atol=1e-4)
    assert ends(result) == [
        ("input", ["batch", 3, *size]),
        ("output", ["batch", expected.shape[1], 6]),
    ]
    return result


def also_output(model, name, rank):
    shape = ["batch"] + [None] * (rank - 1)
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def only_outputs(model, *names):
    del model.graph.output[:]
    for name in names:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model


def followed_by(model, operator, last="last", **weights):
    """Append an operator, whose result becomes the output."""
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(array), name))
    output = model.graph.output[0].name
    model.graph.node.append(helper.make_node(operator, [output, *weights], [last]))
    return only_outputs(model, last)


@pytest.mark.parametrize("size", [SQUARE, WIDE])
@pytest.mark.parametrize("classes", [1, 5, 80])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layout_is_converted_to_rows(kind, classes, size):
    assert_serves(exported(kind, classes, size), kind, classes, size)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fourth_stride_is_supported(kind):
    model = exported(kind, size=(128, 192), strides=P6)
    assert_serves(model, kind, size=(128, 192))
    # YOLOv9 also outputs its raw maps, [b, channels, y, x].
    for stride in P6:
        also_output(model, f"map{stride}", rank=4)
    assert_serves(model, kind, size=(128, 192))


@pytest.mark.parametrize("strides", OTHER_STRIDES)
@pytest.mark.parametrize("kind", KINDS)
def test_other_strides_are_supported(kind, strides):
    # ultralytics/ultralytics#3779: the number of boxes is that of the cells.
    assert_serves(exported(kind, strides=strides), kind)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("kind", ["v5", "v8"])
def test_the_opset_is_kept_and_has_all_appended_operators(kind, opset):
    result = assert_serves(exported(kind, opset=opset), kind)
    assert [(entry.domain, entry.version) for entry in result.opset_import] == [("", opset)]


def test_the_source_is_not_changed():
    model = exported("v8")
    before = model.SerializeToString()
    served(model, source="best.onnx")
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    "text",
    [
        "{0: \"driver's cab\", 1: 'b'}",  # Ultralytics
        '{"0": "driver\'s cab", "1": "b"}',  # The same as JSON
        "[\"driver's cab\", 'b']",  # Old YOLOv5
        '["driver\'s cab", "b"]',  # This project
        '["driver\\u0027s cab", "b"]',
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_class_names_are_read_in_every_format(kind, text):
    result = served(ultralytics(exported(kind, 2), names=text), source="best.onnx")
    assert names_of(result) == ["driver's cab", "b"]


def test_other_metadata_such_as_the_license_is_kept():
    model = ultralytics(exported("v8"), license="AGPL-3.0", task="detect")
    metadata = {entry.key: entry.value for entry in served(model, source="").metadata_props}
    assert metadata["license"] == "AGPL-3.0"
    assert metadata["task"] == "detect"


def test_class_names_of_the_caller_replace_those_in_the_file():
    assert names_of(served(exported("v8", 2), source="", names=["a", "b"])) == ["a", "b"]
    assert names_of(served(exported("v5", 2), source="", names=["a", "b"])) == ["a", "b"]


def test_without_class_names_the_file_has_none():
    result = served(exported("v5"), source="")
    assert "names" not in {entry.key for entry in result.metadata_props}


def with_raw_maps(model, fields):
    """Add raw maps as YOLOv5 and YOLOv7 do: [b, anchors, y, x, values] of each stride."""
    graph = model.graph
    for stride in P5:
        shape = np.array([0, 3, fields, SQUARE[0] // stride, SQUARE[1] // stride])
        graph.initializer.append(numpy_helper.from_array(shape, f"shape{stride}"))
        graph.node.append(
            helper.make_node("Reshape", [f"map{stride}", f"shape{stride}"], [f"split_map{stride}"])
        )
        graph.node.append(
            helper.make_node(
                "Transpose", [f"split_map{stride}"], [f"raw{stride}"], perm=[0, 1, 3, 4, 2]
            )
        )
        also_output(model, f"raw{stride}", rank=5)
    return model


def test_raw_maps_are_removed_with_the_operators_that_only_they_need():
    plain = exported("v5")
    result = assert_serves(with_raw_maps(exported("v5"), 10), "v5")
    assert result == served(plain, source="")


def test_a_graph_that_follows_the_contract_keeps_its_results():
    model = onnx.load(ROOT / "yolov7_fp16" / "1" / "model.onnx")
    result = served(model, source="")
    assert result.graph.node == model.graph.node
    assert result.graph.initializer == model.graph.initializer
    assert ends(result) == ends(model)


def renamed_ends(model, first, last):
    """Rename the input and the output."""
    graph = model.graph
    graph.node.insert(0, helper.make_node("Identity", [first], [graph.input[0].name]))
    graph.node.append(helper.make_node("Identity", [graph.output[0].name], [last]))
    graph.input[0].name, graph.output[0].name = first, last
    return model


def test_the_contract_is_recognized_with_other_names():
    model = served(exported("v8"), source="")
    before = run(model, noise(3))
    # 'input' and 'output' are now names of inner tensors.
    result = served(renamed_ends(model, "images", "output0"), source="")
    np.testing.assert_array_equal(run(result, noise(3)), before)
    assert [name for name, _ in ends(result)] == ["input", "output"]


@pytest.mark.parametrize(("kind", "classes"), [("v5", 1), ("rows", 2)])
def test_six_values_per_row_with_the_names_of_the_contract_need_not_follow_it(kind, classes):
    assert_serves(exported(kind, classes, ends=("input", "output")), kind, classes)


def set_constant(model, name, values):
    (weight,) = [weight for weight in model.graph.initializer if weight.name == name]
    weight.CopyFrom(numpy_helper.from_array(np.array(values), name))
    return model


def scaled(model, *scale):
    """Multiply the first values of each box by these factors."""
    (weight,) = [weight for weight in model.graph.initializer if weight.name == "scale"]
    values = np.ones(weight.dims, np.float32)
    values[: len(scale)] = scale
    return set_constant(model, "scale", values)


def test_a_class_probability_that_is_always_zero_is_no_class_id():
    model = scaled(exported("v5", 1, ends=("input", "output")), 128, 128, 32, 32, 1, 0)
    assert (run(model, noise(3))[..., 5] == 0).all()
    assert_serves(model, "v5", 1)


def test_with_its_names_the_contract_may_have_any_number_of_rows():
    model = served(exported("v8"), source="")
    (concat,) = [node for node in model.graph.node if "output" in node.output]
    concat.output[0] = model.graph.output[0].name = "all"
    model = followed_by(model, "Slice", "output", start=[0], end=[300], axis=[1])
    assert ends(served(model, source=""))[1] == ("output", ["batch", 300, 6])


def test_inner_tensors_may_have_the_names_of_the_input_and_the_output():
    model = renamed_ends(exported("v8", ends=("input", "output")), "images", "output0")
    assert_serves(model, "v8")


def dynamic_size(model):
    for dim, name in zip(
        model.graph.input[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True
    ):
        dim.dim_param = name
    model.graph.value_info.append(
        helper.make_tensor_value_info("map8", TensorProto.FLOAT, ["batch", None, "height/8", "w"])
    )
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_a_dynamic_size_becomes_that_in_the_metadata(kind):
    model = ultralytics(dynamic_size(exported(kind, size=WIDE)), imgsz=list(WIDE))
    result = assert_serves(model, kind, size=WIDE)
    assert "height" not in str(result.graph.value_info)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dynamic_size_becomes_that_of_the_caller(kind):
    model = ultralytics(dynamic_size(exported(kind)), imgsz=list(WIDE))
    assert_serves(model, kind, size_option=SQUARE)


def in_a_branch(model):
    """Move the last operator into a branch that reads tensors of the outer graph."""
    graph = model.graph
    last = graph.node.pop()
    output = graph.output[0].name
    assert list(last.output) == [output]
    branches = {}
    for branch in ("then_branch", "else_branch"):
        inner = onnx.NodeProto()
        inner.CopyFrom(last)
        inner.output[0] = f"{branch}_boxes"
        picture = helper.make_node("Identity", [graph.input[0].name], [f"{branch}_unused"])
        result = helper.make_tensor_value_info(inner.output[0], TensorProto.FLOAT, None)
        branches[branch] = helper.make_graph([picture, inner], branch, [], [result])
    graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    graph.node.append(helper.make_node("If", ["yes"], [output], **branches))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_that_branches_read_are_kept_and_renamed(kind):
    assert_serves(in_a_branch(exported(kind)), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_listed_as_inputs_are_no_inputs(kind):
    model = with_raw_maps(exported(kind), 10) if kind == "v5" else exported(kind)
    for weight in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
        )
    result = served(model, source="")
    pictures = noise(3)
    expected = decoded(run(model, pictures), kind, 5)
    np.testing.assert_allclose(run(result, pictures), expected, rtol=1e-5, atol=1e-4)
    weights = {weight.name for weight in result.graph.initializer}
    assert {tensor.name for tensor in result.graph.input} - weights == {"input"}


def refusal(model, **options):
    """The error message, which must contain the outputs and the supported exports."""
    with pytest.raises(OnnxError) as error:
        served(model, source="models/best.onnx", **options)
    message = str(error.value)
    assert message.startswith("models/best.onnx cannot be served: ")
    assert "\n" not in message
    for tensor in (*model.graph.input, *model.graph.output):
        assert f"'{tensor.name}'" in message
    assert f"opset {model.opset_import[0].version}. Exports that can be served: " in message
    return message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_refused(kind, batch):
    model = exported(kind)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    message = refusal(model)
    assert f"its batch is fixed to {batch}: export it with a dynamic batch" in message
    assert "--dynamic-batch" in message


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_is_only_declared_as_dynamic_is_refused(kind):
    fields = 10 if kind == "v5" else 9
    # A reshape joins the boxes of all pictures, or fixes the batch to one picture.
    assert "2 pictures give 'output0' [1, " in refusal(
        set_constant(exported(kind), "rows", [1, -1, fields])
    )
    anchors = 3 if kind == "v5" else 1
    cells = (SQUARE[0] // 8) * (SQUARE[1] // 8)
    assert "does not run on 2 pictures at once: " in refusal(
        set_constant(exported(kind), "split", [1, anchors, fields, cells])
    )


@pytest.mark.parametrize("opset", [10, 21])
def test_an_unsupported_opset_is_refused(opset):
    message = refusal(exported("v8", opset=opset))
    assert f"opset {opset} is not among 11 to 20: export it with opset 17" in message


@pytest.mark.parametrize("task", ["segment", "pose", "obb", "classify"])
def test_other_tasks_are_refused_by_name(task):
    message = refusal(ultralytics(exported("v8", 80), task=task))
    assert f"its task is '{task}', not 'detect'" in message
    assert "such as yolo11n.pt instead of yolo11n-" in message


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_do_not_fit_the_classes_are_refused_with_both_numbers(kind):
    message = refusal(ultralytics(exported(kind, 5), names=named(3)))
    assert "3 class names do not fit 5 classes in 'output0'" in message
    assert "7 class names do not fit 5 classes" in refusal(exported(kind, 5), names=["a"] * 7)


@pytest.mark.parametrize(
    "text", ["{1: 'a', 2: 'b'}", "{0: 'a', 1: None}", "{[]: 'a'}", "a, b", "__import__('os')"]
)
def test_invalid_names_are_refused(text):
    assert f"its class names are {text!r}" in refusal(ultralytics(exported("v8", 2), names=text))


def test_rows_of_boxes_need_names_to_distinguish_yolov8_from_yolov6_and_yolox():
    model = exported("rows", 81)
    helper.set_model_props(model, {})
    message = refusal(model)
    assert "it may hold 81 classes in 'output0' as YOLOv8, v9 or 11, transposed writes" in message
    assert (
        "or 80 classes in 'output0' as YOLOv6 or YOLOX writes them: give the class names" in message
    )
    assert "as YOLOv6 or YOLOX writes it" in refusal(model, names=list(named(80)))


def test_a_shape_that_fits_two_layouts_is_refused():
    # There are 64 + 16 + 4 cells, and as many values per box.
    message = refusal(exported("v8", 80, size=(64, 64)))
    assert "it may hold 80 classes in 'output0' as YOLOv8, v9 or 11 writes them or 80" in message


def test_two_outputs_that_fit_are_refused():
    model = exported("v8")
    model.graph.node.append(helper.make_node("Identity", ["output0"], ["output1"]))
    also_output(model, "output1", rank=3)
    assert "classes in 'output1'" in refusal(model)


def with_masks(model):
    masks = helper.make_node(
        "AveragePool", ["images"], ["masks"], kernel_shape=[4, 4], strides=[4, 4]
    )
    model.graph.node.append(masks)
    also_output(model, "masks", rank=4)
    return model


def test_masks_are_refused_without_metadata():
    model = with_masks(exported("v8", 37))
    assert "its output 'masks' has masks" in refusal(model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_segmentation_model_is_recognized_with_any_names(kind):
    # YOLOv5's export: 32 more values per box, as many names as classes, no metadata 'task'.
    message = refusal(with_masks(exported(kind, 35)), names=["a", "b", "c"])
    assert "'masks' has masks, so it is a segmentation model" in message
    message = refusal(exported(kind, 35), names=["a", "b", "c"])
    assert "If 3 is right, the 32 further values are those of a segmentation model" in message


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (1, "the 1 further value is the angle of an oriented-box (OBB) model"),
        (51, "the 51 further values may be the keypoints of a pose model"),
        (34, "the 34 further values may be the keypoints of a pose model"),
    ],
)
def test_values_beyond_the_classes_are_named(more, what):
    assert f"If 1 is right, {what}" in refusal(exported("v8", 1 + more), names=["person"])
    assert "is right" not in refusal(exported("v8", 1), names=["a", "b"])


def test_a_classifier_is_recognized():
    model = followed_by(exported("v8"), "ReduceMean", axes=[2])
    model.graph.node[-1].CopyFrom(
        helper.make_node("ReduceMean", ["output0"], ["last"], axes=[2], keepdims=0)
    )
    assert "'last' has 9 values per picture, so it is a classification model" in refusal(model)


def test_a_model_with_a_value_for_each_pixel_is_no_detector():
    model = exported("v8")
    model.graph.node.append(helper.make_node("Sigmoid", ["images"], ["pixels"]))
    assert "a model of semantic segmentation, or of depth" in refusal(only_outputs(model, "pixels"))


def sliced(model, source, name, start, end, axis):
    bounds = {f"{name}_start": [start], f"{name}_end": [end], f"{name}_axis": [axis]}
    for key, value in bounds.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value), key))
    model.graph.node.append(helper.make_node("Slice", [source, *bounds], [name]))
    return model


def test_separate_boxes_and_scores_are_named():
    # Deci-AI/super-gradients#1301 and ultralytics/yolov3#494: [b, 8400, 4] and [b, 8400, 80].
    model = sliced(exported("rows", 80), "output0", "boxes", 0, 4, 2)
    sliced(model, "output0", "scores", 4, 84, 2)
    message = refusal(only_outputs(model, "boxes", "scores"))
    assert "boxes in 'boxes' and their scores in 'scores', as YOLO-NAS" in message


@pytest.mark.parametrize("classes", [80, 2])
def test_the_boxes_of_a_transformer_are_named(classes):
    # RT-DETR of Ultralytics has centers and sizes in 0..1: [b, 300, 4 + classes]; [b, 300, 6]
    # since 8.4.
    model = sliced(exported("rows", classes), "output0", "queries", 0, 300, 1)
    message = refusal(only_outputs(model, "queries"))
    assert f"'queries' has 300 boxes of {4 + classes} values, whatever the size" in message
    assert "RT-DETR" in message


def test_an_input_for_a_scale_factor_is_named_with_the_option_to_leave_it_out():
    # PaddlePaddle/PaddleDetection#6996
    model = exported("v8")
    model.graph.input.append(
        helper.make_tensor_value_info("scale_factor", TensorProto.FLOAT, ["batch", 2])
    )
    assert "it has 2 inputs instead of one: export it so that it takes" in refusal(model)


def test_a_dynamic_size_may_be_written_as_minus_one():
    # PaddlePaddle/Paddle2ONNX#901
    model = ultralytics(exported("v8"), imgsz=list(SQUARE))
    for index in (0, 2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[index].dim_value = -1
    assert ends(served(model, source=""))[0] == ("input", ["batch", 3, *SQUARE])


def test_the_rows_of_the_exporter_of_deepstream_yolo_are_those_of_the_contract():
    # marcoslucianops/DeepStream-Yolo#595: 'output' [b, 25200, 6], corners, score and label.
    model = served(exported("v5", ends=("pictures", "raw")), source="")
    assert ends(served(model, source="")) == ends(model)


def test_raw_maps_alone_are_refused():
    maps = [f"map{stride}" for stride in P5]
    assert "2 pictures give 'map8' [2, 30, 16, 16], " in refusal(
        only_outputs(exported("v5"), *maps)
    )
    raw = [f"raw{stride}" for stride in P5]
    message = refusal(only_outputs(with_raw_maps(exported("v5"), 10), *raw))
    assert "has 336 or 1008 boxes for 128x128 pixels (height x width)" in message
    assert "2 pictures give 'raw8' [2, 3, 16, 16, 10], " in message
    assert "--grid" in message


@pytest.mark.parametrize("kept", [100, 300])
def test_outputs_after_non_maximum_suppression_are_refused(kept):
    model = renamed_ends(served(exported("v8"), source=""), "images", "output0")
    model = followed_by(model, "Slice", start=[0], end=[kept], axis=[1])
    # ultralytics/ultralytics#20944
    message = refusal(model)
    assert f"'last' has {kept} boxes per picture: it suppresses overlapping boxes itself" in message
    assert "nms=False, and for YOLOv10 and YOLO26 end2end=False" in message


@pytest.mark.parametrize("shape", [[-1, 7], [-1, 1, 7]])
def test_joint_rows_of_all_pictures_are_refused(shape):
    # YOLOv7 --end2end: picture, box, class, score.
    message = refusal(followed_by(exported("v8", 3), "Reshape", shape=shape))
    assert "2 pictures give 'last' [672, " in message


def test_suppression_in_the_graph_is_named():
    expected = "it suppresses overlapping boxes itself"
    assert expected in refusal(ultralytics(exported("v8"), end2end=True))
    assert expected in refusal(ultralytics(exported("v8"), args={"dynamic": True, "nms": True}))
    plugin = exported("v5")
    plugin.graph.node.append(helper.make_node("EfficientNMS_TRT", ["output0"], ["num_dets"]))
    assert expected in refusal(only_outputs(plugin, "num_dets"))


def test_metadata_without_suppression_is_supported():
    model = ultralytics(exported("v8"), end2end=False, args={"dynamic": True, "nms": False})
    assert_serves(model, "v8")


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_no_probabilities_are_refused(kind):
    model = exported(kind)
    (sigmoid,) = [node for node in model.graph.node if node.op_type == "Sigmoid"]
    sigmoid.op_type = "Identity"
    message = refusal(model)
    assert "what should be probabilities in 'output0' is from -" in message
    assert "not within 0..1" in message


@pytest.mark.parametrize("size", [SQUARE, WIDE])
@pytest.mark.parametrize("reach", [1.0, 1.05])
@pytest.mark.parametrize("kind", KINDS)
def test_boxes_in_0_to_1_are_scaled_to_pixels(kind, reach, size):
    # ultralytics/yolov3#1163, ultralytics/ultralytics#19163. Boxes at the borders extend beyond 1.
    model = scaled(exported(kind, size=size), reach, reach, 0.3, 0.3)
    result = served(model, source="")
    for batch in (1, 3):
        expected = decoded(run(model, noise(batch, size)), kind, 5)
        expected[..., :4] *= [size[1], size[0], size[1], size[0]]
        np.testing.assert_allclose(run(result, noise(batch, size)), expected, rtol=1e-5, atol=1e-4)
    assert ends(result)[1] == ("output", ["batch", expected.shape[1], 6])


@pytest.mark.parametrize("size", [SQUARE, WIDE])
def test_rows_of_the_contract_in_0_to_1_are_scaled_to_pixels(size):
    whole = served(exported("v8", size=size), source="")
    height, width = size
    parts = np.array([1 / width, 1 / height, 1 / width, 1 / height, 1, 1], np.float32)
    model = followed_by(renamed_ends(whole, "images", "output0"), "Mul", parts=parts)
    result = served(model, source="")
    pictures = noise(3, size)
    expected = run(served(exported("v8", size=size), source=""), pictures)
    np.testing.assert_allclose(run(result, pictures), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_that_are_not_centers_and_sizes_in_pixels_are_refused(kind):
    assert "the centers in 'output0' end at " in refusal(scaled(exported(kind), 16, 16, 16, 16))
    # Five classes, and the number of classes that gives six values as in the contract.
    for classes in (5, 1 if kind == "v5" else 2):
        corners = scaled(exported(kind, classes), 0.001, 0.001, 128, 128)
        assert "the boxes in 'output0' are corners" in refusal(corners)


def test_rows_of_the_contract_with_confidence_in_percent_are_refused():
    percent = np.array([1, 1, 1, 1, 100, 1], np.float32)
    model = followed_by(served(exported("v8"), source=""), "Mul", percent=percent)
    assert "probabilities in 'last'" in refusal(model, names=["a", "b"])


@pytest.mark.parametrize(
    ("kind", "message"),
    [(TensorProto.FLOAT16, "'images' float16 ["), (TensorProto.UINT8, "'images' uint8 [")],
)
def test_other_types_of_input_are_refused(kind, message):
    model = exported("v8")
    model.graph.input[0].type.tensor_type.elem_type = kind
    assert f"its input is {message}" in refusal(model)


@pytest.mark.parametrize("as_constant", [False, True])
@pytest.mark.parametrize(
    "steps",
    [
        [("Div", 255.0)],
        [("Mul", 1 / 255)],
        [("Sub", [[[123.7]], [[116.3]], [[103.5]]]), ("Div", [[[58.4]], [[57.1]], [[57.4]]])],
    ],
)
def test_a_graph_that_scales_levels_itself_is_refused(steps, as_constant):
    assert "pictures of levels 0..255" in refusal(preceded_by(exported("v8"), steps, as_constant))


@pytest.mark.parametrize("operator", ["Sub", "Div", "Mul"])
def test_a_graph_that_normalizes_from_0_to_1_is_served(operator):
    steps = [(operator, [[[0.45]], [[0.4]], [[0.5]]])]
    assert_serves(preceded_by(exported("v8"), steps, False), "v8")


def preceded_by(model, steps, as_constant):
    """Insert operators before the first one, which change the pictures."""
    name, nodes = "pictures", []
    for number, (operator, value) in enumerate(steps):
        tensor = numpy_helper.from_array(np.array(value, np.float32), f"value{number}")
        if as_constant:
            nodes.append(helper.make_node("Constant", [], [tensor.name], value=tensor))
        else:
            model.graph.initializer.append(tensor)
        result = "images" if number == len(steps) - 1 else f"step{number}"
        nodes.append(helper.make_node(operator, [name, tensor.name], [result]))
        name = result
    nodes += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input[0].name = "pictures"
    return model


def test_another_type_of_output_is_refused():
    model = exported("v8")
    (last,) = [node for node in model.graph.node if "output0" in node.output]
    last.output[0] = "wide"
    half = helper.make_node("Cast", ["wide"], ["output0"], to=TensorProto.FLOAT16)
    model.graph.node.append(half)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert "'output0' float16 [" in refusal(model)


def test_other_shapes_of_input_are_refused():
    model = exported("v8")
    model.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 128, 128, 3])
    )
    message = refusal(model)
    assert "its input is ['batch', 128, 128, 3], not [b, 3, height, width]" in message


def test_a_second_input_is_refused():
    model = exported("v8")
    model.graph.input.append(helper.make_tensor_value_info("size", TensorProto.FLOAT, [2]))
    assert "it has 2 inputs instead of one" in refusal(model)


def test_a_size_that_is_no_multiple_of_the_strides_is_refused():
    model = exported("v8", size=(120, 128))
    message = refusal(model)
    assert "its input is 120x128 pixels (height x width): export it for multiples of 32" in message


def test_a_dynamic_size_without_a_value_is_refused():
    assert "its height is dynamic" in refusal(dynamic_size(exported("v8")))
    assert "its height is dynamic" in refusal(ultralytics(dynamic_size(exported("v8")), imgsz="?"))


def test_a_size_other_than_that_of_the_graph_is_refused():
    message = refusal(exported("v8"), size=(128, 160))
    assert "its input has 128 pixels where --size asks for 160" in message
    assert "(--size is height x width, here 128x160)" in message


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_tool_converts_an_exported_file_for_installation(kind, half, tmp_path, capsys):
    source, output = tmp_path / "best.onnx", tmp_path / "served.onnx"
    labels = tmp_path / "labels.txt"
    onnx.save(exported(kind), source)
    labels.write_text("".join(f"thing {number}\n" for number in range(5)))
    export_onnx.main([str(source), str(output), "--labels", str(labels), *["--half"] * half])
    written = read_served_onnx(output)
    assert (written.height, written.width) == SQUARE
    assert written.names == tuple(labels.read_text().splitlines())
    captured = capsys.readouterr()
    assert "picture alone differ by 0.0" in captured.err
    assert ("float16 and float32" in captured.err) is half
    assert f"{written.rows} rows of 5 classes" in captured.out
    expected = decoded(run(exported(kind), noise(2)), kind, 5)
    close = 0.5 if half else 1e-3
    np.testing.assert_allclose(
        run(onnx.load(output), noise(2))[..., :4], expected[..., :4], atol=close
    )


def test_the_tool_has_an_option_for_a_dynamic_size(tmp_path):
    model = exported("v5")
    for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "side"
    onnx.save(model, tmp_path / "best.onnx")
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\nd\ne\n")
    arguments = [str(tmp_path / name) for name in ("best.onnx", "served.onnx")]
    with pytest.raises(SystemExit) as end:
        export_onnx.main([*arguments, "--labels", str(labels)])
    assert end.value.code == OnnxError.exit_code
    export_onnx.main([*arguments, "--labels", str(labels), "--size", str(SQUARE[0])])
    assert read_served_onnx(tmp_path / "served.onnx").width == SQUARE[1]


def test_the_size_is_given_as_height_and_width(tmp_path, capsys):
    onnx.save(dynamic_size(exported("v8", size=WIDE)), tmp_path / "best.onnx")
    arguments = [str(tmp_path / name) for name in ("best.onnx", "served.onnx")]
    export_onnx.main([*arguments, "--size", f"{WIDE[0]}x{WIDE[1]}"])
    written = read_served_onnx(tmp_path / "served.onnx")
    assert (written.height, written.width) == WIDE
    assert f"for pictures of {WIDE[0]}x{WIDE[1]} (height x width)" in capsys.readouterr().out


@pytest.mark.parametrize("size", ["", "x640", "640x", "640x650", "-32", "1x2x3", "0x32", "big"])
def test_an_invalid_size_is_refused_with_the_expected_format(size, capsys):
    with pytest.raises(SystemExit) as end:
        export_onnx.main(["best.onnx", "served.onnx", f"--size={size}"])
    assert end.value.code == 2
    assert "must be HEIGHTxWIDTH, such as 384x640" in capsys.readouterr().err
