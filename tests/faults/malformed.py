"""Malformed requests; each function sends one kind."""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from uuid import uuid4

import grpc
from tritonclient.grpc.service_pb2 import ModelInferRequest

_SIZES = (-1, 0, 1, 2, 3, 4, 6, 300, 640, 8192, 8193, 25200, 1 << 20, 1 << 31, 1 << 32, 1 << 62)
_TYPES = ("UINT8", "FP32", "FP16", "INT64", "BYTES", "BOOL", "", "uint8", "FRAMES")
_INPUTS = {
    "yolov7": ["frames"],
    "preprocess": ["frames"],
    "yolov7_fp16": ["input", "letterbox"],
    "nms": ["output", "letterbox"],
}
_SERVICE = "/inference.GRPCInferenceService/"
_METHODS = ("ModelInfer", "ModelConfig", "ModelStatistics", "RepositoryIndex", "TraceSetting")
_TIMEOUT_S = 5.0
# 2**62 * 4 * 3 is 3 * 2**64, which overflows to 0 in 64 bits.
_OVERFLOW = 1 << 62


class Target:
    """Sends requests to a server.

    Args:
        grpc_url: `host:port`.
        http_url: `host:port`.
    """

    def __init__(self, grpc_url: str, http_url: str) -> None:
        self._channel = grpc.insecure_channel(grpc_url, [("grpc.max_send_message_length", -1)])
        self._http = http_url.rpartition(":")

    def call(self, request: bytes, method: str = "ModelInfer") -> None:
        """Send bytes to a gRPC method; any response, also an error, is accepted."""
        with contextlib.suppress(grpc.RpcError):
            self._channel.unary_unary(_SERVICE + method)(request, timeout=_TIMEOUT_S)

    def post(self, path: str, body: bytes, headers: str = "") -> None:
        """Send an HTTP request, with the right Content-Length unless `headers` contains one."""
        length = "" if "Content-Length" in headers else f"Content-Length: {len(body)}\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}{headers}\r\n"
        host, _, port = self._http
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))) as wire:
            wire.settimeout(_TIMEOUT_S)
            wire.sendall(head.encode() + body)
            while wire.recv(65536):
                pass

    def close(self) -> None:
        self._channel.close()


def shapes(target: Target, chance: Random) -> None:
    """A random shape with a random number of bytes."""
    model = chance.choice(list(_INPUTS))
    request = ModelInferRequest(model_name=model)
    for name in _INPUTS[model]:
        shape = [chance.choice(_SIZES) for _ in range(chance.randrange(6))]
        _add(request, name, shape, bytes(chance.choice((0, 1, 12, 1000, 100_000))))
    target.call(request.SerializeToString())


def types(target: Target, chance: Random) -> None:
    """A random type with a valid shape."""
    request = ModelInferRequest(model_name="yolov7")
    _add(request, "frames", [1, 4, 4, 3], bytes(48), chance.choice(_TYPES))
    target.call(request.SerializeToString())


def names(target: Target, chance: Random) -> None:
    """Names of models, versions, inputs and outputs that do not exist, or occur twice."""
    request = ModelInferRequest(
        model_name=chance.choice((*_INPUTS, "", "no", "../yolov7", "x" * 9999))
    )
    request.model_version = chance.choice(("", "", "1", "2", "-1", "x"))
    for _ in range(chance.randrange(4)):
        name = chance.choice(("frames", "input", "output", "letterbox", "", "no"))
        _add(request, name, [1, 4, 4, 3], bytes(48))
    for _ in range(chance.randrange(3)):
        request.outputs.add(name=chance.choice(("frame_digest", "images", "", "no")))
    if chance.random() < 0.3:
        request.parameters["sequence_id"].int64_param = chance.choice((-1, 1, 1 << 62))
    target.call(request.SerializeToString())


def broken_messages(target: Target, chance: Random) -> None:
    """Random bytes, and valid messages that are truncated or changed."""
    request = ModelInferRequest(model_name="yolov7")
    _add(request, "frames", [1, 4, 4, 3], bytes(48))
    good = bytearray(request.SerializeToString())
    for _ in range(chance.randrange(1, 5)):
        good[chance.randrange(len(good))] = chance.randrange(256)
    cut = bytes(good[: chance.randrange(len(good))])
    noise = chance.randbytes(chance.randrange(500))
    target.call(chance.choice((bytes(good), cut, noise)), chance.choice(_METHODS))


def unknown_regions(target: Target, chance: Random) -> None:
    """Shared memory that is not registered."""
    request = ModelInferRequest(model_name="yolov7")
    tensor = request.inputs.add(name="frames", datatype="UINT8", shape=[1, 4, 4, 3])
    tensor.parameters["shared_memory_region"].string_param = chance.choice(("", "no", "../x"))
    for key in ("shared_memory_byte_size", "shared_memory_offset"):
        tensor.parameters[key].int64_param = chance.choice((*_SIZES, -(1 << 62)))
    target.call(request.SerializeToString())


def http_bodies(target: Target, chance: Random) -> None:
    """Invalid JSON, or JSON whose declared shape or length is wrong."""
    shape = [chance.choice(_SIZES[:9]) for _ in range(4)]
    tensor = {"name": "frames", "datatype": chance.choice(_TYPES), "shape": shape}
    tensor["data"] = chance.choice(([0] * 12, [], "x", None, [[1, [2]]], {"a": 1}))
    if chance.random() < 0.3:
        tensor["parameters"] = {"binary_data_size": chance.choice(_SIZES)}
    body = json.dumps({"inputs": [tensor]}).encode()
    body = chance.choice((body, body[: chance.randrange(len(body))], chance.randbytes(99)))
    length = f"Inference-Header-Content-Length: {chance.choice((-1, 0, len(body), 1 << 40))}\r\n"
    target.post("/v2/models/yolov7/infer", body, chance.choice(("", length)))


def overflowing_frames(target: Target, chance: Random) -> None:
    """A shape whose size in bytes overflows to 0."""
    request = ModelInferRequest(model_name=chance.choice(("yolov7", "preprocess")))
    _add(request, "frames", [1, _OVERFLOW, 4, 3], b"")
    target.call(request.SerializeToString())


def overflowing_rows(target: Target, chance: Random) -> None:
    """The same for the last step."""
    request = ModelInferRequest(model_name="nms")
    _add(request, "output", [1, _OVERFLOW, 6], b"", "FP32")
    _add(request, "letterbox", [1, 6], bytes(24), "FP32")
    target.call(request.SerializeToString())


def huge_json_shape(target: Target, chance: Random) -> None:
    """A shape of three terabytes with a few bytes of data."""
    tensor = {"name": "frames", "datatype": "UINT8", "shape": [1, 1 << 20, 1 << 20, 3]}
    body = json.dumps({"inputs": [{**tensor, "data": [0] * 12}]}).encode()
    target.post("/v2/models/yolov7/infer", body)


def nested_json(target: Target, chance: Random) -> None:
    """A megabyte of opening brackets."""
    target.post("/v2/models/yolov7/infer", b"[" * (1 << 20))


def output_beyond_its_region(target: Target, chance: Random) -> None:
    """An output in shared memory, with -1 bytes near the end of the region."""
    with _region(target, 1 << 16) as name:
        request = ModelInferRequest(model_name="yolov7")
        _add(request, "frames", [1, 4, 4, 3], bytes(48))
        output = request.outputs.add(name="detection_boxes")
        output.parameters["shared_memory_region"].string_param = name
        output.parameters["shared_memory_byte_size"].int64_param = -1
        output.parameters["shared_memory_offset"].int64_param = (1 << 16) - 8
        target.call(request.SerializeToString())


def truncated_region(target: Target, chance: Random) -> None:
    """A registered region whose file is truncated afterwards."""
    with _region(target, 1 << 20) as name:
        with Path("/dev/shm", name).open("r+b") as file:
            file.truncate(0)
        request = ModelInferRequest(model_name="yolov7")
        shape = [1, 512, 512, 3]
        tensor = request.inputs.add(name="frames", datatype="UINT8", shape=shape)
        tensor.parameters["shared_memory_region"].string_param = name
        tensor.parameters["shared_memory_byte_size"].int64_param = math.prod(shape)
        target.call(request.SerializeToString())


Send = Callable[[Target, Random], None]
HARMLESS: tuple[Send, ...] = (
    *(shapes, types, names, broken_messages, unknown_regions, http_bodies),
)
KNOWN_TO_KILL: tuple[Send, ...] = (
    *(overflowing_frames, overflowing_rows, huge_json_shape, nested_json),
    *(output_beyond_its_region, truncated_region),
)


def _add(
    request: ModelInferRequest, name: str, shape: list[int], content: bytes, type_: str = "UINT8"
) -> None:
    request.inputs.add(name=name, datatype=type_, shape=shape)
    request.raw_input_contents.append(content)


@contextlib.contextmanager
def _region(target: Target, size: int) -> Iterator[str]:
    """Create a file in /dev/shm and register it as shared memory."""
    name = f"malformed-{uuid4().hex}"
    path = Path("/dev/shm", name)
    with path.open("xb+") as file:
        file.truncate(size)
        with mmap.mmap(file.fileno(), size):
            base = f"/v2/systemsharedmemory/region/{name}"
            body = json.dumps({"key": f"/{name}", "byte_size": size}).encode()
            target.post(f"{base}/register", body)
            try:
                yield name
            finally:
                target.post(f"{base}/unregister", b"")
                path.unlink()
