"""gRPC connections to a server."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from tritonclient.grpc import InferenceServerClient, service_pb2
from tritonclient.grpc.service_pb2 import ModelInferResponse
from tritonclient.utils import InferenceServerException

from yolostream.client.access import OPEN, Access, target_of

Infer = Callable[[bytes, float, str | None], ModelInferResponse]
"""Sends a serialized `ModelInferRequest` and waits for the response.

The arguments are the request, the timeout in seconds, and the `traceparent` of the caller's span
(None without tracing). It raises `InferenceServerException` as tritonclient does, also after the
channel was closed.
"""

_RECONNECT_MS = 1000
"""Longest pause between attempts to reconnect. gRPC's default is two minutes."""

_CONNECT_MS = 3000
"""Timeout of one attempt to connect. With TLS it takes about four round trips."""

_KEEPALIVE_MS = 310_000
"""Interval of keepalive pings during a call.

Triton closes connections that ping every 300 s or more often. gRPC applies `_UNACKNOWLEDGED_MS`
only if this interval is set.
"""

_UNACKNOWLEDGED_MS = 3000
"""A connection counts as lost if sent data is not acknowledged for so long (TCP_USER_TIMEOUT).

By default TCP retransmits for 15 minutes, and a call whose frame is still in the socket's buffer
would outlast its deadline.
"""

_MODEL_INFER = (
    f"/{service_pb2.DESCRIPTOR.services_by_name['GRPCInferenceService'].full_name}/ModelInfer"
)


def connect(url: str, access: Access = OPEN) -> InferenceServerClient:
    """Make a tritonclient for the server at `url`, `host:port`; it sends nothing yet.

    Raises:
        AccessDenied: a file of `access` cannot be read.
    """
    credentials = access.credentials_for(url)
    target = target_of(url)
    return access.authenticate(
        InferenceServerClient(
            target,
            ssl=credentials is not None,
            creds=credentials,
            channel_args=_channel_arguments(target),
        )
    )


def open_channel(url: str, access: Access = OPEN) -> grpc.Channel:
    """Make a channel for frames. gRPC shares one TCP connection between it and `connect`'s client.

    Raises:
        AccessDenied: a file of `access` cannot be read.
    """
    credentials = access.credentials_for(url)
    target = target_of(url)
    if credentials is None:
        return grpc.insecure_channel(target, options=_channel_arguments(target))
    return grpc.secure_channel(target, credentials, options=_channel_arguments(target))


def is_connected(channel: grpc.Channel) -> bool:
    """Whether the channel is connected now. After a loss, the next request connects it again.

    This uses a private attribute: gRPC's public `subscribe` polls five times a second in a thread
    of its own, and that thread prints a traceback when the channel is closed.
    """
    try:
        state = channel._channel.check_connectivity_state(False)
    except ValueError:
        # The channel is closed.
        return False
    return bool(state == grpc.ChannelConnectivity.READY.value[0])


def infer_through(channel: grpc.Channel, access: Access = OPEN) -> Infer:
    """Make the function that sends frames. tritonclient would copy the pixels three more times."""
    metadata = access.metadata
    call = channel.unary_unary(_MODEL_INFER, response_deserializer=ModelInferResponse.FromString)

    def infer(request: bytes, timeout_s: float, traceparent: str | None) -> ModelInferResponse:
        sent = metadata if traceparent is None else (*metadata, ("traceparent", traceparent))
        try:
            return call(request, timeout=timeout_s, metadata=sent)
        except grpc.RpcError as error:
            raise InferenceServerException(error.details(), str(error.code())) from error
        except ValueError as error:
            # gRPC raises ValueError if the channel is closed.
            raise InferenceServerException(str(error), str(grpc.StatusCode.CANCELLED)) from error

    return infer


def _channel_arguments(url: str) -> list[tuple[str, int]]:
    arguments = [
        # No limits on message sizes: tritonclient's default, which these arguments replace.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _UNACKNOWLEDGED_MS),
    ]
    if url.startswith(("127.", "localhost:", "[::1]:")):
        # Connections to this machine must not go through a proxy from the environment.
        arguments.append(("grpc.enable_http_proxy", 0))
    return arguments
