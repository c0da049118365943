"""The description of a model, which the client reads from the server."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.grpc.model_config_pb2 import TYPE_FP32, ModelConfig

from yolostream.client.retry import retry_while_full
from yolostream.client.transport.message import INPUT_NAME
from yolostream.client.triton_errors import translated
from yolostream.errors import ModelUnavailable
from yolostream.image import downscaled

_LABELED_OUTPUT = "detection_scores"
DIGEST_OUTPUT = "frame_digest"
_OUTPUTS = {"num_detections", "detection_boxes", _LABELED_OUTPUT, "detection_classes"}


@dataclass(frozen=True)
class Model:
    """An ensemble that detects objects."""

    name: str
    labels: tuple[str, ...]
    """Class names by class id."""
    input_size: tuple[int, int]
    """Height and width of the network's input, in pixels."""
    steps: tuple[str, ...]
    """Names of the ensemble's steps, in the order of execution."""
    max_batch_size: int
    """Largest number of frames in one request."""
    has_digests: bool
    """Whether it has the output `frame_digest`, which tells which frame an answer belongs to."""
    gpus: tuple[int, ...]
    """GPUs whose memory the server can read frames from, by the server's CUDA numbers; may be
    empty."""

    def finds_as(self, other: Model) -> bool:
        """Whether both look for the same classes, in pictures of the same size."""
        return (self.labels, self.input_size) == (other.labels, other.input_size)

    def downscaled(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a frame downscaled to fit the network's input; never enlarged."""
        return downscaled(height, width, fit=self.input_size)


def describe(client: InferenceServerClient, name: str, *, url: str, timeout_s: float) -> Model:
    """Read the description of the ensemble `name` from a server.

    Raises:
        ServerUnavailable: no server answers at `url`.
        ModelUnavailable: there is no such model, it is not ready, or it is not an ensemble of this
            project.
    """
    with translated(url, name):
        if not client.is_model_ready(name, client_timeout=timeout_s):
            raise ModelUnavailable(
                f"{url} has no model '{name}', or it is not ready: see the server's log, and "
                "restart the server if the model was installed after its start"
            )
        ensemble = _config(client, name, timeout_s)
        steps = tuple(step.model_name for step in ensemble.ensemble_scheduling.step)
        if not steps or not detects(ensemble):
            raise ModelUnavailable(
                f"'{name}' at {url} is not an ensemble of this project: check the name"
            )
        first = _config(client, steps[0], timeout_s)
        _, height, width = next(o.dims for o in first.output if len(o.dims) == 3)
        gpus = {gpu for group in first.instance_group for gpu in group.gpus}
        labels = _labels(client, ensemble, timeout_s)
    return Model(
        name=name,
        labels=labels,
        input_size=(height, width),
        steps=steps,
        max_batch_size=ensemble.max_batch_size,
        has_digests=any(tensor.name == DIGEST_OUTPUT for tensor in ensemble.output),
        gpus=tuple(sorted(gpus)),
    )


def detects(ensemble: ModelConfig) -> bool:
    """Whether a model has the inputs and outputs of this project's ensembles."""
    inputs = [tensor.name for tensor in ensemble.input]
    outputs = {tensor.name for tensor in ensemble.output if tensor.data_type == TYPE_FP32}
    return inputs == [INPUT_NAME] and outputs >= _OUTPUTS


def _config(client: InferenceServerClient, name: str, timeout_s: float) -> ModelConfig:
    return client.get_model_config(name, client_timeout=timeout_s).config


def _labels(
    client: InferenceServerClient, ensemble: ModelConfig, timeout_s: float
) -> tuple[str, ...]:
    """Read labels.txt through Triton's classification extension, by sending one gray pixel.

    For an output with a label file, Triton returns `value:position:label` for the first
    `class_count` values. So a remote client needs no copy of the file.
    """
    rows = next(o.dims[0] for o in ensemble.output if o.name == _LABELED_OUTPUT)
    pixel = InferInput(INPUT_NAME, [1, 1, 1, 3], "UINT8")
    pixel.set_data_from_numpy(np.full((1, 1, 1, 3), 114, np.uint8))
    labeled = InferRequestedOutput(_LABELED_OUTPUT, class_count=rows)
    answer = retry_while_full(
        lambda: client.infer(ensemble.name, [pixel], outputs=[labeled], client_timeout=timeout_s),
        timeout_s=timeout_s,
    )
    found: dict[int, str] = {}
    for entry in answer.as_numpy(_LABELED_OUTPUT)[0]:
        _, position, *label = entry.decode().split(":", 2)
        if label:
            found[int(position)] = label[0]
    return tuple(found[position] for position in range(len(found)))
