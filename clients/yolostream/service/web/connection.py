"""One connection to the web server, which may be of somebody who means no good."""

from __future__ import annotations

import asyncio
import logging
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

MOST = 1000
"""Connections at once, and never more than half of the files that the process may open: cameras,
workers and files need the others."""

REQUEST_S = 20.0
"""In which a request is whole, but for its body."""

_log = logging.getLogger(__name__)


class Connection(H11Protocol):
    """HTTP as uvicorn has it, within limits.

    Who opens connections and says nothing, or one letter after the other, would keep them for ever.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Listen to somebody, or hang up where too many are listened to."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            # Not once for each: they may be thousands.
            _log.debug("%d connections are open: another one is refused", most_connections())
            transport.abort()
            return
        self.loop.call_later(REQUEST_S, self._look, None)

    def _look(self, before: RequestResponseCycle | None) -> None:
        """Hang up where no request has come since the last look."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            # It is over, or a WebSocket now.
            return
        request = self.cycle
        if request is before and (request is None or request.response_complete):
            self.transport.abort()
            return
        self.loop.call_later(REQUEST_S, self._look, request)


def most_connections() -> int:
    """That are kept at once."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST, files // 2)
