"""The network alone through a Triton: a ready-made tensor in, all its rows out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import cycle
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import (
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
    InferResult,
)
from tritonclient.utils import InferenceServerException
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated

from loadtest.errors import LoadTestError

Tensor = npt.NDArray[np.float32]
_TIMEOUT_S = 30.0
_SHARED_MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def network(
    url: str, model: str, *, in_flight: int, shared_memory: bool
) -> Iterator[Callable[[Tensor], Future[Tensor]]]:
    """Connect to a model with one FP32 input and one FP32 output.

    Args:
        url: gRPC address of a Triton.
        model: Its name.
        in_flight: Most tensors on their way at once; the caller keeps to it.
        shared_memory: Whether tensors wait in shared memory, both ways, or travel in messages.

    Yields:
        A function that sends one tensor, float32 [1, 3, H, W], and answers with float32
        [1, rows, 6], or a `ServerError` where the server fails.

    Raises:
        ServerError: There is no such server or model, or it does not share this memory.
        LoadTestError: There is no shared memory left.
    """
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(connect(url))
        with translated(url, model):
            config = client.get_model_config(model, client_timeout=_TIMEOUT_S).config
            tensor, rows = config.input[0], config.output[0]

            def new_slot() -> _Slot:
                if not shared_memory:
                    return _Message(tensor.name, rows.name)
                sent = stack.enter_context(_region(client, (1, *tensor.dims)))
                answered = stack.enter_context(_region(client, (1, *rows.dims)))
                return _Regions(tensor.name, sent, rows.name, answered)

            slots = cycle([new_slot() for _ in range(in_flight)])

        def submit(tensor: Tensor) -> Future[Tensor]:
            slot, future = next(slots), Future[Tensor]()

            def on_answer(
                result: InferResult | None, error: InferenceServerException | None
            ) -> None:
                try:
                    with translated(url, model):
                        if error is not None:
                            raise error
                    future.set_result(slot.read(result))
                except Exception as failure:
                    # Whatever it is belongs to the one who waits, not to gRPC's thread.
                    future.set_exception(failure)

            request, output = slot.write(tensor)
            client.async_infer(
                model, [request], on_answer, outputs=[output], client_timeout=_TIMEOUT_S
            )
            return future

        yield submit


class _Slot(Protocol):
    """Where one tensor waits for the server, and its answer for us."""

    def write(self, tensor: Tensor) -> tuple[InferInput, InferRequestedOutput]: ...

    def read(self, result: InferResult) -> Tensor: ...


class _Message:
    def __init__(self, input_name: str, output_name: str) -> None:
        self._input_name, self._output_name = input_name, output_name

    def write(self, tensor: Tensor) -> tuple[InferInput, InferRequestedOutput]:
        request = InferInput(self._input_name, list(tensor.shape), "FP32")
        request.set_data_from_numpy(tensor)
        return request, InferRequestedOutput(self._output_name)

    def read(self, result: InferResult) -> Tensor:
        rows: Tensor = result.as_numpy(self._output_name)
        return rows


class _Regions:
    def __init__(self, input_name: str, sent: _Region, output_name: str, answered: _Region) -> None:
        self._sent, self._answered = sent, answered
        self._request = InferInput(input_name, list(sent.shape), "FP32")
        self._request.set_shared_memory(sent.memory.name, sent.size)
        self._output = InferRequestedOutput(output_name)
        self._output.set_shared_memory(answered.memory.name, answered.size)

    def write(self, tensor: Tensor) -> tuple[InferInput, InferRequestedOutput]:
        np.copyto(self._sent.array(), tensor)
        return self._request, self._output

    def read(self, result: InferResult) -> Tensor:
        # The next answer comes to the same place.
        return self._answered.array().copy()


class _Region:
    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.size = 4 * int(np.prod(shape))
        try:
            self.memory = _taken(self.size)
        except OSError as error:
            raise LoadTestError(
                f"{_SHARED_MEMORY} has no room for {self.size / 1e6:.1f} MB ({error.strerror}): "
                "remove what was left there, or mount it larger"
            ) from error

    def array(self) -> Tensor:
        return np.ndarray(self.shape, np.float32, self.memory.buf)


def _taken(size: int) -> SharedMemory:
    # Python removes it even where this process is killed.
    memory = SharedMemory(create=True, size=size)
    try:
        with (_SHARED_MEMORY / memory.name).open("rb+") as file:
            # A full /dev/shm would otherwise end the process at the first write.
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        memory.close()
        memory.unlink()
        raise
    return memory


@contextlib.contextmanager
def _region(client: InferenceServerClient, shape: Sequence[int]) -> Iterator[_Region]:
    region = _Region(shape)
    name = region.memory.name
    try:
        client.register_system_shared_memory(
            name, f"/{name}", region.size, client_timeout=_TIMEOUT_S
        )
        yield region
    finally:
        # A server that is gone has forgotten the region already.
        with contextlib.suppress(InferenceServerException):
            client.unregister_system_shared_memory(name, client_timeout=_TIMEOUT_S)
        region.memory.close()
        region.memory.unlink()
