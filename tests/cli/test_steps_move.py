"""`mwl steps cancel` and the others: a person moves scheduled steps."""

from __future__ import annotations

import datetime as dt
import getpass

import pytest

from mwl.store import outbox, spool, transitions


@pytest.fixture
def told(ordered, tmp_path):
    """The store with two orders of a RIS that wants to hear of everything."""
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        events = "[IP, CM, DC, SC, CA, ARRIVED, READY]"
        configuration.write(f'systems: {{RIS: {{status: {{to: "127.0.0.1:2576", on: {events}}}}}}}\n')
    return ordered


@pytest.mark.parametrize(
    ("command", "state", "event"),
    [
        ("arrive", "ARRIVED", "ARRIVED"),
        ("ready", "READY", "READY"),
        ("complete", "COMPLETED", "CM"),
        ("discontinue", "DISCONTINUED", "DC"),
        ("cancel", "CANCELED", "CA"),
    ],
)
def test_a_step_is_moved_told_and_remembered(mwl, told, command, state, event):
    """Who, why and when stand in its history; its system gets a row."""
    result = mwl("steps", command, 1, "--reason", "asked for", "--by", "anna")

    shown = mwl("steps", "show", 1, "--json").json
    [row] = told.read_now(outbox.browse)
    assert (result.code, result.out) == (0, f"step 1 is {state}\n")
    assert shown["step"]["00400020"]["Value"] == [state]
    assert (shown["history"][-1]["source"], shown["history"][-1]["reason"]) == ("console anna", "asked for")
    assert (row.facts["event"], row.facts["reason"]) == (event, "asked for")


def test_a_step_comes_back(mwl, told):
    """Closed by mistake, or on hold: it is on the worklist again."""
    mwl("steps", "complete", 1, "--reason", "x")
    told.write_now(lambda tx: transitions.hold(tx, 2, held=True, source="clock", reason="idle"))

    result = mwl("steps", "reopen", 1, 2, "--reason", "images are useless")

    assert (result.code, result.out) == (0, "step 1 is SCHEDULED\nstep 2 is SCHEDULED\n")
    assert [item["held"] for item in mwl("steps", "list", "--json").json] == [False, False]


def test_who_it_is_is_known_without_being_asked(mwl, told, monkeypatch):
    """The user of this computer; one without a name is unknown."""
    monkeypatch.setattr(getpass, "getuser", lambda: "berta")
    mwl("steps", "arrive", 1, "--reason", "x")

    def nobody() -> str:
        raise KeyError("uid 1234")

    monkeypatch.setattr(getpass, "getuser", nobody)
    mwl("steps", "arrive", 2, "--reason", "x")

    sources = [mwl("steps", "show", key, "--json").json["history"][-1]["source"] for key in (1, 2)]
    assert sources == ["console berta", "console unknown"]


def test_what_cannot_be_is_refused_with_what_can(mwl, told):
    """Exit 1; no other step was moved."""
    mwl("steps", "complete", 2, "--reason", "x")

    result = mwl("steps", "cancel", 1, 2, "--reason", "ordered twice")

    assert (result.code, result.out) == (1, "")
    assert result.err == "mwl: step 2 is COMPLETED: cancel is not possible, reopen is\n"
    assert mwl("steps", "list", "--state", "SCHEDULED", "--json").json[0]["key"] == 1


@pytest.mark.parametrize(
    "arguments", [("cancel", "1"), ("cancel", "--reason", "x"), ("cancel", "one", "--reason", "x")]
)
def test_wrong_usage_says_what_is_missing(mwl, told, arguments):
    """Exit 2: a reason and a number are needed."""
    result = mwl("steps", *arguments)

    assert (result.code, result.out) == (2, "")
    assert "Error:" in result.err


def test_the_audit_hears_who_moved_a_step(mwl, ordered, tmp_path):
    """In the transaction of the change; one that is refused is no event."""
    with (tmp_path / "mwl.yaml").open("a") as configuration:
        configuration.write('audit: {to: "collector:6514"}\n')

    mwl("steps", "complete", 1, "--reason", "done", "--by", "anna")
    mwl("steps", "arrive", 1, "--reason", "mistaken", "--by", "anna")

    found = ordered.write_now(lambda tx: spool.claim(tx, "test", dt.timedelta(0), 10))
    assert [(b"110111" in each.message, b'UserID="anna"' in each.message) for each in found] == [(True, True)]
