"""The start-up of nvinferserver: its first requests, and its checks of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.model_config_pb2 import TYPE_UINT8, ModelConfig, ModelInput
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from .config import enum_name
from .errors import StartFailed
from .requests import infer_request

MAX_BATCH_SIZE = 1024

_ORDERS = {
    "TENSOR_ORDER_NONE": None,
    "TENSOR_ORDER_NHWC": "NHWC",
    "TENSOR_ORDER_LINEAR": "NCHW",
}
_FORMATS = {
    ModelInput.FORMAT_NONE: None,
    ModelInput.FORMAT_NHWC: "NHWC",
    ModelInput.FORMAT_NCHW: "NCHW",
}


@dataclass(frozen=True)
class Network:
    """The properties of the model that the element uses."""

    input_name: str
    width: int
    height: int
    outputs: tuple[str, ...]
    """The outputs in every request, in this order."""


def start(stub: GRPCInferenceServiceStub, infer: Message) -> Network:
    """Run the start-up; its inference, with the id "0", is the warm-up.

    Raises:
        StartFailed: nvinferserver would not start.
    """
    if not 0 < infer.max_batch_size <= MAX_BATCH_SIZE:
        raise StartFailed(f"max_batch_size {infer.max_batch_size} is not 1 to {MAX_BATCH_SIZE}")
    triton = infer.backend.triton
    try:
        # The contents of these answers are ignored.
        stub.ServerLive(pb.ServerLiveRequest())
        stub.ServerReady(pb.ServerReadyRequest())
        stub.ModelReady(pb.ModelReadyRequest(name=triton.model_name))
        model = stub.ModelConfig(pb.ModelConfigRequest(name=triton.model_name)).config
        network = check(model, infer)
        stub.ModelInfer(_warm_up(infer, network))
    except grpc.RpcError as error:
        raise StartFailed(f"Triton is away or refuses: {error.details()}") from error
    return network


def check(model: ModelConfig, infer: Message) -> Network:
    """Derive the properties of the model from its configuration and the element's."""
    if len(model.input) != 1:
        names = [tensor.name for tensor in model.input]
        raise StartFailed(f"inputs {names}: more than one needs a custom library")
    (tensor,) = model.input
    if tensor.data_type != TYPE_UINT8:
        raise NotImplementedError(f"input '{tensor.name}' is not UINT8")
    if infer.preprocess.tensor_name not in ("", tensor.name):
        raise StartFailed(f"tensor_name '{infer.preprocess.tensor_name}' is no input")
    order = _order(tensor, infer.preprocess)
    height, width, channels = _dims(tensor, infer.backend.inputs)
    if order != "NHWC" or channels != 3:
        raise StartFailed(f"'{tensor.name}' is read as {order} [{height}, {width}, {channels}]")
    return Network(tensor.name, width, height, _outputs(model, infer.backend.outputs))


def _dims(tensor: ModelInput, configured: Sequence[Message]) -> list[int]:
    """The dims of the model; variable ones are set by the element's configuration."""
    dims = list(tensor.dims)
    # A name that the model lacks is only logged.
    for entry in configured:
        if entry.name == tensor.name and entry.dims:
            if len(entry.dims) != len(dims):
                raise StartFailed(f"'{tensor.name}' {dims} is configured as {list(entry.dims)}")
            dims = [_intersect(tensor.name, *pair) for pair in zip(dims, entry.dims, strict=True)]
    if min(dims) <= 0:
        raise StartFailed(f"'{tensor.name}' has wildcard dims {dims}")
    return dims


def _intersect(name: str, one: int, other: int) -> int:
    if one != other and min(one, other) > 0:
        raise StartFailed(f"'{name}': {other} configured, {one} in the model")
    return max(one, other)


def _order(tensor: ModelInput, preprocess: Message) -> str:
    of_model = _FORMATS[tensor.format]
    configured = _ORDERS[enum_name(preprocess, "tensor_order")]
    if of_model and configured and of_model != configured:
        raise StartFailed(f"tensor_order is {configured}, the model expects {of_model}")
    order = of_model or configured
    if order is None:
        raise StartFailed("tensor_order is not set, and the model does not tell its format")
    return order


def _outputs(model: ModelConfig, configured: Sequence[Message]) -> tuple[str, ...]:
    """The requested outputs, sorted as by a C++ set."""
    names = {output.name for output in model.output}
    wanted = {output.name for output in configured} or names
    if unknown := sorted(wanted - names):
        raise StartFailed(f"outputs {unknown} are not among {sorted(names)}")
    return tuple(sorted(wanted))


def _warm_up(infer: Message, network: Network) -> pb.ModelInferRequest:
    """A full batch of random data: the real element sends uninitialized GPU memory."""
    shape = (infer.max_batch_size, network.height, network.width, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return infer_request(infer.backend.triton, 0, network.input_name, network.outputs, noise)
