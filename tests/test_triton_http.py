"""Invalid answers of Triton's HTTP port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from tritonclient.utils import InferenceServerException
from yolostream.server.triton_http import TritonHttp


@pytest.fixture
def answering() -> Callable[[bytes], TritonHttp]:
    """Makes a server that answers one request with these bytes and closes the connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(answer: bytes) -> TritonHttp:
        def run() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return TritonHttp(f"127.0.0.1:{listening.getsockname()[1]}")

    with listening:
        yield serve


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 500\r\n\r\n{", "INVALID_ARGUMENT"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "UNAVAILABLE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", "UNAVAILABLE"),
        (b"garbage", "UNAVAILABLE"),
        (b"", "UNAVAILABLE"),
    ],
)
def test_an_incomplete_answer_is_an_error(answering, answer, status) -> None:
    with pytest.raises(InferenceServerException) as raised:
        answering(answer).call("models/yolov7/stats", timeout_s=10)
    assert raised.value.status() == status


def test_a_server_that_closes_the_connection_is_not_ready(answering) -> None:
    assert not answering(b"HTTP/1.1 400 Bad\r\nContent-Length: 500\r\n\r\n{").is_ready()
