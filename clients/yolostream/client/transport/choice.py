"""Chooses the transport of frames to a server."""

from __future__ import annotations

import logging

import numpy as np
from tritonclient.utils import InferenceServerException

from yolostream import gpu_memory
from yolostream.client.ensemble import Ensemble
from yolostream.client.ensemble import Transport as Transport
from yolostream.client.retry import retry_while_full
from yolostream.client.transport.buffers import GrpcBuffer, GrpcFallback, InputBuffer
from yolostream.client.transport.ownership import remove_leftovers
from yolostream.client.transport.shared_memory import SharedMemoryBuffer
from yolostream.errors import ServerUnavailable

PREFERENCE: tuple[Transport, ...] = ("cuda-shared-memory", "shared-memory")
"""Transports that 'auto' tries before gRPC, the fastest first."""

_FIXES = {
    "shared-memory": (
        "{url} cannot read this machine's shared memory ({problem}): use transport 'auto' or 'grpc'"
    ),
    "cuda-shared-memory": (
        "{url} cannot read this machine's GPU memory ({problem}): run Triton on this machine's "
        "GPU, or use transport 'auto'"
    ),
}

_log = logging.getLogger(__name__)


def choose(ensemble: Ensemble, wanted: Transport, *, timeout_s: float) -> Transport:
    """Find a transport that works.

    Args:
        ensemble: the connection to the server.
        wanted: a transport, or 'auto' for the fastest one that works.
        timeout_s: timeout in seconds of each call.

    Returns:
        The transport; never 'auto'.

    Raises:
        ServerUnavailable: the `wanted` transport does not work.
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
        # Not a warning: without a GPU it would appear at every start.
        _log.debug(message)
    return "grpc"


def new_buffer(ensemble: Ensemble, *, timeout_s: float) -> InputBuffer:
    """Make a buffer for requests to this server, with its transport."""
    buffer = _new_buffer(ensemble.transport, ensemble, timeout_s=timeout_s)
    return GrpcFallback(buffer, ensemble.model.name)


def _problem(ensemble: Ensemble, transport: Transport, timeout_s: float) -> Exception | str | None:
    """Why the server cannot read a black frame with this transport; None if it can."""
    if transport == "grpc":
        return None
    if transport == "cuda-shared-memory":
        if lack := gpu_memory.missing():
            return lack
        if not ensemble.model.gpus:
            return "its first step does not run on a GPU"
    remove_leftovers(ensemble.client, timeout_s=timeout_s)
    probe = _new_buffer(transport, ensemble, timeout_s=timeout_s)
    height, width = ensemble.model.input_size
    black = np.zeros((height, width, 3), np.uint8)
    try:
        request = probe.write([black], height=height, width=width).request
        if transport == "shared-memory":
            # Registering has opened the file already. A request would prove no more, and would
            # have to wait in the queue.
            return None
        retry_while_full(lambda: ensemble.infer(request, timeout_s), timeout_s=timeout_s)
    except (InferenceServerException, OSError) as error:
        return error
    finally:
        probe.close()
    return None


def _new_buffer(transport: Transport, ensemble: Ensemble, *, timeout_s: float) -> InputBuffer:
    """Make a buffer of one transport, without the fallback to gRPC."""
    client, model = ensemble.client, ensemble.model
    if transport == "cuda-shared-memory":
        # Imported here, because it imports CuPy, which is optional.
        from yolostream.client.transport.cuda import CudaSharedMemoryBuffer

        return CudaSharedMemoryBuffer(client, model.name, gpus=model.gpus, timeout_s=timeout_s)
    if transport == "shared-memory":
        return SharedMemoryBuffer(client, model.name, timeout_s=timeout_s)
    return GrpcBuffer(model.name)
