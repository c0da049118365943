"""Reads the configuration of deepstream-app (INI) and that of nvinferserver (protobuf text)."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message
from yolostream.doctor.deepstream.nvinferserver import read_inference_config

from .errors import StartFailed

FILE = "file://"
NVINFERSERVER = 1
"""The value of `plugin-type` for nvinferserver."""


@dataclass(frozen=True)
class Mux:
    """The section [streammux]: the size in pixels that boxes refer to, and frames per batch."""

    width: int
    height: int
    batch_size: int


@dataclass(frozen=True)
class App:
    """The parts of a deepstream-app configuration that affect the requests."""

    uris: tuple[str, ...]
    """One per source; file paths, which are relative to the INI there, are made absolute."""
    mux: Mux
    infer: Message
    """InferenceConfig of nvinferserver, with the batch size of [primary-gie]."""
    labels: tuple[str, ...]


def read_app(path: Path) -> App:
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(path.read_text())
    gie, mux = ini["primary-gie"], ini["streammux"]
    if gie.getint("plugin-type", 0) != NVINFERSERVER:
        raise StartFailed(f"{path}: [primary-gie] plugin-type is not {NVINFERSERVER}: set it")
    for section, key in (("primary-gie", "interval"), ("streammux", "enable-padding")):
        if ini[section].getint(key, 0):
            raise NotImplementedError(f"[{section}] {key}={ini[section][key]}")
    infer, labels = read_element(path.parent / gie["config-file"])
    infer.max_batch_size = gie.getint("batch-size", infer.max_batch_size)
    sizes = Mux(mux.getint("width"), mux.getint("height"), mux.getint("batch-size"))
    return App(_uris(ini, path.parent), sizes, infer, labels)


def read_element(path: Path) -> tuple[Message, tuple[str, ...]]:
    """Read the InferenceConfig of nvinferserver, and the names of its classes."""
    infer = read_inference_config(path).infer_config
    return infer, read_labels(path.parent / infer.postprocess.labelfile_path)


def read_labels(path: Path) -> tuple[str, ...]:
    """Read class names as nvinferserver does: blank lines are skipped, and `;` ends a name."""
    if not path.is_file():
        raise StartFailed(f"no label file {path}: correct labelfile_path")
    lines = path.read_bytes().decode().split("\n")
    return tuple(line.split(";")[0] for line in lines if line)


def thresholds(infer: Message) -> npt.NDArray[np.float32]:
    """Lowest score of each class that is kept, float32 [num_detected_classes]."""
    detection = infer.postprocess.detection
    policy = detection.WhichOneof("clustering_policy")
    if policy not in (None, "simple_cluster"):
        raise NotImplementedError(f"clustering policy {policy}")
    if detection.num_detected_classes <= 0:
        raise StartFailed(f"num_detected_classes is {detection.num_detected_classes}")
    lowest = np.full(detection.num_detected_classes, detection.simple_cluster.threshold, np.float32)
    for entry in detection.per_class_params:
        if not 0 <= entry.key < len(lowest):
            raise StartFailed(f"per_class_params of class {entry.key}, of {len(lowest)}")
        lowest[entry.key] = entry.value.pre_threshold
    return lowest


def enum_name(message: Message, field: str) -> str:
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return values[getattr(message, field)].name


def _uris(ini: configparser.ConfigParser, folder: Path) -> tuple[str, ...]:
    uris: list[str] = []
    for name in ini.sections():
        if name.removeprefix("source").isdigit() and ini[name].getint("enable"):
            uri, count = ini[name]["uri"], ini[name].getint("num-sources", 1)
            if uri.startswith(FILE):
                uri = FILE + str((folder / uri.removeprefix(FILE)).resolve())
            uris += [uri.replace("%d", str(number)) for number in range(count)]
    return tuple(uris)
