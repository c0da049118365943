"""The channel to a server."""

from __future__ import annotations

from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc._client import MAX_GRPC_MESSAGE_SIZE

_RECONNECT_MS = 1000
"""A server that is back is found within this time; gRPC's own is up to two minutes."""


def connect(url: str) -> InferenceServerClient:
    """Make a client of the server at `url`, `host:port`; nothing is sent yet."""
    arguments = [
        # gRPC's own limits are lifted, as tritonclient does where it is given no arguments.
        ("grpc.max_send_message_length", MAX_GRPC_MESSAGE_SIZE),
        ("grpc.max_receive_message_length", MAX_GRPC_MESSAGE_SIZE),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
    ]
    if url.startswith(("127.", "localhost:", "[::1]:")):
        # A proxy in the environment must not come between us and our own machine.
        arguments.append(("grpc.enable_http_proxy", 0))
    return InferenceServerClient(url, channel_args=arguments)
