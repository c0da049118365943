"""One ensemble of one server."""

from __future__ import annotations

from yolostream.client import statistics
from yolostream.client.access import OPEN, Access
from yolostream.client.connection import connect, infer_through, open_channel
from yolostream.client.model import Model, describe


class Ensemble:
    """One ensemble of one server, and the connection to it.

    Args:
        url: gRPC address, `host:port`.
        name: Of the ensemble.
        timeout_s: Seconds for each question to the server.
        access: What the server asks of its clients.

    Raises:
        AccessDenied: the server wants a token, or another one.
        ServerUnavailable: nobody answers at `url`.
        ModelUnavailable: the server has no such model, or it is not ready.
    """

    def __init__(self, url: str, name: str, *, timeout_s: float, access: Access = OPEN) -> None:
        self.url = url
        self.client = connect(url, access)
        self._channel = open_channel(url, access)
        self.infer = infer_through(self._channel, access)
        try:
            self.model: Model = describe(self.client, name, url=url, timeout_s=timeout_s)
        except BaseException:
            self.close()
            raise

    def statistics(self, *, timeout_s: float) -> dict[str, statistics.StepTotals]:
        """Triton's totals for each step, in the order a frame passes them.

        Raises:
            ServerError: the server does not tell, or is away.
        """
        return statistics.read(self.client, self.model.steps, url=self.url, timeout_s=timeout_s)

    def close(self) -> None:
        """Give back the connection; requests on their way end with `ServerUnavailable`."""
        self._channel.close()
        self.client.close()
