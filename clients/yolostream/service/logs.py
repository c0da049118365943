"""The service's log, which contains no credentials."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

from yolostream.printable import printable
from yolostream.redaction import redact
from yolostream.service.settings import LogSettings

_Event = MutableMapping[str, Any]


def set_up(settings: LogSettings) -> None:
    """Write all log records of this process to stderr, including those of libraries.

    A line of JSON has `timestamp`, `level`, `logger` and `event`. A change of a source's state also
    has `source`, `from`, `to` and `reason`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _without_credentials,
                _LINES[settings.format],
            ],
        )
    )
    # The package's own handler is for the other commands.
    logging.getLogger("yolostream").handlers.clear()
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    for library in ("asyncio", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _without_credentials(logger: object, method: str, event: _Event) -> _Event:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def _for_people(logger: object, method: str, event: _Event) -> str:
    line = f"{event['timestamp']} {event['level']:<7} {printable(event['event'])}"
    trace = "\n".join(map(printable, event.get("exception", "").splitlines()))
    return f"{line}\n{trace}" if trace else line


_LINES: dict[str, Callable[[Any, str, _Event], Any]] = {
    "console": _for_people,
    "json": structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
}
