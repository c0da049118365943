"""Chooses a server for each request, and leaves out servers that fail."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from yolostream.client.addresses import may_change, resolve
from yolostream.client.ensemble import Ensemble
from yolostream.client.model import Model
from yolostream.errors import ServerError, ServerUnavailable, YolostreamError

PROBE_S = 1.0
"""Interval of the health probes and name look-ups, if there are several servers."""

_PROBE_TIMEOUT_S = 2.0
"""Timeout of a health probe. Probes do not wait in the queue of frames."""

_log = logging.getLogger(__name__)

AnyServer = TypeVar("AnyServer")


@dataclass
class Endpoint:
    """One address, with a circuit breaker."""

    url: str
    ensemble: Ensemble | None = None
    """The connection to it; None before the first success."""
    described: Model | None = None
    """The description of its model that was compared with the others' last."""
    problem: YolostreamError | None = None
    """The error that opened the circuit breaker. A successful probe closes it again."""

    @property
    def takes_frames(self) -> bool:
        """Whether requests may be sent there."""
        return self.ensemble is not None and self.problem is None


def least_busy(
    servers: Sequence[AnyServer], in_flight: Mapping[AnyServer, int]
) -> AnyServer | None:
    """The server with the fewest requests in flight, by chance if several have; None if empty."""
    return min(servers, key=lambda one: (in_flight.get(one, 0), random.random()), default=None)


class Servers:
    """One server, or several that serve the same ensemble.

    A single server is always chosen, and the caller gets its errors. Of several servers, one that
    fails or is not ready is left out until a probe finds it ready again.

    Args:
        urls: addresses, or names that stand for several; see `addresses.resolve`.
        connect: makes the connection to one address.
        in_flight: returns the number of requests in flight at each server.

    Raises:
        ServerError: no server can be used; this is the error of the first.
    """

    def __init__(
        self,
        urls: Sequence[str],
        connect: Callable[[str], Ensemble],
        in_flight: Callable[[], Mapping[Ensemble, int]],
    ) -> None:
        self._urls = urls
        self._connect = connect
        self._in_flight = in_flight
        self._closed = threading.Event()
        self._endpoints = [Endpoint(address) for address in resolve(self._urls)]
        self._leaving: list[Endpoint] = []
        self._watcher: threading.Thread | None = None
        try:
            for endpoint in self._endpoints:
                self._probe(endpoint)
            self._first = self._any()
        except BaseException:
            self.close()
            raise
        self._only = len(self._endpoints) == 1 and not may_change(self._urls)
        if not self._only:
            self._watcher = threading.Thread(
                target=self._watch, name="yolostream-servers", daemon=True
            )
            self._watcher.start()

    @property
    def url(self) -> str:
        """The addresses of all servers, separated by commas."""
        return ",".join(self._urls)

    @property
    def first(self) -> Ensemble:
        """A server that takes frames, if there is one. Its model describes those of all servers."""
        if not self._only and not any(e.ensemble is self._first for e in self._usable()):
            self._first = next((e.ensemble for e in self._usable() if e.ensemble), self._first)
        return self._first

    @property
    def connected(self) -> list[Ensemble]:
        """All servers that take frames."""
        if self._only:
            return [self._first]
        return [e.ensemble for e in self._usable() if e.ensemble is not None]

    def choose(self) -> Ensemble:
        """The server for the next request.

        Raises:
            ServerError: none of several takes frames.
        """
        if self._only:
            return self._first
        return least_busy(self.connected, self._in_flight()) or self._any()

    def another(self, than: Ensemble) -> Ensemble | None:
        """A server for a request that `than` has failed; None if there is none."""
        others = [one for one in self.connected if one is not than]
        return least_busy(others, self._in_flight())

    def report(self, ensemble: Ensemble, error: ServerError) -> None:
        """Note that a server has failed. Of several servers, it gets no further requests."""
        ensemble.note_interruption()
        for endpoint in self._endpoints:
            if not self._only and endpoint.ensemble is ensemble:
                self._leave_out(endpoint, error)

    def close(self) -> None:
        """Close all connections."""
        self._closed.set()
        if self._watcher is not None:
            self._watcher.join(_PROBE_TIMEOUT_S)
        for endpoint in (*self._endpoints, *self._leaving):
            if endpoint.ensemble is not None:
                endpoint.ensemble.close()

    def _usable(self) -> list[Endpoint]:
        return [endpoint for endpoint in self._endpoints if endpoint.takes_frames]

    def _any(self) -> Ensemble:
        for endpoint in self._usable():
            if endpoint.ensemble is not None:
                return endpoint.ensemble
        problems = [endpoint.problem for endpoint in self._endpoints]
        raise problems[0] or ServerUnavailable(
            f"none of the servers {self.url} takes frames: see their logs"
        )

    def _watch(self) -> None:
        """Probe all servers and resolve their names, until `close`."""
        while not self._closed.wait(PROBE_S):
            try:
                self._look_up()
                self._disconnect_idle()
                for endpoint in self._endpoints:
                    self._probe(endpoint)
            except Exception as error:
                # gRPC raises ValueError if the channel is closed.
                if not self._closed.is_set():
                    _log.warning("a health probe of the servers failed, and is repeated: %r", error)

    def _look_up(self) -> None:
        if not may_change(self._urls):
            return
        try:
            addresses = resolve(self._urls)
        except ServerUnavailable:
            # If the name server fails, the known addresses stay in use.
            return
        known = {endpoint.url: endpoint for endpoint in self._endpoints}
        self._leaving += [endpoint for url, endpoint in known.items() if url not in addresses]
        self._endpoints = [known.get(url) or Endpoint(url) for url in addresses]

    def _disconnect_idle(self) -> None:
        """Close the connections to removed addresses that have no requests in flight."""
        in_flight = self._in_flight()
        for endpoint in list(self._leaving):
            ensemble = endpoint.ensemble
            if ensemble is None or not in_flight.get(ensemble):
                self._leaving.remove(endpoint)
                if ensemble is not None:
                    ensemble.close()

    def _probe(self, endpoint: Endpoint) -> None:
        try:
            if endpoint.ensemble is None:
                endpoint.ensemble = self._connect(endpoint.url)
            elif endpoint.ensemble.is_ready(timeout_s=_PROBE_TIMEOUT_S):
                endpoint.ensemble.refresh(timeout_s=_PROBE_TIMEOUT_S)
            else:
                raise ServerUnavailable(
                    f"{endpoint.url} is not ready: it is starting, stopping, or see its log"
                )
        except YolostreamError as error:
            self._leave_out(endpoint, error)
        else:
            if endpoint.problem is not None:
                _log.info("%s takes frames again", endpoint.url)
            endpoint.problem = None
            self._compare(endpoint, endpoint.ensemble.model)

    def _compare(self, endpoint: Endpoint, model: Model) -> None:
        """Say it once if others serve something else under the name of this model.

        Each answer has the classes of the server that it came from, so they go on.
        """
        if endpoint.described is model:
            return
        endpoint.described = model
        for other in self._endpoints:
            if other.described is not None and not other.described.finds_as(model):
                _log.warning(
                    "%s serves another '%s' than %s, with other classes or another size of input: "
                    "install the same on both",
                    endpoint.url,
                    model.name,
                    other.url,
                )
                return

    def _leave_out(self, endpoint: Endpoint, error: YolostreamError) -> None:
        if endpoint.problem is None and len(self._endpoints) > 1:
            _log.warning("%s gets no frames until it is ready again: %s", endpoint.url, error)
        endpoint.problem = error
