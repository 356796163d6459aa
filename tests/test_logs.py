"""Log lines: one an event, in order, never forged by a peer."""

from __future__ import annotations

import contextvars
import io
import json
import logging

import pytest

from mwl import logs

LOGGER = logging.getLogger("mwl.test_logs")


class Terminal(io.StringIO):
    """A stream a person reads."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored():
    """Leave the process's logging as it was."""
    root, package = logging.getLogger(), logging.getLogger("mwl")
    before = root.handlers[:], root.level, package.level
    yield
    root.handlers[:], root.level, package.level = before


def lines(stream: io.StringIO) -> list[dict]:
    """Return the JSON lines written to *stream*."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_its_fields():
    """A machine reads time, level, logger, event and fields."""
    stream = io.StringIO()
    logs.configure(stream=stream)

    logs.event(LOGGER, logging.INFO, "ready", dicom="127.0.0.1:11112")

    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "logger": "mwl.test_logs", "event": "ready", "dicom": "127.0.0.1:11112"}


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_peer_cannot_forge_a_line(stream):
    """Line ends and escape sequences in what a peer sent stay inside the one line."""
    logs.configure(stream=stream)

    logs.event(LOGGER, logging.INFO, "association\nrefused", calling='CT1\r\n{"event": "ready"}\x1b[2J')

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_words_instead_of_json():
    """A person reads the event first, then key=value."""
    stream = Terminal()
    logs.configure(stream=stream)

    logs.event(LOGGER, logging.WARNING, "refused", calling="CT1")

    assert stream.getvalue().rstrip().endswith('warning refused calling="CT1"')


def test_bound_fields_are_on_every_line_of_the_task():
    """An association's lines can be found by its correlation fields."""
    stream = io.StringIO()
    logs.configure(stream=stream)

    def task() -> None:
        logs.bind(association="a1")
        logs.bind(device="CT1")
        logs.event(LOGGER, logging.INFO, "query", items=3)

    contextvars.copy_context().run(task)
    logs.event(LOGGER, logging.INFO, "other")

    first, second = lines(stream)
    assert (first["association"], first["device"], first["items"]) == ("a1", "CT1", 3)
    assert "association" not in second


def test_a_traceback_is_in_the_line_of_its_event():
    """A defect is one line too."""
    stream = io.StringIO()
    logs.configure(stream=stream)

    try:
        raise KeyError("x")
    except KeyError:
        LOGGER.exception("defect")

    (line,) = lines(stream)
    assert "KeyError" in line["traceback"]


def test_what_an_error_quotes_forges_no_line_on_a_terminal():
    """Its lines are indented, and move no cursor."""
    stream = Terminal()
    logs.configure(stream=stream)

    try:
        raise ValueError("no\n12:00:00 info    ready dicom=1\x1b[2J")
    except ValueError:
        LOGGER.exception("defect")

    first, *others = stream.getvalue().splitlines()
    assert "error   defect" in first
    assert any("ready" in each for each in others)
    assert all(each.startswith("  ") for each in others)
    assert "\x1b" not in stream.getvalue()


def test_libraries_are_heard_only_from_warning_on():
    """A library may write what a peer sent at INFO: such lines never appear."""
    stream = io.StringIO()
    logs.configure("DEBUG", stream)

    logging.getLogger("some.package").info("DOE^JOHN")
    logging.getLogger("some.package").warning("short")

    assert [line["event"] for line in lines(stream)] == ["short"]


def test_an_event_below_the_level_costs_no_line():
    """DEBUG is silent by default."""
    stream = io.StringIO()
    logs.configure(stream=stream)

    logs.event(LOGGER, logging.DEBUG, "detail")

    assert stream.getvalue() == ""


def test_who_observes_hears_of_every_event_whatever_is_logged():
    """Until it does not want to any more; ending that twice is fine."""
    heard: list[tuple[int, str, dict]] = []
    stream = io.StringIO()
    logs.configure("ERROR", stream)
    end = logs.observe(lambda level, name, fields: heard.append((level, name, dict(fields))))

    logs.event(LOGGER, logging.DEBUG, "user accepted", user="nora")
    end()
    end()
    logs.event(LOGGER, logging.ERROR, "later")

    assert heard == [(logging.DEBUG, "user accepted", {"user": "nora"})]
    assert [line["event"] for line in lines(stream)] == ["later"]
