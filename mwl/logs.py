"""Logging: one line an event, JSON unless a person reads it.

Lines go to stderr.  An event has a short name (the message) and fields (``extra={"fields": {...}}``
or `event`).  Patient data is never a field at INFO or above; control characters from outside are
escaped, so that no peer can forge a line.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

Observer = Callable[[int, str, Mapping[str, Any]], None]
_observers: list[Observer] = []

_always: dict[str, Any] = {}
_context: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("log_context", default={})  # noqa: B039


def event(logger: logging.Logger, level: int, name: str, /, **fields: Any) -> None:
    """Log the event *name* with *fields*; both end up as one line."""
    for observer in tuple(_observers):
        observer(level, name, fields)
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={"fields": fields})


def observe(observer: Observer) -> Callable[[], None]:
    """Have *observer* called with level, name and fields of every event, whatever level is logged.

    In the thread of whoever tells it, so it returns at once and raises nothing.  Returns what ends that.
    """
    _observers.append(observer)

    def end() -> None:
        with contextlib.suppress(ValueError):
            _observers.remove(observer)

    return end


def bind(**fields: Any) -> contextvars.Token[dict[str, Any]]:
    """Add correlation fields (association, control ID, step) to every line of this task."""
    return _context.set({**_context.get(), **fields})


class _Formatter(logging.Formatter):
    """Common part: collects an event's fields."""

    @staticmethod
    def fields(record: logging.LogRecord) -> dict[str, Any]:
        return {**_always, **_context.get(), **getattr(record, "fields", {})}


class JsonFormatter(_Formatter):
    """One JSON object a line: time (UTC), level, logger, event, fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **self.fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


class TextFormatter(_Formatter):
    """For a terminal: time, level, event, ``key=value`` fields."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = " ".join(
            f"{key}={json.dumps(value, default=str)}" for key, value in self.fields(record).items()
        )
        message = record.getMessage().encode("unicode_escape").decode("ascii")
        line = f"{stamp} {record.levelname.lower():7} {message} {fields}".rstrip()
        if not record.exc_info:
            return line
        # What an error quotes may hold line ends: indented, none of them begins a line of the log.
        trace = self.formatException(record.exc_info).splitlines()
        return "\n".join([line, *(f"  {_visible(each)}" for each in trace)])


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def configure(level: str = "INFO", stream: TextIO | None = None, **always: Any) -> None:
    """Send the package's events, and warnings of its libraries, to *stream* (stderr).

    The fields *always* stand in every line: which of several processes it is.
    """
    _always.clear()
    _always.update(always)
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if stream.isatty() else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mwl").setLevel(level)
