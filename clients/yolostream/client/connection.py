"""The connection to a server."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from tritonclient.grpc import InferenceServerClient, service_pb2
from tritonclient.grpc.service_pb2 import ModelInferResponse
from tritonclient.utils import InferenceServerException

from yolostream.client.access import OPEN, Access, target_of

Infer = Callable[[bytes, float, str | None], ModelInferResponse]
"""Sends a serialized `ModelInferRequest`, and waits so many seconds for what comes back.

The last one is the `traceparent` of who follows the request, None where nobody does.

Raises `InferenceServerException` as tritonclient does, also once the channel is closed.
"""

_RECONNECT_MS = 1000
"""Longest pause between attempts to reconnect; gRPC's default is two minutes."""

_CONNECT_MS = 3000
"""For one attempt: with TLS, a distant server needs four times as long as its answer travels."""

_KEEPALIVE_MS = 310_000
"""Pause between pings while a call waits. Triton hangs up on those who ping every 300 s or more
often. Without a number here gRPC would ignore `_UNACKNOWLEDGED_MS`."""

_UNACKNOWLEDGED_MS = 3000
"""A connection is lost whose host acknowledges nothing for so long (TCP_USER_TIMEOUT).

By itself TCP would go on for a quarter of an hour with longer and longer pauses, and a call whose
frame is stuck in the socket would outlast its deadline.
"""

_MODEL_INFER = (
    f"/{service_pb2.DESCRIPTOR.services_by_name['GRPCInferenceService'].full_name}/ModelInfer"
)


def connect(url: str, access: Access = OPEN) -> InferenceServerClient:
    """Make a client of the server at `url`, `host:port`; nothing is sent yet.

    Raises:
        AccessDenied: a file of `access` cannot be read.
    """
    credentials = access.credentials_for(url)
    target = target_of(url)
    return access.introduce(
        InferenceServerClient(
            target,
            ssl=credentials is not None,
            creds=credentials,
            channel_args=_channel_arguments(target),
        )
    )


def open_channel(url: str, access: Access = OPEN) -> grpc.Channel:
    """Make a channel for frames; gRPC gives it the TCP connection of the client of this `url`."""
    credentials = access.credentials_for(url)
    target = target_of(url)
    if credentials is None:
        return grpc.insecure_channel(target, options=_channel_arguments(target))
    return grpc.secure_channel(target, credentials, options=_channel_arguments(target))


def is_connected(channel: grpc.Channel) -> bool:
    """Whether there is a connection now; one that was lost is made again by the next request.

    gRPC's public way to learn that is a thread that looks five times a second, and fails loudly
    when the channel is closed.
    """
    try:
        state = channel._channel.check_connectivity_state(False)
    except ValueError:
        # The channel is closed.
        return False
    return bool(state == grpc.ChannelConnectivity.READY.value[0])


def infer_through(channel: grpc.Channel, access: Access = OPEN) -> Infer:
    """A function that sends frames. tritonclient would copy their pixels three times more."""
    metadata = access.metadata
    call = channel.unary_unary(_MODEL_INFER, response_deserializer=ModelInferResponse.FromString)

    def infer(request: bytes, timeout_s: float, traceparent: str | None) -> ModelInferResponse:
        sent = metadata if traceparent is None else (*metadata, ("traceparent", traceparent))
        try:
            return call(request, timeout=timeout_s, metadata=sent)
        except grpc.RpcError as error:
            raise InferenceServerException(error.details(), str(error.code())) from error
        except ValueError as error:
            # gRPC raises this when the channel is closed already.
            raise InferenceServerException(str(error), str(grpc.StatusCode.CANCELLED)) from error

    return infer


def _channel_arguments(url: str) -> list[tuple[str, int]]:
    arguments = [
        # No limits, as in tritonclient where it is given no arguments.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _UNACKNOWLEDGED_MS),
    ]
    if url.startswith(("127.", "localhost:", "[::1]:")):
        # A proxy in the environment must not come between us and our own machine.
        arguments.append(("grpc.enable_http_proxy", 0))
    return arguments
