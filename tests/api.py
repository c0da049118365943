"""The service's REST API, served in this process, and a client for it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import requests
from yolostream.client.access import Access as TritonAccess
from yolostream.client.detector import Detector
from yolostream.client.served import served_ensembles
from yolostream.errors import ServerUnavailable
from yolostream.service.control import Control
from yolostream.service.ensembles import Ensembles
from yolostream.service.service import Service
from yolostream.service.settings import Configuration
from yolostream.service.web.access import Access
from yolostream.service.web.context import Context
from yolostream.service.web.server import serving

PROBLEM = "application/problem+json"
TIMEOUT_S = 60.0


class Api:
    """A client of the API, and the objects behind it."""

    def __init__(self, url: str, context: Context) -> None:
        self.url = url
        self.context = context
        self.service, self.control = context.service, context.control
        self.session = requests.Session()
        self.session.trust_env = False

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname, parts.port

    def ask(self, method: str, path: str, **options: object) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=TIMEOUT_S, **options)

    def get(self, path: str, **options: object) -> requests.Response:
        return self.ask("GET", path, **options)

    def put(self, path: str, settings: object, **options: object) -> requests.Response:
        return self.ask("PUT", path, json=settings, **options)

    def patch(self, path: str, changes: object, **options: object) -> requests.Response:
        return self.ask("PATCH", path, json=changes, **options)

    def camera(self, name: str) -> dict:
        return self.get(f"/api/v1/cameras/{name}").json()

    @contextlib.contextmanager
    def raw(self) -> Iterator[socket.socket]:
        """A TCP connection, for requests that are not valid HTTP."""
        with socket.create_connection(self.address, timeout=TIMEOUT_S) as connection:
            yield connection

    @contextlib.contextmanager
    def events(self, path: str, **options: object) -> Iterator[Callable[[], dict]]:
        """Server-sent events: yields a function that waits for the next one."""
        with self.session.get(self.url + path, stream=True, timeout=TIMEOUT_S, **options) as answer:
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines(chunk_size=1)
            # The server sends this comment when the subscription has begun.
            assert next(lines) == b": follows"

            def following() -> dict:
                for line in lines:
                    if line.startswith(b"data: "):
                        return json.loads(line[len("data: ") :])
                raise AssertionError("the events ended")

            yield following


def check_problem(answer: requests.Response, status: int, kind: str = "") -> dict:
    """Check that an answer is a problem document (RFC 9457) with a fix; return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == (f"urn:yolostream:{kind}" if kind else "about:blank")
    assert problem["title"]
    assert problem["detail"]
    assert problem["fix"]
    return problem


def connect_without_server(model: str) -> Detector:
    """A `connect` that fails as if no server ran."""
    raise ServerUnavailable(f"no Triton answers for {model}: is it running?")


@contextlib.contextmanager
def serve_api(
    server: str | None = None,
    *,
    cameras: dict[str, dict] | None = None,
    model: str = "instant",
    token: str | None = None,
    access: Access = Access(port=0),  # noqa: B008  # frozen
    instance: str | None = None,
) -> Iterator[Api]:
    """Serve the API of a service whose Triton is at `server`; without `server`, it has none.

    With an `instance`, the service runs only cameras that it is given a lease of.
    """
    configuration = Configuration.model_validate(
        {"defaults": {"model": model}, "cameras": cameras or {}}
    )
    connect = connect_without_server if server is None else partial(Detector, server, token=token)
    listing = partial(served_ensembles, server or "127.0.0.1:1", TritonAccess(token))
    service = Service(connect, instance=instance)
    ensembles = Ensembles(connect, listing)
    try:
        context = Context(service, Control(service, configuration), ensembles, access)
        with serving(context) as url:
            api = Api(url, context)
            yield api
            api.session.close()
    finally:
        service.close()
        ensembles.close()


def at_once(action: Callable[[int], object], count: int) -> None:
    """Run an action in `count` threads at the same time, and wait for all of them."""
    threads = [threading.Thread(target=action, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
