"""How frames travel to a server, and what 'auto' makes of it."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from yolostream import gpu_memory
from yolostream.client.model import Model
from yolostream.client.transport.buffers import GrpcSlot, Slot
from yolostream.client.transport.shared_memory import SharedMemorySlot, remove_leftovers
from yolostream.errors import ServerUnavailable

Transport = Literal["auto", "grpc", "shared-memory", "cuda-shared-memory"]

PREFERENCE: tuple[Transport, ...] = ("cuda-shared-memory", "shared-memory")
"""What 'auto' tries before gRPC, best first; nobody else decides that."""

_FIXES = {
    "shared-memory": (
        "{url} does not share this machine's memory ({problem}): use transport 'auto' or 'grpc'"
    ),
    "cuda-shared-memory": (
        "frames cannot reach {url} through GPU memory ({problem}): run Triton on this machine's "
        "GPU, or use transport 'auto'"
    ),
}

_log = logging.getLogger(__name__)


def choose(
    client: InferenceServerClient, model: Model, wanted: Transport, *, url: str, timeout_s: float
) -> Transport:
    """Find out how frames reach the server: never 'auto'.

    Raises:
        ServerUnavailable: not by the transport that was asked for by name.
    """
    for transport in PREFERENCE if wanted == "auto" else (wanted,):
        problem = _problem(client, model, transport, timeout_s)
        if problem is None:
            return transport
        message = _FIXES[transport].format(url=url, problem=problem)
        if wanted != "auto":
            raise ServerUnavailable(message) from (
                problem if isinstance(problem, Exception) else None
            )
        _log.info(message)
    return "grpc"


def new_slot(
    transport: Transport, client: InferenceServerClient, model: Model, *, timeout_s: float
) -> Slot:
    """Room for a frame that travels so."""
    if transport == "cuda-shared-memory":
        # It imports CuPy, which not everybody has.
        from yolostream.client.transport.cuda import CudaSharedMemorySlot

        return CudaSharedMemorySlot(client, gpus=model.gpus, timeout_s=timeout_s)
    if transport == "shared-memory":
        return SharedMemorySlot(client, timeout_s=timeout_s)
    return GrpcSlot()


def _problem(
    client: InferenceServerClient, model: Model, transport: Transport, timeout_s: float
) -> Exception | str | None:
    """Send one black frame; return what hindered the server to find it."""
    if transport == "grpc":
        return None
    if transport == "cuda-shared-memory":
        if lack := gpu_memory.missing():
            return lack
        if not model.gpus:
            return "its steps run on no GPU"
    remove_leftovers()
    probe = new_slot(transport, client, model, timeout_s=timeout_s)
    height, width = model.input_size
    try:
        tensor = probe.write(np.zeros((height, width, 3), np.uint8), height=height, width=width)
        client.infer(model.name, [tensor], client_timeout=timeout_s)
    except (InferenceServerException, OSError) as error:
        return error
    finally:
        probe.close()
    return None
