"""A trace collector for tests: receives OTLP over HTTP and stores the spans."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Received:
    """A span and the name of the service that sent it."""

    service: str
    span: Span
    attributes: dict[str, str | int | float | bool]

    @property
    def name(self) -> str:
        return self.span.name


@dataclass
class Otlp:
    """The data that a collector has received."""

    url: str
    spans: list[Received] = field(default_factory=list)
    words: list[bytes] = field(default_factory=list)
    """The bodies of all requests."""
    answer: threading.Event = field(default_factory=threading.Event)
    """Requests are not answered until it is set."""

    def named(self, name: str) -> list[Received]:
        return [one for one in list(self.spans) if one.name == name]

    def of_trace(self, trace_id: bytes) -> list[Received]:
        return [one for one in list(self.spans) if one.span.trace_id == trace_id]

    def take(self, body: bytes, kind: str) -> None:
        self.words.append(body)
        for resource in _parsed(body, kind).resource_spans:
            service = _values(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(Received(str(service), span, _values(span.attributes)))


@contextlib.contextmanager
def collector(port: int = 0, *, answers: bool = True) -> Iterator[Otlp]:
    """Run a collector until the block ends; without `answers`, requests wait for `Otlp.answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the standard library's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            otlp.answer.wait()
            otlp.take(body, self.headers["Content-Type"])
            answer = ExportTraceServiceResponse().SerializeToString()
            # The client may have closed the connection meanwhile.
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    otlp = Otlp(f"http://127.0.0.1:{server.server_port}")
    if answers:
        otlp.answer.set()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield otlp
    finally:
        otlp.answer.set()
        server.shutdown()
        server.server_close()


def _parsed(body: bytes, kind: str) -> ExportTraceServiceRequest:
    """Parse a request. Triton sends JSON, with ids in hexadecimal; protobuf's JSON has base64."""
    if not kind.startswith("application/json"):
        return ExportTraceServiceRequest.FromString(body)
    words = json.loads(body, object_hook=_with_ids_in_base64)
    return json_format.ParseDict(words, ExportTraceServiceRequest(), ignore_unknown_fields=True)


def _with_ids_in_base64(of: dict) -> dict:
    for name in {"traceId", "spanId", "parentSpanId"} & of.keys():
        of[name] = base64.b64encode(bytes.fromhex(of[name])).decode()
    return of


def _values(attributes) -> dict[str, str | int | float | bool]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
