"""The connection to one ensemble of one server."""

from __future__ import annotations

import threading
from typing import Literal

from tritonclient.grpc.service_pb2 import ModelInferResponse

from yolostream.client import statistics
from yolostream.client.access import OPEN, Access
from yolostream.client.connection import connect, infer_through, is_connected, open_channel
from yolostream.client.model import Model, describe
from yolostream.client.triton_errors import translated
from yolostream.errors import DeadlineExceeded

Transport = Literal["auto", "grpc", "shared-memory", "cuda-shared-memory"]


class Ensemble:
    """One ensemble of one server, and the connection to it.

    Args:
        url: gRPC address, `host:port`.
        name: name of the ensemble.
        timeout_s: timeout in seconds of each call to the server.
        access: token and TLS files.

    Raises:
        AccessDenied: the token is missing or wrong.
        ServerUnavailable: no server answers at `url`.
        ModelUnavailable: the server does not have the model, or the model is not ready.
    """

    def __init__(self, url: str, name: str, *, timeout_s: float, access: Access = OPEN) -> None:
        self.url = url
        self.transport: Transport = "grpc"
        """How frames are sent to it; never "auto"."""
        self.client = connect(url, access)
        self._channel = open_channel(url, access)
        self._infer = infer_through(self._channel, access)
        self.interruptions = 0
        """How often the server was unreachable. Afterwards it may be another server or model."""
        self._described_after = 0
        self._describing = threading.Lock()
        self._has_answered = False
        """Whether a request was answered since the connection was last found lost."""
        self.is_closed = False
        try:
            self.model: Model = describe(self.client, name, url=url, timeout_s=timeout_s)
        except BaseException:
            self.close()
            raise

    def infer(
        self, request: bytes, timeout_s: float, traceparent: str | None = None
    ) -> ModelInferResponse:
        """Send a request; see `connection.Infer`."""
        response = self._infer(request, timeout_s, traceparent)
        self._has_answered = True
        return response

    def note_interruption(self) -> None:
        """Make `refresh` read the model's description again before the next request."""
        self.interruptions += 1

    def refresh(self, *, timeout_s: float) -> None:
        """Read the model's description again if there was an interruption since the last time.

        Args:
            timeout_s: timeout in seconds of each call to the server.

        Raises:
            ServerUnavailable: no server answers.
            ModelUnavailable: the server no longer has the model, or it is not ready.
            DeadlineExceeded: another thread has been reading the description for `timeout_s`.
        """
        if self._has_answered and not is_connected(self._channel):
            # The connection was lost between two requests, so no request has failed.
            self._has_answered = False
            self.note_interruption()
        if self._described_after == self.interruptions:
            return
        if not self._describing.acquire(timeout=timeout_s):
            raise DeadlineExceeded(
                f"{self.url} did not describe its model within {timeout_s:g} s: see its log"
            )
        try:
            after = self.interruptions
            if self._described_after != after:
                name = self.model.name
                self.model = describe(self.client, name, url=self.url, timeout_s=timeout_s)
                self._described_after = after
        finally:
            self._describing.release()

    def is_ready(self, *, timeout_s: float) -> bool:
        """Whether the server reports the model as ready.

        Raises:
            ServerUnavailable: no server answers.
        """
        with translated(self.url, self.model.name):
            return bool(self.client.is_model_ready(self.model.name, client_timeout=timeout_s))

    def statistics(self, *, timeout_s: float) -> dict[str, statistics.StepTotals]:
        """Triton's statistics of each step, in the order of execution.

        Raises:
            ServerError: the server denies access to its statistics, or cannot be reached.
        """
        return statistics.read(self.client, self.model.steps, url=self.url, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the connection; requests in flight fail with `ServerUnavailable`."""
        self.is_closed = True
        self._channel.close()
        self.client.close()
