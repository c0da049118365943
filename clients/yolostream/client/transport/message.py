"""What is sent to the server: a `ModelInferRequest`, serialized."""

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
    """Frames that are ready to go."""

    request: bytes
    """The serialized `ModelInferRequest`."""
    digests: npt.NDArray[np.float32]
    """float32 [n, 2]: which frames they are, as they are sent; see `yolostream.client.digest`."""


@functools.lru_cache(maxsize=1024)
def request(model: str, shape: tuple[int, int, int, int], *, region: str = "") -> bytes:
    """A request for the detections in some frames.

    Args:
        model: Name of the ensemble.
        shape: Number of frames, height, width, 3.
        region: Name of the shared memory that starts with the frames; without one, add their pixels
            with `with_pixels`.
    """
    message = ModelInferRequest(model_name=model)
    tensor = message.inputs.add(name=INPUT_NAME, datatype="UINT8", shape=shape)
    if region:
        tensor.parameters["shared_memory_region"].string_param = region
        tensor.parameters["shared_memory_byte_size"].int64_param = math.prod(shape)
    return message.SerializeToString()  # type: ignore[no-any-return]  # protobuf has no types


def with_pixels(request: bytes, frames: Sequence[Image]) -> bytes:
    """The request, with the pixels of its frames, uint8 [H, W, 3] each.

    Further fields may be appended to a serialized message. So the pixels are copied once; protobuf
    would copy them three times, each time into newly allocated memory.
    """
    size = sum(frame.nbytes for frame in frames)
    pixels = (np.ascontiguousarray(frame).data for frame in frames)
    return b"".join((request, _PIXELS_TAG, _varint(size), *pixels))


def pixels_in(request: bytes, shape: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """The pixels that `with_pixels` put into a request, uint8 [*shape], without a copy."""
    return np.frombuffer(request, np.uint8, offset=len(request) - math.prod(shape)).reshape(shape)


def _varint(number: int) -> bytes:
    """A number as protobuf encodes it: 7 bits a byte, lowest first; the top bit means "more"."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
