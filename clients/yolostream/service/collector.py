"""Exports traces by OpenTelemetry's protocol over HTTP (OTLP)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from yolostream._version import __version__
from yolostream.frame_trace import Trace
from yolostream.spans import Span, SpanId

_TIMEOUT_S = 5.0
"""Limit for one export, including retries."""

_DELAY_S = 1.0
"""Interval between two exports. All spans that have ended meanwhile are sent together."""

_CLOSE_S = 0.3
"""Limit for the last export when the service stops."""

_KINDS = {"request": SpanKind.CLIENT}

_log = logging.getLogger(__name__)


class Collector:
    """Sends traces to an OpenTelemetry collector, in a thread of its own.

    If the collector is unavailable or slow, only traces are lost. About two thousand spans are
    queued; if there are more, the oldest are dropped.

    Args:
        endpoint: URL of the collector, with its path.
        service_name: name of this service in the traces.
    """

    def __init__(self, endpoint: str, service_name: str) -> None:
        # The library would log the same error for each export.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = _LoggingExporter(
            OTLPSpanExporter(endpoint=endpoint, timeout=_TIMEOUT_S), endpoint
        )
        self._processor = BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_S * 1e3)
        self._ids = _GivenIds()
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create(
                {"service.name": service_name, "service.version": __version__}
            ),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("yolostream", __version__)

    def take(self, trace: Trace) -> None:
        """Queue a trace for the next export. It is not thread-safe."""
        self._add(trace.root, None)
        for part in trace.parts:
            self._add(part, trace.root.id)

    def close(self) -> None:
        """Export what is left. If the collector is slow, the rest is lost."""
        thread = threading.Thread(target=self._processor.shutdown, daemon=True)
        thread.start()
        thread.join(_CLOSE_S)

    def _add(self, span: Span, parent: SpanId | None) -> None:
        self._ids.next = span.id
        started = self._tracer.start_span(
            span.name,
            context=None if parent is None else _within(parent),
            kind=_KINDS.get(span.name, SpanKind.INTERNAL),
            attributes=span.attributes,
            links=[Link(_context(link)) for link in span.links],
            start_time=span.start_ns,
        )
        if span.error:
            started.set_attribute("error.type", span.error)
            started.set_status(StatusCode.ERROR)
        started.end(span.end_ns)


class _GivenIds(IdGenerator):
    """Gives spans the ids that they already have, because requests have carried them to Triton."""

    def __init__(self) -> None:
        self.next = SpanId(0, 0)

    def generate_span_id(self) -> int:
        return self.next.span

    def generate_trace_id(self) -> int:
        return self.next.trace


class _LoggingExporter(SpanExporter):
    """Logs when exports begin to fail, and when they succeed again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._is_away = False
        self._is_closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_away = result is not SpanExportResult.SUCCESS
        if is_away != self._is_away and not self._is_closed:
            self._is_away = is_away
            if is_away:
                _log.warning("traces do not reach %s and are lost", self._endpoint)
            else:
                _log.warning("traces reach %s again", self._endpoint)
        return result

    def shutdown(self) -> None:
        self._is_closed = True
        self._exporter.shutdown()


def _context(id_: SpanId) -> SpanContext:
    return SpanContext(id_.trace, id_.span, is_remote=False, trace_flags=TraceFlags(1))


def _within(parent: SpanId) -> Context:
    return set_span_in_context(NonRecordingSpan(_context(parent)))
