"""An HTTP endpoint for the health of a supervised server.

Triton's own `v2/health/ready` stays 200 while tritonserver lives, even if one of its steps is dead
and every frame fails.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from yolostream.errors import ServerStartError

PATH = "/health"


@dataclass(frozen=True)
class Health:
    """The health of a server."""

    models: dict[str, bool]
    """Whether each ensemble has answered its last probe; empty while the server is down."""
    is_up: bool
    """Whether the server runs with all of its steps."""
    restarts: int
    """Number of restarts."""
    fault: str = ""
    """Reason of the last restart."""

    def of(self, model: str) -> bool:
        """Whether a model answers; with an empty name, whether all models answer."""
        wanted = [self.models.get(model, False)] if model else self.models.values()
        return self.is_up and all(wanted)


Ask = Callable[[], Health]


@contextlib.contextmanager
def served(host: str, port: int) -> Iterator[Callable[[Ask], None]]:
    """Serve `GET /health` and `GET /health/MODEL` until the block ends.

    The status is 200 if all ensembles answer, or the named one; else 503. The body is the `Health`
    as JSON.

    Args:
        host: address to listen on.
        port: TCP port to listen on.

    Yields:
        A function that sets the source of the health. Before it is called, the status is 503.

    Raises:
        ServerStartError: the port is taken, or `host` is not an address of this machine.
    """
    asks: list[Ask] = [lambda: Health({}, is_up=False, restarts=0)]

    try:
        server = ThreadingHTTPServer((host, port), _handler(lambda: asks[-1]()))
    except OSError as error:
        raise ServerStartError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --health-port"
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="yolostream-health", daemon=True).start()
    try:
        yield asks.append
    finally:
        server.shutdown()
        server.server_close()


def _handler(ask: Ask) -> type[BaseHTTPRequestHandler]:
    """Make the request handler."""

    class Answer(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            self.close_connection = True
            path, _, model = self.path.removeprefix("/").partition("/")
            if f"/{path}" != PATH:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            health = ask()
            well = health.of(model)
            body = json.dumps({"healthy": well, **dataclasses.asdict(health)}).encode()
            self.send_response(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Log nothing, because probes come every few seconds."""

    return Answer
