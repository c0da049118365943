"""What Triton's Python backend gives to a `model.py`, as far as it is used here.

The module exists only inside of the server. Its own words:
https://github.com/triton-inference-server/python_backend
"""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from typing_extensions import CapsuleType

class TritonModelException(Exception):
    """What a step raises; the server's log says it."""

class TritonError:
    """Why one request fails."""

    INTERNAL: int
    INVALID_ARG: int

    def __init__(self, message: str, code: int = ...) -> None: ...

class Tensor:
    """A named array, in host memory or on a GPU; it can be exported by DLPack."""

    def __init__(self, name: str, array: npt.NDArray[Any]) -> None: ...
    @staticmethod
    def from_dlpack(name: str, capsule: object) -> Tensor: ...
    def name(self) -> str: ...
    def shape(self) -> tuple[int, ...]: ...
    def triton_dtype(self) -> int: ...
    def is_cpu(self) -> bool: ...
    def as_numpy(self) -> npt.NDArray[Any]: ...
    def to_dlpack(self) -> CapsuleType: ...
    def __dlpack__(self, *, stream: Any = None, **options: Any) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class InferenceRequest:
    """What one caller asks for."""

class InferenceResponse:
    """The answer to one request."""

    def __init__(
        self, output_tensors: Sequence[Tensor] = ..., error: TritonError | None = None
    ) -> None: ...

# None where the caller left an optional input out; no step asks for another one that is missing.
def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Any: ...
def get_output_config_by_name(model_config: dict[str, Any], name: str) -> dict[str, Any]: ...
