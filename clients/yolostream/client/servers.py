"""The servers that frames go to: which gets the next one, and who of them is left out."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from yolostream.client.addresses import may_change, resolve
from yolostream.client.ensemble import Ensemble
from yolostream.errors import ServerError, ServerUnavailable, YolostreamError

PROBE_S = 1.0
"""Pause between looks at each of several servers: whether it takes frames, whether one came."""

_PROBE_TIMEOUT_S = 2.0
"""For a server's answer to that; it needs no place in a queue."""

_log = logging.getLogger(__name__)

AnyServer = TypeVar("AnyServer")


@dataclass
class Endpoint:
    """One address."""

    url: str
    ensemble: Ensemble | None = None
    """Its ensemble; None until it was connected once."""
    problem: YolostreamError | None = None
    """Why it gets no frames: the breaker is open. A probe that succeeds closes it."""

    @property
    def takes_frames(self) -> bool:
        """Whether it may be chosen."""
        return self.ensemble is not None and self.problem is None


def least_busy(
    servers: Sequence[AnyServer], in_flight: Mapping[AnyServer, int]
) -> AnyServer | None:
    """The server with the fewest requests on their way, any of those; None of none."""
    return min(servers, key=lambda one: (in_flight.get(one, 0), random.random()), default=None)


class Servers:
    """One server, or several that serve the same ensemble.

    One alone is always chosen, and its errors are the caller's. Of several, one that fails or is
    not ready is left out until a probe finds it ready again.

    Args:
        urls: of each, or of a name that stands for several; see `addresses.resolve`.
        connect: makes the connection to one address.
        in_flight: how many requests each has now.

    Raises:
        ServerError: none of them can be used; the error of the first.
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
        """Of all."""
        return ",".join(self._urls)

    @property
    def first(self) -> Ensemble:
        """One that takes frames, if there is one: what is said of it goes for all."""
        if not self._only and not any(e.ensemble is self._first for e in self._usable()):
            self._first = next((e.ensemble for e in self._usable() if e.ensemble), self._first)
        return self._first

    @property
    def connected(self) -> list[Ensemble]:
        """All that take frames."""
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
        """A server for a request that this one has failed; None if there is none."""
        others = [one for one in self.connected if one is not than]
        return least_busy(others, self._in_flight())

    def report(self, ensemble: Ensemble, error: ServerError) -> None:
        """Note that a server was away: the frames of others do not go there any more."""
        ensemble.note_interruption()
        for endpoint in self._endpoints:
            if not self._only and endpoint.ensemble is ensemble:
                self._leave_out(endpoint, error)

    def close(self) -> None:
        """Give back all connections."""
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
        raise problems[0] or ServerUnavailable(f"no server of {self.url} takes frames: see its log")

    def _watch(self) -> None:
        """Until the end: look who is ready, who came and who went."""
        while not self._closed.wait(PROBE_S):
            try:
                self._look_up()
                self._disconnect_idle()
                for endpoint in self._endpoints:
                    self._probe(endpoint)
            except Exception as error:
                # gRPC raises a ValueError when the channel is closed already.
                if not self._closed.is_set():
                    _log.warning("the servers are looked after all the same: %r", error)

    def _look_up(self) -> None:
        if not may_change(self._urls):
            return
        try:
            addresses = resolve(self._urls)
        except ServerUnavailable:
            # A name server that fails takes no server away.
            return
        known = {endpoint.url: endpoint for endpoint in self._endpoints}
        self._leaving += [endpoint for url, endpoint in known.items() if url not in addresses]
        self._endpoints = [known.get(url) or Endpoint(url) for url in addresses]

    def _disconnect_idle(self) -> None:
        """Give back the connections to servers that have lost their name, and all answers came."""
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
                raise ServerUnavailable(f"{endpoint.url} is not ready: it starts or ends")
        except YolostreamError as error:
            self._leave_out(endpoint, error)
        else:
            if endpoint.problem is not None:
                _log.info("%s takes frames again", endpoint.url)
            endpoint.problem = None

    def _leave_out(self, endpoint: Endpoint, error: YolostreamError) -> None:
        if endpoint.problem is None and len(self._endpoints) > 1:
            _log.warning("%s gets no frames until it is ready again: %s", endpoint.url, error)
        endpoint.problem = error
