"""Checks a `config_infer_*.txt` of nvinferserver against the model that it uses."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import (
    TYPE_FP32,
    TYPE_UINT8,
    DataType,
    ModelConfig,
    ModelInput,
)

from yolostream.doctor.check import Finding, Problem, in_file
from yolostream.doctor.deepstream import paths
from yolostream.doctor.deepstream.nvinferserver import read_inference_config
from yolostream.server.gpus import gpu_numbers

_SSD = "NvDsInferParseCustomTfSSD"
_YOLO = "NvDsInferParseYolo"
_LIBRARIES = {_SSD: paths.PARSERS, _YOLO: paths.DIRECT_PARSERS}
_SSD_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes")
"""Outputs that the parser finds by name. `num_detections` is optional."""
_HOST_PORT = re.compile(r"[A-Za-z0-9._-]+:\d{1,5}")


def check_inference_config(path: Path, model_repository: Path) -> list[Problem]:
    """Find the problems with which nvinferserver would not start, or give wrong boxes."""
    try:
        config: Any = read_inference_config(path)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        fix = "write it as in config_infer_yolov7.txt; nvinfer's keys mean nothing to nvinferserver"
        return [Problem(path.name, f"cannot be read: {error}", fix)]
    infer = config.infer_config
    found = [*_server(infer), *_traps(config), *_postprocess(infer, path)]
    try:
        model = read_model(model_repository, infer.backend.triton.model_name)
        found += _against_model(infer, model, model_repository)
        found += _labels_against_model(infer, path, model_repository)
    except FileNotFoundError as error:
        found.append(_no_such_model(Path(error.filename), model_repository))
    except text_format.ParseError as error:
        found.append(("model_name", f"Triton cannot read its config.pbtxt: {error}", "correct it"))
    return in_file(path.name, found)


def read_model(model_repository: Path, name: str) -> Any:
    """Read the `ModelConfig` of a model.

    Raises:
        FileNotFoundError: There is no such model.
        text_format.ParseError: The configuration cannot be parsed, so Triton cannot load it either.
    """
    return text_format.Parse((model_repository / name / "config.pbtxt").read_text(), ModelConfig())


def _server(infer: Any) -> Iterator[Finding]:
    triton = infer.backend.triton
    if triton.WhichOneof("server") != "grpc":
        yield "grpc", "is missing, so DeepStream would load models itself", "grpc { url: ... }"
    elif not _HOST_PORT.fullmatch(triton.grpc.url):
        fix = "write host:port without a scheme, such as triton:8001"
        yield "grpc.url", f"'{triton.grpc.url}' is not a Triton's address", fix
    if triton.grpc.enable_cuda_buffer_sharing and not gpu_numbers():
        what = "true needs a Triton on a GPU of this machine, which has none; a CPU rejects it"
        yield "grpc.enable_cuda_buffer_sharing", what, "write false"


def _no_such_model(missing: Path, model_repository: Path) -> Finding:
    names = sorted(folder.parent.name for folder in model_repository.glob("*/config.pbtxt"))
    what = f"{model_repository} has no {missing.relative_to(model_repository)}"
    return "model_name", what, f"choose one of: {', '.join(names)}"


def _traps(config: Any) -> Iterator[Finding]:
    if config.output_control.HasField("detect_control"):
        what = "drops boxes that touch the frame's lower edge, and mistakes width for height"
        yield "output_control.detect_control", what, "remove it"
    if config.infer_config.clip_object_outside_roi:
        what = "true makes boxes empty if there is no region of interest"
        yield "clip_object_outside_roi", what, "remove it"


def _against_model(infer: Any, model: Any, model_repository: Path) -> Iterator[Finding]:
    version = infer.backend.triton.version
    if version > 0 and not (model_repository / model.name / str(version)).is_dir():
        yield "version", f"{model.name} has no version {version}", "write -1, the latest"
    if not 1 <= infer.max_batch_size <= model.max_batch_size:
        what = f"{infer.max_batch_size} is not within {model.name}'s {model.max_batch_size}"
        fix = "lower it, or raise max_batch_size in every config.pbtxt and build the plan again"
        yield "max_batch_size", what, fix
    if len(model.input) != 1:
        names = ", ".join(tensor.name for tensor in model.input)
        what = f"{model.name} has the inputs {names}, and nvinferserver feeds one"
        yield "backend.inputs", what, "use a model with one input, such as yolov7"
        return
    yield from _dims(infer, model.input[0])
    yield from _pixels(infer.preprocess, model.input[0])
    yield from _outputs(infer, model)
    yield from _threshold(infer, model, model_repository)


def _dims(infer: Any, tensor: Any) -> Iterator[Finding]:
    given = {layer.name: list(layer.dims) for layer in infer.backend.inputs}
    taken = list(tensor.dims)
    for name in given.keys() - {tensor.name}:
        yield "backend.inputs.name", f"the model has no input '{name}'", f"write {tensor.name}"
    if infer.preprocess.tensor_name not in ("", tensor.name):
        what = f"the model has no input '{infer.preprocess.tensor_name}'"
        yield "preprocess.tensor_name", what, f"write {tensor.name}"
    dims = given.get(tensor.name) or taken
    fits = len(dims) == len(taken) and all(
        ours == theirs or theirs < 0 for ours, theirs in zip(dims, taken, strict=True)
    )
    if not fits or min(dims) < 1:
        fix = "give every size, without the batch, as in [ 640, 640, 3 ]"
        yield "backend.inputs.dims", f"{dims} does not fit the model's {taken}", fix


def _pixels(preprocess: Any, tensor: Any) -> Iterator[Finding]:
    by_pixel = tensor.format == ModelInput.FORMAT_NHWC or tensor.dims[-1] == 3
    order = "TENSOR_ORDER_NHWC" if by_pixel else "TENSOR_ORDER_LINEAR"
    enum = preprocess.DESCRIPTOR.fields_by_name["tensor_order"].enum_type.values_by_name
    if preprocess.tensor_order != enum[order].number:
        what = f"the model's input {list(tensor.dims)} is laid out otherwise"
        yield "preprocess.tensor_order", what, f"write {order}"
    formats = preprocess.DESCRIPTOR.fields_by_name["network_format"].enum_type.values_by_name
    if preprocess.network_format != formats["IMAGE_FORMAT_RGB"].number:
        what = "the models of this project take RGB"
        yield "preprocess.network_format", what, "write IMAGE_FORMAT_RGB"
    scale = 1.0 if tensor.data_type == TYPE_UINT8 else 1 / 255
    given = preprocess.normalize.scale_factor
    if abs(given - scale) > 1e-5:
        kind = DataType.Name(tensor.data_type)
        what = f"{given:g} spoils the pixels: the model takes {kind}"
        yield "preprocess.normalize.scale_factor", what, f"write {scale:.9g}"


def _outputs(infer: Any, model: Any) -> Iterator[Finding]:
    offered = {tensor.name: tensor for tensor in model.output}
    asked = [layer.name for layer in infer.backend.outputs] or list(offered)
    for name in asked:
        if name not in offered:
            fix = f"choose of: {', '.join(offered)}"
            yield "backend.outputs", f"the model has no output '{name}'", fix
        elif offered[name].data_type != TYPE_FP32:
            kind = DataType.Name(offered[name].data_type)
            what = f"'{name}' is {kind} in {model.name}/config.pbtxt, and the parser reads FP32"
            yield "backend.outputs", what, "serve it as TYPE_FP32"
    parser = infer.postprocess.detection.custom_parse_bbox_func
    for name in _SSD_OUTPUTS if parser == _SSD else ():
        if name not in asked:
            what = f"'{name}' is not asked for, and {_SSD} needs it"
            yield "backend.outputs", what, f'add {{ name: "{name}" }}'
    if parser == _YOLO and [list(offered[n].dims)[-1] for n in asked if n in offered] != [6]:
        what = f"{_YOLO} reads rows of six numbers from one output"
        yield "custom_parse_bbox_func", what, f"write {_SSD}, and its library"


def _threshold(infer: Any, model: Any, model_repository: Path) -> Iterator[Finding]:
    served = _served_threshold(model, model_repository)
    cluster = infer.postprocess.detection.WhichOneof("clustering_policy")
    if served is None:
        if cluster != "nms" or infer.postprocess.detection.nms.iou_threshold == 0:
            what = f"{model.name} does not suppress overlapping boxes itself"
            yield "postprocess.detection.nms", what, "write nms { ... iou_threshold: 0.45 }"
        return
    if cluster not in (None, "simple_cluster"):
        what = f"{model.name} has suppressed overlapping boxes already"
        yield f"postprocess.detection.{cluster}", what, "write simple_cluster { threshold: 0.0 }"
    threshold = infer.postprocess.detection.simple_cluster.threshold
    if threshold > served + 1e-6:
        what = f"{threshold:g} drops boxes that the ensemble counts from {served:g} on"
        fix = "change confidence_threshold in model_repository/nms/config.pbtxt instead"
        yield "simple_cluster.threshold", what, fix


def _served_threshold(model: Any, model_repository: Path) -> float | None:
    """The confidence threshold of an ensemble's suppression step; None if it has no such step."""
    for step in model.ensemble_scheduling.step:
        settings = read_model(model_repository, step.model_name).parameters
        if "confidence_threshold" in settings:
            return float(settings["confidence_threshold"].string_value)
    return None


def _postprocess(infer: Any, path: Path) -> Iterator[Finding]:
    detection = infer.postprocess.detection
    parser = detection.custom_parse_bbox_func
    if parser not in _LIBRARIES:
        what = f"'{parser}' reads no outputs of this project's models"
        yield "custom_parse_bbox_func", what, f"write {_SSD}"
    elif not _has_parser(infer.custom_lib.path, parser, path):
        what = f"there is no {parser} in '{infer.custom_lib.path}'"
        yield "custom_lib.path", what, f"write {_LIBRARIES[parser]}"
    for entry in detection.per_class_params:
        if not 0 <= entry.key < detection.num_detected_classes:
            what = f"there is no class {entry.key}"
            fix = f"stay below num_detected_classes, {detection.num_detected_classes}"
            yield "per_class_params", what, fix
    yield from _labels(infer.postprocess, path)


def _has_parser(library: str, parser: str, path: Path) -> bool:
    """Whether a library is the one with the parser, or a library in the repository."""
    own, known = paths.on_host(library, path), PurePosixPath(_LIBRARIES[parser])
    if own is not None:
        return own.is_file()
    place = PurePosixPath(library)
    return place == known or (place.is_relative_to(paths.IMAGE) and place.name == known.name)


def _labels(postprocess: Any, path: Path) -> Iterator[Finding]:
    if problem := paths.missing(postprocess.labelfile_path, path):
        yield "labelfile_path", *problem
    labels = paths.on_host(postprocess.labelfile_path, path)
    if problem or labels is None:
        return
    content = labels.read_bytes()
    if b"\r" in content:
        what = f"{labels.name} has Windows line ends, which become part of the labels"
        yield "labelfile_path", what, "save it with LF"
    lines = content.decode(errors="replace").splitlines()
    if any(not line.strip() for line in lines):
        what = f"{labels.name} has an empty line, which shifts every label after it"
        yield "labelfile_path", what, "remove the line"
    for line in lines:
        if ";" in line:
            what = f"DeepStream cuts '{line}' in {labels.name} at the ';'"
            yield "labelfile_path", what, "write another character, such as a comma"
    classes = postprocess.detection.num_detected_classes
    if classes != len(lines):
        what = f"{classes}, but {labels.name} has {len(lines)} lines"
        yield "num_detected_classes", what, f"write {len(lines)}, or complete {labels.name}"


def _labels_against_model(infer: Any, path: Path, model_repository: Path) -> Iterator[Finding]:
    name = infer.postprocess.labelfile_path
    served = _served_labels(infer.backend.triton.model_name, model_repository)
    labels = paths.on_host(name, path)
    if not served or paths.missing(name, path):
        return
    # Label files in NVIDIA's image belong to NVIDIA's models.
    if labels is None or _lines(labels) not in map(_lines, served):
        what = f"'{name}' does not have the labels of {infer.backend.triton.model_name}"
        yield "labelfile_path", what, f"write {os.path.relpath(served[0], path.parent)}"


def _served_labels(name: str, model_repository: Path) -> list[Path]:
    """The label files of a model, or else those of the ensembles that it is a step of."""
    files: dict[str, list[Path]] = {}
    users = []
    for path in sorted(model_repository.glob("*/config.pbtxt")):
        # Broken configurations of other models are not DeepStream's problem.
        with contextlib.suppress(text_format.ParseError):
            model = read_model(model_repository, path.parent.name)
            names = [output.label_filename for output in model.output if output.label_filename]
            files[path.parent.name] = [path.with_name(file) for file in names]
            if name in [step.model_name for step in model.ensemble_scheduling.step]:
                users.append(path.parent.name)
    found = files[name] or [file for user in users for file in files[user]]
    return [file for file in found if file.is_file()]


def _lines(labels: Path) -> list[str]:
    return labels.read_text(encoding="utf-8", errors="replace").splitlines()
