"""Checks of DeepStream's configurations by the rules that its sources and test runs show."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from repository import parameters
from yolostream.doctor.deepstream import inference_config
from yolostream.doctor.deepstream.folder import check_deepstream
from yolostream.doctor.deepstream.letterbox import content_rect, nearest_unshifted
from yolostream.doctor.deepstream.nvinferserver import read_inference_config
from yolostream.doctor.deepstream.paths import DIRECT_PARSERS
from yolostream.pipeline.tracking import TrackerLimits

REPOSITORY = Path(__file__).parents[1]
SHIPPED = REPOSITORY / "clients" / "deepstream"
APPLICATIONS = sorted(
    path.name for path in SHIPPED.glob("*.txt") if not path.name.startswith("config_infer_")
)

INFER, FULL_FRAME = "config_infer_yolov7.txt", "config_infer_yolov7_full_frame.txt"
SHRUNK = "config_infer_yolov7_shrunk.txt"
DIRECT = "direct/config_infer_yolov7_direct.txt"
TRACKER = "config_tracker_yolostream.yml"
LABELS = "../../model_repository/yolov7/labels.txt"
ENSEMBLE = "../../model_repository/yolov7/config.pbtxt"


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """Simulate a machine without a GPU, for all tests but one."""
    monkeypatch.setattr(inference_config, "gpu_numbers", list)


@pytest.fixture
def folder(tmp_path):
    """A copy of clients/deepstream, and of the files that it refers to, at their relative paths."""
    folder = tmp_path / "clients" / "deepstream"
    shutil.copytree(SHIPPED, folder)
    shutil.copytree(
        REPOSITORY / "model_repository",
        tmp_path / "model_repository",
        ignore=shutil.ignore_patterns("*.onnx", "*.plan", "__pycache__"),
    )
    (tmp_path / "videos").symlink_to(REPOSITORY / "videos")
    return folder


def problems_in(folder):
    return check_deepstream(folder, folder.parents[1] / "model_repository")


def edit(path, old, new):
    content = path.read_bytes().decode()
    assert old in content, f"{path.name} no longer contains the text that this test changes"
    path.write_bytes(content.replace(old, new, 1).encode())


def test_the_shipped_configurations_have_no_problems(folder):
    assert problems_in(folder) == []


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_configurations_in_shipped_comments_have_no_problems(folder, name):
    path = folder / name
    text = path.read_text()
    alternatives = re.findall(r"^#([a-z-]+)=(.+)$", text, re.MULTILINE)
    assert alternatives
    for key, value in alternatives:
        active = re.compile(rf"^{key}=.*\n", re.MULTILINE)
        path.write_text(active.sub("", text).replace(f"#{key}={value}", f"{key}={value}"))
        assert problems_in(folder) == []


# File, shipped text, invalid text, field, words of the problem, words of the fix.
BROKEN = {
    "a batch larger than the model's": (
        *(INFER, "max_batch_size: 16", "max_batch_size: 17"),
        *("max_batch_size", "17 is not within yolov7's 16", "lower"),
    ),
    "a renamed input": (
        *(INFER, 'name: "frames"', 'name: "images"'),
        *("backend.inputs.name", "no input 'images'", "frames"),
    ),
    "an input that is preprocessed under another name": (
        *(INFER, 'tensor_name: "frames"', 'tensor_name: "images"'),
        *("preprocess.tensor_name", "no input 'images'", "frames"),
    ),
    "variable sizes": (
        *(INFER, "dims: [ 640, 640, 3 ]", "dims: [ -1, -1, 3 ]"),
        *("backend.inputs.dims", "[-1, -1, 3] does not fit", "[ 640, 640, 3 ]"),
    ),
    "missing sizes": (
        *(INFER, "dims: [ 640, 640, 3 ]", ""),
        *("backend.inputs.dims", "does not fit", "[ 640, 640, 3 ]"),
    ),
    "planes where the model takes pixels": (
        *(INFER, "dims: [ 640, 640, 3 ]", "dims: [ 3, 640, 640 ]"),
        *("backend.inputs.dims", "[3, 640, 640] does not fit", "[ 640, 640, 3 ]"),
    ),
    "a layout of planes": (
        *(INFER, "TENSOR_ORDER_NHWC", "TENSOR_ORDER_LINEAR"),
        *("preprocess.tensor_order", "laid out otherwise", "TENSOR_ORDER_NHWC"),
    ),
    "pixels divided by 255 twice": (
        *(INFER, "scale_factor: 1.0", "scale_factor: 0.0039"),
        *("preprocess.normalize.scale_factor", "0.0039", "write 1"),
    ),
    "pixels of the network not divided": (
        *(DIRECT, "scale_factor: 0.00392156862745098", "scale_factor: 1.0"),
        *("preprocess.normalize.scale_factor", "TYPE_FP32", "0.00392156863"),
    ),
    "BGR": (
        *(INFER, "IMAGE_FORMAT_RGB", "IMAGE_FORMAT_BGR"),
        *("preprocess.network_format", "RGB", "IMAGE_FORMAT_RGB"),
    ),
    "CUDA buffer sharing with a server that has no GPU": (
        *(INFER, "enable_cuda_buffer_sharing: false", "enable_cuda_buffer_sharing: true"),
        *("grpc.enable_cuda_buffer_sharing", "which has none", "write false"),
    ),
    "an output that the model lacks": (
        *(INFER, '{ name: "num_detections" }', '{ name: "num_dets" }'),
        *("backend.outputs", "no output 'num_dets'", "num_detections"),
    ),
    "an output that the parser needs is not requested": (
        *(INFER, '{ name: "detection_scores" },', ""),
        *("backend.outputs", "'detection_scores' is not asked for", "add"),
    ),
    "INT32 classes": (
        *(ENSEMBLE, *('"detection_classes"\n    data_type: TYPE_' + t for t in ("FP32", "INT32"))),
        *("backend.outputs", "'detection_classes' is TYPE_INT32", "TYPE_FP32"),
    ),
    "a second input": (
        ENSEMBLE,
        "input [\n",
        'input [\n  { name: "threshold" data_type: TYPE_FP32 dims: [ 1 ] },\n',
        *("backend.inputs", "threshold, frames", "one input"),
    ),
    "a configuration for another model": (
        *(INFER, 'model_name: "yolov7"', 'model_name: "yolo11"'),
        *("model_name", "has no yolo11/config.pbtxt", "yolov7"),
    ),
    "a missing version": (
        *(INFER, "version: -1", "version: 7"),
        *("version", "no version 7", "-1"),
    ),
    "an address with a scheme": (
        *(INFER, '"triton:8001"', '"http://triton:8001"'),
        *("grpc.url", "http://triton:8001", "host:port"),
    ),
    "a threshold above that of nms": (
        *(INFER, "threshold: 0.0", "threshold: 0.5"),
        *("simple_cluster.threshold", "0.5 drops boxes", "model_repository/nms/config.pbtxt"),
    ),
    "suppression after that of the ensemble": (
        *(INFER, "simple_cluster { threshold: 0.0 }", "nms { iou_threshold: 0.45 }"),
        *("postprocess.detection.nms", "already", "simple_cluster"),
    ),
    "no suppression in the direct mode": (
        *(DIRECT, "iou_threshold: 0.45", ""),
        *("postprocess.detection.nms", "does not suppress", "iou_threshold"),
    ),
    "the parser of the network for the ensemble": (
        *(INFER, "NvDsInferParseCustomTfSSD", "NvDsInferParseYolo"),
        *("custom_parse_bbox_func", "six numbers", "NvDsInferParseCustomTfSSD"),
    ),
    "a parser that uses positions": (
        *(INFER, "NvDsInferParseCustomTfSSD", "NvDsInferParseCustomBatchedNMSTLT"),
        *("custom_parse_bbox_func", "BatchedNMS", "NvDsInferParseCustomTfSSD"),
    ),
    "a missing parser library": (
        *(INFER, "libnvds_infercustomparser.so", "libnvds_customparser.so"),
        *("custom_lib.path", "libnvds_customparser.so", "libnvds_infercustomparser.so"),
    ),
    "a filter that drops boxes": (
        *(INFER, "input_control {", "output_control { detect_control { } }\ninput_control {"),
        *("output_control.detect_control", "lower edge", "remove"),
    ),
    "clipping to an empty region": (
        *(INFER, "unique_id: 1", "unique_id: 1 clip_object_outside_roi: true"),
        *("clip_object_outside_roi", "makes boxes empty", "remove"),
    ),
    "a threshold for a missing class": (
        INFER,
        "num_detected_classes: 80",
        "num_detected_classes: 80 per_class_params { key: 80 value { pre_threshold: 0.3 } }",
        *("per_class_params", "no class 80", "below"),
    ),
    "more classes than labels": (
        *(INFER, "num_detected_classes: 80", "num_detected_classes: 81"),
        *("num_detected_classes", "81, but labels.txt has 80 lines", "write 80"),
    ),
    "a missing label file": (
        *(INFER, "../../model_repository/yolov7/labels.txt", "labels.txt"),
        *("labelfile_path", "no 'labels.txt'", "relative to this file"),
    ),
    "a missing label": (
        *(LABELS, "bicycle\n", ""),
        *("num_detected_classes", "labels.txt has 79 lines", "complete"),
    ),
    "labels from Windows": (
        *(LABELS, "bicycle\n", "bicycle\r\n"),
        *("labelfile_path", "Windows", "LF"),
    ),
    "an empty label": (
        *(LABELS, "bicycle\n", "\n"),
        *("labelfile_path", "empty line", "remove"),
    ),
    "a label that DeepStream cuts": (
        *(LABELS, "bicycle\n", "bicycle;tandem\n"),
        *("labelfile_path", "cuts 'bicycle;tandem'", "another character"),
    ),
    "labels of NVIDIA's models": (
        *(INFER, LABELS, "/opt/nvidia/deepstream/deepstream/samples/models/labels.txt"),
        *("labelfile_path", "does not have the labels of yolov7", LABELS),
    ),
    "true instead of a number": (
        *(INFER, "maintain_aspect_ratio: 1", "maintain_aspect_ratio: true"),
        *("", "Couldn't parse integer: true", "config_infer_yolov7.txt"),
    ),
    "an unknown field": (
        *(INFER, "unique_id: 1", "unique_id: 1 colour: 2"),
        *("", 'no field named "colour"', "config_infer_yolov7.txt"),
    ),
    "a field that DeepStream 6.3 lacks": (
        *(INFER, "backend {", "backend { disable_warmup: true"),
        *("", 'no field named "disable_warmup"', "config_infer_yolov7.txt"),
    ),
    "a key of nvinfer": (
        *(INFER, "unique_id: 1", "net-scale-factor=0.0039"),
        *("", "cannot be read", "nvinfer's keys"),
    ),
    "two members of a oneof": (
        *(INFER, "grpc {", 'model_repo { root: "models" } grpc {'),
        *("", 'another member of oneof "server"', "config_infer_yolov7.txt"),
    ),
    "a batch of the application larger than the model's": (
        *("benchmark.txt", "batch-size=16", "batch-size=32"),
        *("[primary-gie] batch-size", "32 is not within yolov7's max_batch_size, 16", "lower"),
    ),
    "nvinfer instead of nvinferserver": (
        *("dual_video.txt", "plugin-type=1", "plugin-type=0"),
        *("[primary-gie] plugin-type", "nvinfer would run", "write 1"),
    ),
    "nvinfer by default": (
        *("dual_video.txt", "plugin-type=1\n", ""),
        *("[primary-gie] plugin-type", "nvinfer would run", "write 1"),
    ),
    "a key of nvinfer in the application": (
        *("dual_video.txt", "interval=0", "cluster-mode=2"),
        *("[primary-gie] cluster-mode", "no such key", "remove"),
    ),
    "no inference": (
        *("dual_video.txt", "[primary-gie]\nenable=1", "[primary-gie]\nenable=0"),
        *("[primary-gie]", "not enabled", "enable=1"),
    ),
    "a missing inference configuration": (
        *("dual_video.txt", "config-file=config_infer", "config-file=configs/config_infer"),
        *("[primary-gie] config-file", "no 'configs/config_infer_yolov7_shrunk.txt'", "relative"),
    ),
    "a comment after a value": (
        *("dual_video.txt", "batch-size=2", "batch-size=2  # both videos"),
        *("[streammux] batch-size", "'2  # both videos' contains a comment", "line of its own"),
    ),
    "a word instead of a number": (
        *("dual_video.txt", "sync=0", "sync=false"),
        *("[sink0] sync", "'false' is not an integer", "whole number"),
    ),
    "a color of three values": (
        *("dual_video.txt", "bbox-border-color=0;1;0;1", "bbox-border-color=0;1;0"),
        *("[primary-gie] bbox-border-color", "'0;1;0' is not a color", "alpha"),
    ),
    "a misspelled key": (
        *("dual_video.txt", "display-tracking-id=1", "display-track-id=1"),
        *("[tracker] display-track-id", "no such key", "did you mean display-tracking-id?"),
    ),
    "a misspelled group": (
        *("dual_video.txt", "[osd]", "[ods]"),
        *("[ods]", "no such group", "did you mean osd?"),
    ),
    "a key of newer versions": (
        *("rtsp_cameras.txt", "latency=200", "leaky=2"),
        *("[source0] leaky", "no such key", "remove"),
    ),
    "a removed key of the tracker": (
        *("dual_video.txt", "display-tracking-id=1", "enable-batch-process=1"),
        *("[tracker] enable-batch-process", "no such key", "remove"),
    ),
    "a tracker size that is no multiple of 32": (
        *("dual_video.txt", "tracker-height=544", "tracker-height=540"),
        *("[tracker] tracker-height", "540 is not a multiple of 32", "write 544"),
    ),
    "a missing tracker library": (
        *("dual_video.txt", "libnvds_nvmultiobjecttracker.so", "libnvds_nvdcf.so"),
        *("[tracker] ll-lib-file", "libnvds_nvdcf.so", "libnvds_nvmultiobjecttracker.so"),
    ),
    "a missing video": (
        *("dual_video.txt", "mb2_2.mp4", "mb3_3.mp4"),
        *("[source1] uri", "no '../../videos/mb3_3.mp4'", "relative to this file"),
    ),
    "a missing video below the mount": (
        *("dual_video.txt", "../../videos/mb2_2.mp4", "/workspace/yolostream/videos/mb3_3.mp4"),
        *("[source1] uri", "no '/workspace/yolostream/videos/mb3_3.mp4'", "relative to this file"),
    ),
    "a path that leaves the repository": (
        *("dual_video.txt", "../../videos/mb2_2.mp4", "../../../videos/mb2_2.mp4"),
        *("[source1] uri", "/workspace/videos/mb2_2.mp4 in the container", "into the repository"),
    ),
    "a path instead of a URI": (
        *("dual_video.txt", "file://../../videos/mb1_1", "../../videos/mb1_1"),
        *("[source0] uri", "is not a URI", "write file://"),
    ),
    "a live source with a muxer for files": (
        *("rtsp_cameras.txt", "live-source=1", "live-source=0"),
        *("[streammux] live-source", "0 does not fit", "write 1"),
    ),
    "a silent camera that blocks all others": (
        *("rtsp_cameras.txt", "batched-push-timeout=40000\n", ""),
        *("[streammux] batched-push-timeout", "silent camera", "40000"),
    ),
    "a camera given up at its first stall": (
        *("rtsp_cameras.txt", "rtsp-reconnect-attempts=-1", "rtsp-reconnect-attempts=0"),
        *("[source0] rtsp-reconnect-attempts", "0 makes DeepStream give up", "write -1"),
    ),
    "a camera with the default number of reconnects": (
        *("rtsp_cameras.txt", "rtsp-reconnect-attempts=-1\n", ""),
        *("[source0] rtsp-reconnect-attempts", "no value makes DeepStream give up", "write -1"),
    ),
    "a camera that is never reconnected": (
        *("rtsp_cameras.txt", "rtsp-reconnect-interval-sec=10\n", ""),
        *("[source0] rtsp-reconnect-interval-sec", "never connects again", "10"),
    ),
    "frames stretched to the tensor": (
        *("dual_video.txt", f"config-file={SHRUNK}", f"config-file={FULL_FRAME}"),
        *("[streammux] width", "640x720 is stretched to the tensor's 1280x720", "[ 720, 640, 3 ]"),
    ),
    "a sink without a source": (
        *("dual_video.txt", "source-id=1", "source-id=2"),
        *("[sink1] source-id", "no source 2", "0 to 1"),
    ),
    "a sink that gets nothing from the tiler": (
        *("tiled_rtsp.txt", "sync=1", "sync=1\nsource-id=1"),
        *("[sink0] source-id", "1 gets nothing while the tiler is on", "write 0"),
    ),
    "a tiler with too few tiles": (
        *("tiled_rtsp.txt", "columns=2", "columns=1"),
        *("[tiled-display] rows", "no room for 2 sources", "raise"),
    ),
    "two sinks with the same file": (
        *("dual_video.txt", "detections_1.mp4", "detections_0.mp4"),
        *("[sink1] output-file", "that of [sink0] too", "its own"),
    ),
    "an encoder without a bit rate": (
        *("dual_video.txt", "bitrate=2000000\n", ""),
        *("[sink0] bitrate", "missing", "bits per second"),
    ),
    "messages that are never sent": (
        *("kafka.txt", "msg-conv-msg2p-new-api=1\n", ""),
        *("[sink1] msg-conv-msg2p-new-api", "no message is sent", "write 1"),
    ),
    "an address of Kafka with a colon": (
        *("kafka.txt", "kafka;9092;detections", "kafka:9092"),
        *(
            "[sink1] msg-broker-conn-str",
            "'kafka:9092' is not a broker's address",
            "host;port;topic",
        ),
    ),
    "a duplicate key": (
        *("dual_video.txt", "live-source=0", "live-source=0\nlive-source=0"),
        *("", "already exists", "key=value"),
    ),
    "the tracker's old flat layout": (
        *(TRACKER, "BaseConfig:", "NvDCF:"),
        *("NvDCF", "no such section", "BaseConfig"),
    ),
    "a key in the wrong section of the tracker": (
        *(TRACKER, "  useUniqueID: 0", "  maxShadowTrackingAge: 0"),
        *("TrajectoryManagement.maxShadowTrackingAge", "no such key", "its section"),
    ),
    "a tracker that is no YAML": (
        *(TRACKER, "  useUniqueID: 0", "\tuseUniqueID: 0"),
        *("", "is not YAML", "spaces"),
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_an_invalid_configuration_is_reported_with_file_field_and_fix(folder, broken):
    name, old, new, field, what, fix = broken
    if field == "[streammux] width":
        edit(folder / name, "width=1280", "width=640")
    edit(folder / name, old, new)
    found = problems_in(folder)
    # A problem of a model or its labels is reported for the configuration that uses them.
    file = INFER if name.startswith("..") else Path(name).name
    where = f"{file}: {field}" if field else file
    reported = [problem for problem in found if problem.where == where]
    assert any(what in problem.what and fix in problem.fix for problem in reported), found
    assert where in str(reported[0])


def test_with_a_gpu_cuda_buffer_sharing_is_no_problem(folder, monkeypatch):
    edit(folder / INFER, "enable_cuda_buffer_sharing: false", "enable_cuda_buffer_sharing: true")
    monkeypatch.setattr(inference_config, "gpu_numbers", lambda: [0])
    assert problems_in(folder) == []


# Problems by the size of [streammux] and the filter, with pixels as measured in DeepStream 9.1.
SCALED = [
    (INFER, "1280x720", 1, "1 moves every box 1.0 pixels to the right and 1.0 down"),
    (SHRUNK, "1280x720", 1, "1 moves every box 1.0 pixels to the right and 1.0 down"),
    (FULL_FRAME, "1280x720", 1, "1 moves every box 0.5 pixels to the right and 0.5 down"),
    (SHRUNK, "1920x1080", 1, "1 moves every box 1.5 pixels to the right and 1.5 down"),
    (INFER, "1280x720", 0, "0 takes the nearest pixel"),
    (SHRUNK, "1280x720", 5, "5 takes the nearest pixel"),
    (FULL_FRAME, "1280x720", 0, None),
    (FULL_FRAME, "1280x720", 2, None),
    (FULL_FRAME, "1280x720", 3, "3 ends DeepStream"),
    (SHRUNK, "640x360", 3, "3 ends DeepStream"),
    (INFER, "480x270", 3, "3 ends DeepStream"),
    (INFER, "480x270", 2, None),
    (SHRUNK, "1280x720", 3, None),
    (SHRUNK, "1920x1080", 3, "3 leaves the edge of the picture green"),
    (SHRUNK, "1280x720", 4, None),
]


@pytest.mark.parametrize(("file", "size", "number", "reported"), SCALED)
def test_a_filter_that_moves_boxes_or_fails_is_reported(folder, file, size, number, reported):
    width, height = size.split("x")
    edit(folder / "dual_video.txt", f"config-file={SHRUNK}", f"config-file={file}")
    edit(folder / "dual_video.txt", "width=1280\nheight=720", f"width={width}\nheight={height}")
    edit(folder / file, "frame_scaling_filter: 2", f"frame_scaling_filter: {number}")
    found = [p for p in problems_in(folder) if p.where.startswith("dual_video.txt")]
    assert [reported in problem.what for problem in found] == ([] if reported is None else [True])
    for problem in found:
        assert problem.where == "dual_video.txt: [primary-gie] config-file: frame_scaling_filter"
        assert problem.fix == "write 2, cubic"


@pytest.mark.parametrize(
    ("size", "odd", "moved", "better"),
    [
        ("1366x768", 141, 2.1, "width=1364 and height=768"),
        ("704x576", 59, 1.1, "width=702 and height=576"),
        ("1920x1088", 139, 3.0, "width=1924 and height=1088"),
        ("576x704", 59, 1.1, "width=574 and height=704"),
    ],
)
def test_a_size_that_shifts_the_picture_is_reported_with_a_better_size(
    folder, size, odd, moved, better
):
    width, height = size.split("x")
    path = folder / "dual_video.txt"
    edit(path, f"config-file={SHRUNK}", f"config-file={INFER}")
    edit(path, "width=1280\nheight=720", f"width={width}\nheight={height}")
    (problem,) = problems_in(folder)
    assert problem.where == "dual_video.txt: [streammux] width"
    assert f"pixel {odd} of the tensor" in problem.what
    assert f"by {moved} pixels" in problem.what
    assert problem.fix == f"write {better}"
    edit(path, f"width={width}\nheight={height}", better.replace(" and ", "\n"))
    assert problems_in(folder) == []


@pytest.mark.parametrize("width", [0, 1, 3, 10_000_000])
def test_an_extreme_size_does_not_crash_the_check(folder, width):
    path = folder / "dual_video.txt"
    edit(path, f"config-file={SHRUNK}", f"config-file={INFER}")
    edit(path, "width=1280", f"width={width}")
    problems_in(folder)


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (640, 480), (1080, 1920), (640, 640)])
def test_the_usual_sizes_do_not_shift_the_picture(size):
    preprocess = read_inference_config(SHIPPED / INFER).infer_config.preprocess
    assert not content_rect(size, (640, 640), preprocess).is_shifted


def test_a_better_size_is_close_to_the_given_one():
    preprocess = read_inference_config(SHIPPED / INFER).infer_config.preprocess
    for width in range(320, 2000, 94):
        for height in range(240, 1200, 62):
            better = nearest_unshifted((width, height), (640, 640), preprocess)
            assert not content_rect(better, (640, 640), preprocess).is_shifted
            assert abs(better[0] - width) + abs(better[1] - height) <= 10


def test_models_that_deepstream_would_load_itself_are_reported(folder):
    path = folder / INFER
    in_process, replaced = re.subn(r"grpc \{.*?\}", "model_repo { }", path.read_text(), flags=re.S)
    path.write_text(in_process)
    assert replaced == 1
    assert f"{INFER}: grpc" in [problem.where for problem in problems_in(folder)]


def test_a_model_that_triton_cannot_read_is_reported(folder):
    edit(folder / ENSEMBLE, "max_batch_size: 16", "max_batch_size: sixteen")
    reported = [
        problem for problem in problems_in(folder) if problem.where == f"{INFER}: model_name"
    ]
    assert "sixteen" in reported[0].what


def test_a_folder_without_configurations_is_reported(tmp_path):
    (problem,) = check_deepstream(tmp_path / "nothing", REPOSITORY / "model_repository")
    assert "nothing" in problem.where


@pytest.mark.parametrize("count", [16, 17])
def test_the_batch_size_of_a_source_list_is_its_length(folder, count):
    path = folder / "dual_video.txt"
    text = re.sub(r"\[source0\].*?(?=\[streammux\])", "", path.read_text(), flags=re.DOTALL)
    uris = ";".join(["file://../../videos/mb1_1.mp4"] * count)
    path.write_text(f"{text}\n[source-list]\nlist={uris}\n\n[source-attr-all]\nenable=1\ntype=2\n")
    reported = [problem.where for problem in problems_in(folder)]
    assert reported == ["dual_video.txt: [primary-gie] batch-size"] * (count > 16)


def test_the_modes_differ_only_in_the_letterbox():
    modes = [read_inference_config(SHIPPED / name) for name in (INFER, FULL_FRAME, SHRUNK)]
    for config in modes:
        preprocess = config.infer_config.preprocess
        assert preprocess.maintain_aspect_ratio == preprocess.symmetric_padding
        preprocess.ClearField("maintain_aspect_ratio")
        preprocess.ClearField("symmetric_padding")
        config.infer_config.backend.inputs[0].ClearField("dims")
    assert len({text_format.MessageToString(config) for config in modes}) == 1


def test_the_direct_mode_has_the_suppression_parameters_of_the_ensemble():
    nms = read_inference_config(SHIPPED / DIRECT).infer_config.postprocess.detection.nms
    served = parameters("nms")
    assert f"{nms.confidence_threshold:g}" == served["confidence_threshold"]
    assert f"{nms.iou_threshold:g}" == served["iou_threshold"]
    assert str(nms.topk) == served["max_detections"]


def test_the_limits_of_the_tracker_are_those_of_the_python_client():
    limits = yaml.safe_load((SHIPPED / TRACKER).read_text().removeprefix("%YAML:1.0"))
    assert limits["TargetManagement"]["maxTargetsPerStream"] == TrackerLimits().max_targets
    assert limits["BaseConfig"]["minDetectorConfidence"] == TrackerLimits().min_confidence
    assert bool(limits["TrajectoryManagement"]["enableReAssoc"]) == (
        TrackerLimits().reassociate_s > 0
    )


def test_every_stream_has_a_sensor_in_the_kafka_messages():
    application, sensors = configparser.RawConfigParser(), configparser.RawConfigParser()
    application.read(SHIPPED / "kafka.txt")
    sensors.read(SHIPPED / application["sink1"]["msg-conv-config"])
    streams = [group.removeprefix("source") for group in application if "source" in group]
    assert len(streams) > 1
    for number in streams:
        assert {f"sensor{number}", f"place{number}", f"analytics{number}"} <= set(sensors)


@pytest.mark.parametrize("name", [INFER, FULL_FRAME, SHRUNK, DIRECT])
def test_the_address_of_triton_is_a_service_of_the_compose_file(name):
    host, _ = read_inference_config(SHIPPED / name).infer_config.backend.triton.grpc.url.split(":")
    services = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())["services"]
    assert host in services


def test_a_file_outside_of_the_mount_is_reported(folder):
    outside = REPOSITORY / "videos" / "mb2_2.mp4"
    assert outside.exists()
    edit(folder / "dual_video.txt", "../../videos/mb2_2.mp4", str(outside))
    (problem,) = problems_in(folder)
    assert problem.where == "dual_video.txt: [source1] uri"
    assert "outside the mount /workspace/yolostream" in problem.what
    assert "into the repository" in problem.fix


def test_paths_in_containers_are_valid(folder):
    path = folder / "kafka.txt"
    streams = "/opt/nvidia/deepstream/deepstream/samples/streams/sample_1080p_h264.mp4"
    edit(path, "file://../../videos/mb1_1.mp4", "file:///workspace/yolostream/videos/mb1_1.mp4")
    edit(path, "file://../../videos/mb2_2.mp4", f"file://{streams}")
    edit(path, "config-file=", "config-file=/workspace/yolostream/clients/deepstream/")
    edit(path, "libnvds_kafka_proto.so", "libnvds_redis_proto.so")
    edit(folder / INFER, LABELS, "/workspace/yolostream/model_repository/yolov7/labels.txt")
    edit(folder / INFER, "/deepstream/lib/", "/deepstream-7.1/lib/")
    assert problems_in(folder) == []
    # The file that they refer to is checked, too.
    edit(path, "\nbatch-size=2\ninterval", "\nbatch-size=32\ninterval")
    assert [problem.where for problem in problems_in(folder)] == [
        "kafka.txt: [primary-gie] batch-size"
    ]


@pytest.fixture
def other_model(folder):
    """Another detector with as many classes, of other names, as `tools.install_model` adds it."""
    models = folder.parents[1] / "model_repository"
    for name in ("yolov7", "yolov7_fp16"):
        shutil.copytree(models / name, models / name.replace("yolov7", "cells"))
    for name in ("cells", "cells_fp16"):
        config = models / name / "config.pbtxt"
        config.write_text(re.sub(r'"yolov7(_fp16)?"', r'"cells\1"', config.read_text()))
    edit(models / "cells" / "labels.txt", "bicycle", "nucleus")
    return "cells"


@pytest.mark.parametrize("file", [INFER, DIRECT])
def test_a_configuration_with_the_labels_of_another_model_is_reported(folder, other_model, file):
    path = folder / file
    edit(path, 'model_name: "yolov7', f'model_name: "{other_model}')
    (problem,) = problems_in(folder)
    assert problem.where == f"{path.name}: labelfile_path"
    assert f"the labels of {other_model}" in problem.what
    edit(path, "model_repository/yolov7/labels.txt", f"model_repository/{other_model}/labels.txt")
    assert problems_in(folder) == []
    assert problem.fix.removeprefix("write ") in path.read_text()


def test_a_copy_of_the_labels_is_accepted(folder):
    shutil.copy(folder / LABELS, folder / "names")
    edit(folder / INFER, LABELS, "names")
    assert problems_in(folder) == []


def test_the_direct_parser_is_built_from_the_image_of_the_service_and_a_fixed_commit():
    service = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())["services"]
    dockerfile = (SHIPPED / "direct" / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert stages == [service["deepstream"]["image"]] * 2
    assert re.search(r"^ARG COMMIT=[0-9a-f]{40}$", dockerfile, re.MULTILINE)
    assert (
        f"/{DIRECT_PARSERS.rpartition('/')[2]} {DIRECT_PARSERS.rpartition('/')[0]}/" in dockerfile
    )


def test_the_script_builds_the_image_of_the_service_before_that_of_the_parser(tmp_path):
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$PWD: $*" >> {tmp_path}/calls\n')
    docker.chmod(0o755)
    subprocess.run(
        [SHIPPED / "direct" / "build.sh"],
        check=True,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    first, second = (tmp_path / "calls").read_text().splitlines()
    assert first == f"{REPOSITORY}: compose --profile deepstream build deepstream"
    assert second.startswith(f"{REPOSITORY}: build ")
    assert (REPOSITORY / second.split()[-1] / "Dockerfile").is_file()
