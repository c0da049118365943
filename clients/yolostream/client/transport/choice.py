"""The choice of how frames reach a server."""

from __future__ import annotations

import logging

import numpy as np
from tritonclient.utils import InferenceServerException

from yolostream import gpu_memory
from yolostream.client.ensemble import Ensemble
from yolostream.client.ensemble import Transport as Transport
from yolostream.client.room import until_there_is_room
from yolostream.client.transport.buffers import GrpcBuffer, GrpcFallback, InputBuffer
from yolostream.client.transport.ownership import remove_leftovers
from yolostream.client.transport.shared_memory import SharedMemoryBuffer
from yolostream.errors import ServerUnavailable

PREFERENCE: tuple[Transport, ...] = ("cuda-shared-memory", "shared-memory")
"""What 'auto' tries before gRPC, best first. This is the only place that decides it."""

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


def choose(ensemble: Ensemble, wanted: Transport, *, timeout_s: float) -> Transport:
    """Find a transport that works; never returns 'auto'.

    Raises:
        ServerUnavailable: the transport that was asked for by name does not work.
    """
    for transport in PREFERENCE if wanted == "auto" else (wanted,):
        problem = _problem(ensemble, transport, timeout_s)
        if problem is None:
            return transport
        message = _FIXES[transport].format(url=ensemble.url, problem=problem)
        if wanted != "auto":
            raise ServerUnavailable(message) from (
                problem if isinstance(problem, Exception) else None
            )
        # Nobody asked for it, so it is no news: without a GPU it would be said each time.
        _log.debug(message)
    return "grpc"


def new_buffer(ensemble: Ensemble, *, timeout_s: float) -> InputBuffer:
    """A buffer for the requests to this server."""
    buffer = _new_buffer(ensemble.transport, ensemble, timeout_s=timeout_s)
    return GrpcFallback(buffer, ensemble.model.name)


def _problem(ensemble: Ensemble, transport: Transport, timeout_s: float) -> Exception | str | None:
    """Return what keeps the server from reading a black frame."""
    if transport == "grpc":
        return None
    if transport == "cuda-shared-memory":
        if lack := gpu_memory.missing():
            return lack
        if not ensemble.model.gpus:
            return "its steps run on no GPU"
    remove_leftovers(ensemble.client, timeout_s=timeout_s)
    probe = _new_buffer(transport, ensemble, timeout_s=timeout_s)
    height, width = ensemble.model.input_size
    black = np.zeros((height, width, 3), np.uint8)
    try:
        request = probe.write([black], height=height, width=width).request
        if transport == "shared-memory":
            # The server has opened it: reading it shows no more, and would need a place in a queue.
            return None
        until_there_is_room(lambda: ensemble.infer(request, timeout_s), timeout_s=timeout_s)
    except (InferenceServerException, OSError) as error:
        return error
    finally:
        probe.close()
    return None


def _new_buffer(transport: Transport, ensemble: Ensemble, *, timeout_s: float) -> InputBuffer:
    """A buffer for frames with this transport."""
    client, model = ensemble.client, ensemble.model
    if transport == "cuda-shared-memory":
        # It imports CuPy, which is optional.
        from yolostream.client.transport.cuda import CudaSharedMemoryBuffer

        return CudaSharedMemoryBuffer(client, model.name, gpus=model.gpus, timeout_s=timeout_s)
    if transport == "shared-memory":
        return SharedMemoryBuffer(client, model.name, timeout_s=timeout_s)
    return GrpcBuffer(model.name)
