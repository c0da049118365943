"""Builds the serialized `ModelInferRequest` that is sent to the server."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tritonclient.grpc.service_pb2 import ModelInferRequest

from yolostream.image import Image

INPUT_NAME = "frames"

_LENGTH_DELIMITED = 2
_PIXELS_TAG = bytes([ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])


@dataclass(frozen=True)
class Message:
    """A request that is ready to send, and the digests of its frames."""

    request: bytes
    """The serialized `ModelInferRequest`."""
    digests: npt.NDArray[np.float32]
    """float32 [n, 2]: digests of the frames as they are sent; see `yolostream.client.digest`."""


@functools.lru_cache(maxsize=1024)
def request(model: str, shape: tuple[int, int, int, int], *, region: str = "") -> bytes:
    """Build a request for the detections in some frames.

    Args:
        model: name of the ensemble.
        shape: number of frames, height, width, 3.
        region: name of the shared memory that begins with the frames. If it is empty, add the
            pixels with `with_pixels`.
    """
    message = ModelInferRequest(model_name=model)
    tensor = message.inputs.add(name=INPUT_NAME, datatype="UINT8", shape=shape)
    if region:
        tensor.parameters["shared_memory_region"].string_param = region
        tensor.parameters["shared_memory_byte_size"].int64_param = math.prod(shape)
    return message.SerializeToString()  # type: ignore[no-any-return]  # protobuf has no types


def with_pixels(request: bytes, frames: Sequence[Image]) -> bytes:
    """Append the pixels of the frames, uint8 [H, W, 3] each, to a request.

    Protobuf allows appending fields to a serialized message, so the pixels are copied once.
    Protobuf itself would copy them three times, each time into newly allocated memory.
    """
    size = sum(frame.nbytes for frame in frames)
    pixels = (np.ascontiguousarray(frame).data for frame in frames)
    return b"".join((request, _PIXELS_TAG, _varint(size), *pixels))


def pixels_in(request: bytes, shape: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """A view of the pixels that `with_pixels` appended to a request, uint8 [*shape]."""
    return np.frombuffer(request, np.uint8, offset=len(request) - math.prod(shape)).reshape(shape)


def _varint(number: int) -> bytes:
    """Encode a number for protobuf: 7 bits per byte, lowest first; the top bit means "more"."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
