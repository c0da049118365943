"""What perf_analyzer sends: frames of a demo clip, and what they become on their way."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelEnsembling
from tritonclient.utils import np_to_triton_dtype
from yolostream.client.connection import connect
from yolostream.client.transport.message import INPUT_NAME
from yolostream.client.triton_errors import translated
from yolostream.errors import ModelUnavailable
from yolostream.image import Image

Tensors = dict[str, npt.NDArray[Any]]
"""By name; each with a batch dimension of one."""

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Ensemble:
    """The models that can be measured, as the server describes them.

    Attributes:
        name: Of the ensemble.
        stages: Names of its steps, in order.
        outputs: Names of what each of these models returns, by model.
    """

    name: str
    stages: tuple[str, ...]
    outputs: dict[str, tuple[str, ...]]


def describe(url: str, name: str) -> Ensemble:
    """Ask the server for an ensemble and its steps.

    Raises:
        ServerUnavailable: Nobody answers at `url`.
        ModelUnavailable: There is no such model.
    """
    with translated(url, name), connect(url) as client:
        steps = _steps(client, name)
        stages = tuple(step.model_name for step in steps)
        outputs = {
            model: tuple(tensor.name for tensor in _config(client, model).output)
            for model in (name, *stages)
        }
    return Ensemble(name, stages, outputs)


def requests(url: str, name: str, frames: list[Image]) -> dict[str, list[Tensors]]:
    """Send frames through an ensemble step by step, and keep what each step was sent.

    Args:
        url: gRPC address of the server.
        name: Of the ensemble.
        frames: uint8 [H, W, 3] each, RGB.

    Returns:
        One request a frame, by name of the ensemble and of each of its steps.

    Raises:
        ServerError: The server does not do it.
    """
    with translated(url, name), connect(url) as client:
        steps = _steps(client, name)
        paths = [_path(client, name, steps, frame) for frame in frames]
    return {model: [path[model] for path in paths] for model in paths[0]}


def write(path: Path, requests: list[Tensors]) -> None:
    """Write requests in perf_analyzer's JSON, contents as base64."""
    data = [{name: _content(tensor) for name, tensor in request.items()} for request in requests]
    path.write_text(json.dumps({"data": data}), encoding="ascii")


def regions(requests: list[Tensors], outputs: Sequence[str]) -> tuple[str, ...]:
    """Names of the shared memory that perf_analyzer makes for requests and their answers."""
    return (
        *outputs,
        *(f"{name}_0_{number}" for number, request in enumerate(requests) for name in request),
    )


def _content(tensor: npt.NDArray[Any]) -> dict[str, object]:
    encoded = base64.b64encode(tensor.tobytes()).decode()
    return {"content": {"b64": encoded}, "shape": tensor.shape[1:]}


def _config(client: InferenceServerClient, model: str) -> ModelConfig:
    return client.get_model_config(model, client_timeout=_TIMEOUT_S).config


def _steps(client: InferenceServerClient, name: str) -> list[ModelEnsembling.Step]:
    steps = list(_config(client, name).ensemble_scheduling.step)
    if not steps:
        raise ModelUnavailable(f"'{name}' is no ensemble: name one with --model")
    return steps


def _path(
    client: InferenceServerClient, name: str, steps: list[ModelEnsembling.Step], frame: Image
) -> dict[str, Tensors]:
    """What the ensemble and each of its steps are sent for one frame."""
    tensors: Tensors = {INPUT_NAME: frame[np.newaxis]}
    path = {name: dict(tensors)}
    for step in steps:
        path[step.model_name] = {key: tensors[value] for key, value in step.input_map.items()}
        answer = client.infer(
            step.model_name,
            [_input(key, tensor) for key, tensor in path[step.model_name].items()],
            client_timeout=_TIMEOUT_S,
        )
        tensors |= {value: answer.as_numpy(key) for key, value in step.output_map.items()}
    return path


def _input(name: str, tensor: npt.NDArray[Any]) -> InferInput:
    sent = InferInput(name, tensor.shape, np_to_triton_dtype(tensor.dtype))
    sent.set_data_from_numpy(tensor)
    return sent
