"""Spans over OTLP/HTTP with OpenTelemetry.

Loaded only where an endpoint is set, as it is slow to load and rarely on.
"""

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from recoup.kit.telemetry import Trace


class OtlpExporter:
    """Sends the spans of one service to a collector, in the background."""

    def __init__(self, service: str, endpoint: str) -> None:
        provider = TracerProvider(resource=Resource.create({"service.name": f"recoup-{service}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
        self._tracer = provider.get_tracer("recoup")

    @contextmanager
    def span(self, name: str, before: Trace | None) -> Generator[Trace]:
        """A span below `before`, or at the top of a new trace."""
        with self._tracer.start_as_current_span(name, context=_context(before)) as span:
            made = span.get_span_context()
            yield Trace(f"{made.trace_id:032x}", f"{made.span_id:016x}", f"{int(made.trace_flags):02x}")


def _context(before: Trace | None) -> Context | None:
    if before is None:
        return None
    parent = SpanContext(
        int(before.trace_id, 16), int(before.span_id, 16), is_remote=True, trace_flags=TraceFlags(int(before.flags, 16))
    )
    return set_span_in_context(NonRecordingSpan(parent))
