"""Compares every copy of a fact with its one source, mostly in config.pbtxt."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import onnx
import pytest
import yolostream
from repository import PROFILES, ROOT, config, parameters, tensors
from tritonclient.grpc import model_config_pb2 as pb
from yolostream import errors, interruption
from yolostream.cli import detect_options
from yolostream.client import digest
from yolostream.outputs.results import FORMATS
from yolostream.pipeline.share import MAX_IN_FLIGHT, MAX_IN_FLIGHT_ON_GPU
from yolostream.pipeline.tracking import TrackerLimits
from yolostream.server import embedded
from yolostream.server.gpus import GPU_POOL_BYTES

from tools import errors as tool_errors
from tools.export_commands import ULTRALYTICS, YOLOV5, YOLOV7
from tools.yolo_layouts.declared import OPSETS

DETECTOR = "yolov7_fp16"
STEPS = ("preprocess", DETECTOR, "nms")

CONTRACT_IN = {"frames": (pb.TYPE_UINT8, [-1, -1, 3])}
CONTRACT_OUT = {
    "num_detections": (pb.TYPE_FP32, [1]),
    "detection_boxes": (pb.TYPE_FP32, [300, 4]),
    "detection_scores": (pb.TYPE_FP32, [300]),
    "detection_classes": (pb.TYPE_FP32, [300]),
    "frame_digest": (pb.TYPE_FP32, [2]),
}


def test_the_ensemble_has_the_tensors_of_the_contract():
    ensemble = config("yolov7")
    assert ensemble.platform == "ensemble"
    assert ensemble.max_batch_size > 1
    assert tensors(ensemble.input) == CONTRACT_IN
    assert tensors(ensemble.output) == CONTRACT_OUT
    # DeepStream reads the layout from this field.
    assert ensemble.input[0].format == pb.ModelInput.FORMAT_NHWC


@pytest.mark.parametrize("profile", PROFILES)
def test_both_ends_of_every_tensor_in_the_ensemble_agree(profile):
    ensemble = config("yolov7", profile)
    wires = tensors(ensemble.input)
    for step in ensemble.ensemble_scheduling.step:
        model = config(step.model_name, profile)
        inputs, outputs = tensors(model.input), tensors(model.output)
        assert set(step.input_map) == set(inputs), step.model_name
        assert set(step.output_map) <= set(outputs), step.model_name
        for name, wire in step.input_map.items():
            assert fits(wires[wire], inputs[name]), f"{step.model_name}.{name}"
        wires |= {wire: outputs[name] for name, wire in step.output_map.items()}
        assert model.max_batch_size == ensemble.max_batch_size, step.model_name
    for name, kind in tensors(ensemble.output).items():
        assert wires[name] == kind


def fits(written, read):
    """Whether a step can read a tensor of another step; -1 at the reader accepts any size."""
    (type_, sizes), (read_type, read_sizes) = written, read
    return (
        type_ == read_type
        and len(sizes) == len(read_sizes)
        and all(taken in (-1, size) for size, taken in zip(sizes, read_sizes, strict=True))
    )


@pytest.mark.parametrize("profile", PROFILES[1:])
def test_a_network_in_python_passes_on_the_letterbox(profile):
    ensemble, default = config("yolov7", profile), config("yolov7")
    assert config(DETECTOR, profile).input[1].optional, "other clients call the network alone"
    _, network, nms = ensemble.ensemble_scheduling.step
    assert network.input_map.pop("letterbox") == "letterbox"
    assert network.output_map.pop("letterbox") == nms.input_map["letterbox"] != "letterbox"
    nms.input_map["letterbox"] = "letterbox"
    assert ensemble == default


def test_only_the_number_of_rows_of_nms_is_variable():
    for profile in PROFILES:
        assert tensors(config("nms", profile).input) == {
            "output": (pb.TYPE_FP32, [-1, 6]),
            "letterbox": (pb.TYPE_FP32, [6]),
        }


@pytest.mark.parametrize("model", STEPS)
@pytest.mark.parametrize("profile", PROFILES[1:])
def test_profiles_differ_only_in_how_they_run_a_model(model, profile):
    default, other = config(model), config(model, profile)
    # A network in Python also passes on the letterbox; a TensorRT plan cannot.
    carried = {"letterbox": (pb.TYPE_FP32, [6])} if model == DETECTOR else {}
    assert tensors(other.input) == tensors(default.input) | carried
    assert tensors(other.output) == tensors(default.output) | carried
    assert other.input[0] == default.input[0]
    assert other.output[0] == default.output[0]
    assert other.max_batch_size == default.max_batch_size
    of_gpus = {"FORCE_CPU_ONLY_INPUT_TENSORS", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"}
    shared = {name: value for name, value in parameters(model).items() if name not in of_gpus}
    assert shared.items() <= parameters(model, profile).items()


@pytest.mark.parametrize("profile", ["cudnn-gpu", "torch-gpu"])
def test_preprocess_for_a_faster_network_differs_only_in_its_processes(profile):
    default, other = config("preprocess"), config("preprocess", profile)
    assert other.instance_group[0].count > default.instance_group[0].count
    other.instance_group[0].count = default.instance_group[0].count
    assert other == default


@pytest.mark.parametrize("model", STEPS)
@pytest.mark.parametrize(
    ("profile", "kind"),
    [
        (None, pb.ModelInstanceGroup.KIND_GPU),
        ("onnx-gpu", pb.ModelInstanceGroup.KIND_GPU),
        ("cudnn-gpu", pb.ModelInstanceGroup.KIND_GPU),
        ("torch-gpu", pb.ModelInstanceGroup.KIND_GPU),
        ("cpu", pb.ModelInstanceGroup.KIND_CPU),
    ],
)
def test_instances_run_on_the_device_of_the_profile(model, profile, kind):
    assert [group.kind for group in config(model, profile).instance_group] == [kind]


@pytest.mark.parametrize("model", STEPS)
@pytest.mark.parametrize("profile", PROFILES)
def test_every_step_batches_and_only_the_network_has_a_limited_queue(model, profile):
    settings = config(model, profile)
    assert settings.HasField("dynamic_batching")
    queue_size = settings.dynamic_batching.default_queue_policy.max_queue_size
    if model == DETECTOR:
        assert queue_size >= settings.max_batch_size
    else:
        assert queue_size == 0, "with a limit, Triton 2.51 sometimes delays a request"


@pytest.mark.parametrize("name", ["gpu.py", "pause.py"])
def test_the_copies_of_a_module_in_all_steps_are_equal(name):
    first, *others = ((ROOT / model / "1" / name).read_text() for model in STEPS)
    assert all(other == first for other in others)


def test_the_client_and_preprocess_have_the_same_digest_module():
    assert Path(digest.__file__).read_text() == (ROOT / "preprocess/1/digest.py").read_text()


@pytest.mark.parametrize("profile", PROFILES[:-1])
def test_tensors_stay_on_the_gpu(profile):
    for model in STEPS:
        if config(model, profile).backend == "python":
            assert parameters(model, profile)["FORCE_CPU_ONLY_INPUT_TENSORS"] == "no", model


def test_the_default_profile_serves_a_warmed_up_tensorrt_plan():
    plan = config("yolov7_fp16")
    assert plan.platform == "tensorrt_plan"
    assert max(plan.dynamic_batching.preferred_batch_size) == plan.max_batch_size
    assert plan.dynamic_batching.max_queue_delay_microseconds > 0
    assert {warmup.batch_size for warmup in plan.model_warmup} == {1, plan.max_batch_size}
    for warmup in plan.model_warmup:
        assert list(warmup.inputs["input"].dims) == list(plan.input[0].dims)


def test_thresholds_are_those_of_the_contract():
    assert parameters("nms", "cpu") == {
        "confidence_threshold": "0.25",
        "iou_threshold": "0.45",
        "max_detections": "300",
        "class_agnostic": "false",
    }
    assert TrackerLimits().max_targets == 150
    assert TrackerLimits().min_confidence == float(parameters("nms")["confidence_threshold"])
    assert TrackerLimits().reassociate_s > 0


def test_the_guide_has_the_thresholds_the_opsets_and_the_commands_of_the_code():
    guide = (ROOT.parent / "docs" / "bring_your_own_model.md").read_text()
    for name, value in parameters("nms", "cpu").items():
        assert re.search(rf"^\| `{name}` \| `?{value}\b", guide, re.MULTILINE), name
    assert f"| opset | {OPSETS[0]} to {OPSETS[-1]}, " in guide
    for command in (ULTRALYTICS, YOLOV5, YOLOV7):
        assert f"`{command}`" in guide


def test_labels_are_the_80_of_coco():
    labels = (ROOT / "yolov7" / "labels.txt").read_text()
    assert "\r" not in labels
    names = labels.splitlines()
    assert len(names) == len(set(names)) == 80
    assert [names[i] for i in (0, 1, 2, 3, 5, 7, 79)] == [
        *("person", "bicycle", "car", "motorcycle", "bus", "truck", "toothbrush")
    ]
    labeled = {output.name for output in config("yolov7").output if output.label_filename}
    assert labeled == {"detection_scores"}


def test_the_shipped_model_fits_its_config():
    path = ROOT / "yolov7_fp16" / "1" / "model.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model)
    settings = config("yolov7_fp16", "cpu")
    for declared, actual in (
        (settings.input, model.graph.input),
        (settings.output, model.graph.output),
    ):
        tensor, (value,) = declared[0], actual
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        assert value.name == tensor.name
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert shape[1:] == list(tensor.dims)
        assert value.type.tensor_type.shape.dim[0].dim_param, "the batch must be dynamic"
    assert path.stat().st_size < 8_000_000


def test_choices_on_the_command_line_are_those_of_the_library():
    assert tuple(detect_options.Save) == FORMATS


def test_every_profile_on_the_command_line_has_its_configs():
    for profile in typing.get_args(embedded.Profile):
        assert (ROOT / DETECTOR / "configs" / f"{profile}.pbtxt").exists()
        # A step without a config for this profile uses the default, which is for a GPU.
        for model in STEPS:
            on_gpu = config(model, profile).instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU
            assert on_gpu == (profile != "cpu"), model


def test_the_frames_of_any_number_of_sources_fit_into_the_queues():
    queue = config(DETECTOR, "cpu").dynamic_batching.default_queue_policy.max_queue_size
    assert queue > MAX_IN_FLIGHT
    # The queue of one model on a GPU. All images between two steps are in the memory pool.
    assert config(DETECTOR).dynamic_batching.default_queue_policy.max_queue_size > (
        MAX_IN_FLIGHT_ON_GPU
    )
    assert MAX_IN_FLIGHT_ON_GPU * 3 * 640 * 640 * 4 < GPU_POOL_BYTES


def test_exit_codes_of_errors_differ():
    codes = {}
    for module in (errors, tool_errors):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, errors.YolostreamError):
                assert kind.__name__ in module.__doc__
                if "exit_code" in vars(kind):  # Other classes inherit the code of their base class.
                    codes[kind] = kind.exit_code
    # A tool's error without a code of its own has the code of the package's base class.
    assert tool_errors.ToolError.exit_code == codes[errors.YolostreamError]
    assert len(set(codes.values())) == len(codes) == 24
    # The command line itself uses 2 for wrong options.
    assert not {0, 2, interruption.EXIT_INTERRUPTED} & set(codes.values())


def test_all_lists_every_public_name():
    public = {name for name in vars(yolostream) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(yolostream, name)).__name__ == "module"}
    # These names are imported on first use.
    assert public - modules <= set(yolostream.__all__)
    for name in yolostream.__all__:
        assert getattr(yolostream, name).__name__ == name if name != "__version__" else True
    with pytest.raises(AttributeError, match="no attribute 'Detecter'"):
        yolostream.Detecter  # noqa: B018
