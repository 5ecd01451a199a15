"""Logs, metrics and trace context for every service. Chooses no metric names: each feature declares its own.

Logs are one JSON object a line with `trace_id`, `service` and whatever else was bound. Metrics are Prometheus'. Traces
follow W3C Trace Context; spans are exported by OpenTelemetry only where an endpoint is set, and cost nothing otherwise.
"""

import logging
import os
import re
import sys
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import structlog
from structlog.stdlib import BoundLogger

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")


class Trace(NamedTuple):
    """Where we are in a trace: hexadecimal ids and flags as in a `traceparent` header."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def header(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_exporter: "Exporter | None" = None
_current: ContextVar[Trace | None] = ContextVar("recoup_trace", default=None)


def parse_traceparent(header: str | None) -> Trace | None:
    """A valid header's content; None for anything else, as the standard asks."""
    found = _TRACEPARENT.match(header or "")
    if found is None or int(found[1], 16) == 0 or int(found[2], 16) == 0:
        return None
    return Trace(found[1], found[2], found[3])


def current_trace() -> Trace | None:
    """The trace this task works for."""
    return _current.get()


@contextmanager
def traced(name: str, parent: str | None = None) -> Generator[Trace]:
    """A step of work under its own span, as a child of `parent` (a traceparent header) or of what is going on."""
    before = parse_traceparent(parent) or _current.get()
    with _exporter.span(name, before) if _exporter is not None else nullcontext(_made_up(before)) as here:
        token = _current.set(here)
        try:
            yield here
        finally:
            _current.reset(token)


def _made_up(before: Trace | None) -> Trace:
    """Ids without a span behind them: enough for logs and answers, at no cost to speak of."""
    span_id = os.urandom(8).hex()
    return Trace(os.urandom(16).hex(), span_id) if before is None else before._replace(span_id=span_id)


def configure_logs(service: str, level: str) -> None:
    """Sends every log line of the process, ours and the libraries', to standard error as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="@timestamp"),
        structlog.stdlib.ExtraAdder(),
        _add_trace,
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for chatty in ("httpx", "httpcore", "asyncio", "_granian", "granian", "aiohttp.access", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def logger(name: str) -> BoundLogger:
    """A logger; bind what every line of it should carry."""
    return structlog.stdlib.get_logger(name)


class Exporter(Protocol):
    """Records spans somewhere; `kit.spans` has the one for OpenTelemetry."""

    def span(self, name: str, before: Trace | None) -> AbstractContextManager[Trace]: ...


def export_to(exporter: Exporter) -> None:
    """From now on, every step of this process is a recorded span."""
    global _exporter  # noqa: PLW0603 - one a process
    _exporter = exporter


def _add_trace(_: object, __: str, event: structlog.typing.EventDict) -> Mapping[str, object]:
    here = _current.get()
    if here is not None:
        event["trace_id"] = here.trace_id
    return event
