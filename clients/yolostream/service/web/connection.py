"""Limits for connections to the web server, against clients that exhaust it."""

from __future__ import annotations

import asyncio
import logging
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

MAX_CONNECTIONS = 1000
"""Largest number of open connections; see also `max_connections`."""

REQUEST_S = 20.0
"""Seconds within which a request has to arrive, except for its body."""

_log = logging.getLogger(__name__)


class Connection(H11Protocol):
    """The HTTP protocol of uvicorn, with a limit on connections and a timeout for requests.

    Without the timeout, clients that send nothing, or one byte at a time, could hold their
    connections forever (a "Slowloris" attack).
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a new connection, or close it if too many are open."""
        super().connection_made(transport)
        if len(self.connections) > max_connections():
            # An attack would fill the log at a higher level.
            _log.debug("%d connections are open: a new one is closed", max_connections())
            transport.abort()
            return
        self.loop.call_later(REQUEST_S, self._close_if_idle, None)

    def _close_if_idle(self, before: RequestResponseCycle | None) -> None:
        """Close the connection if no new request has arrived since the last check.

        Args:
            before: the newest request at the last check.
        """
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            # The connection is closed, or has become a WebSocket.
            return
        request = self.cycle
        if request is before and (request is None or request.response_complete):
            self.transport.abort()
            return
        self.loop.call_later(REQUEST_S, self._close_if_idle, request)


def max_connections() -> int:
    """Largest number of open connections.

    They use at most half of the file descriptors of the process: cameras, workers and files need
    the others.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_CONNECTIONS, files // 2)
