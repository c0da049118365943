"""The effects of the parameters of `nms`, in a real Triton."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import REPOSITORY
from repository import ROOT
from tritonclient.grpc import InferenceServerClient, InferInput
from yolostream.errors import ServerStartError
from yolostream.server import embedded

LETTERBOX = np.array([[0, 0, 640, 640, 1, 2]], np.float32)
CAR, TRUCK = [100, 100, 200, 160, 0.6, 2], [102, 101, 199, 161, 0.37, 7]
"""One object, found twice."""


@pytest.fixture
def repository(tmp_path):
    """A repository with only `nms`."""
    folder = tmp_path / "models"
    unserved = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "nms", folder / "nms", ignore=unserved)
    return folder


def change(repository, old, new):
    path = repository / "nms" / "configs" / "cpu.pbtxt"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def switched(repository, value):
    key = 'parameters { key: "class_agnostic" value { string_value: '
    change(repository, f'{key}"false"', f'{key}"{value}"')


def classes_found(repository):
    rows = np.array([[CAR, TRUCK]], np.float32)
    with (
        embedded.serve(
            repository,
            environment=REPOSITORY / ".venv-server",
            profile="cpu",
            stop_timeout_s=0,
        ) as server,
        InferenceServerClient(server.url) as client,
    ):
        inputs = []
        for name, values in (("output", rows), ("letterbox", LETTERBOX)):
            inputs.append(InferInput(name, list(values.shape), "FP32"))
            inputs[-1].set_data_from_numpy(values)
        answer = client.infer("nms", inputs)
    count = int(answer.as_numpy("num_detections")[0, 0])
    return answer.as_numpy("detection_classes")[0, :count].tolist()


def test_an_object_may_have_two_classes_unless_suppression_is_class_agnostic(repository):
    assert classes_found(repository) == [2, 7]
    switched(repository, "true")
    assert classes_found(repository) == [2]


def test_a_configuration_without_the_parameter_is_served_as_before(repository):
    change(repository, 'parameters { key: "class_agnostic" value { string_value: "false" } }\n', "")
    assert classes_found(repository) == [2, 7]


def test_an_invalid_value_is_named(repository):
    switched(repository, "yes")
    with pytest.raises(ServerStartError, match="class_agnostic is 'yes': write"):
        classes_found(repository)
