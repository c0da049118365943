"""The channel to a server, and what can travel beside it."""

from __future__ import annotations

import numpy as np
from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc._client import MAX_GRPC_MESSAGE_SIZE
from tritonclient.utils import InferenceServerException

from yolostream.model import Model
from yolostream.slots import SharedMemorySlot, remove_leftovers


def connect(url: str) -> InferenceServerClient:
    """Make a client of the server at `url`, `host:port`; nothing is sent yet."""
    arguments = [
        # gRPC's own limits are lifted, as tritonclient does where it is given no arguments.
        ("grpc.max_send_message_length", MAX_GRPC_MESSAGE_SIZE),
        ("grpc.max_receive_message_length", MAX_GRPC_MESSAGE_SIZE),
    ]
    if url.startswith(("127.", "localhost:", "[::1]:")):
        # A proxy in the environment must not come between us and our own machine.
        arguments.append(("grpc.enable_http_proxy", 0))
    return InferenceServerClient(url, channel_args=arguments)


def try_shared_memory(
    client: InferenceServerClient, model: Model, *, timeout_s: float
) -> Exception | None:
    """Send one black frame through shared memory; return what hindered the server to find it."""
    remove_leftovers()
    probe = SharedMemorySlot(client, timeout_s=timeout_s)
    height, width = model.input_size
    try:
        tensor = probe.write(np.zeros((height, width, 3), np.uint8), height=height, width=width)
        client.infer(model.name, [tensor], client_timeout=timeout_s)
    except (InferenceServerException, OSError) as error:
        return error
    finally:
        probe.close()
    return None
