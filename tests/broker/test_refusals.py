"""Refused callers: noted without waiting, without end neither in memory nor in what waits."""

from __future__ import annotations

import asyncio
import logging

import pytest

from mwl import logs
from mwl.broker import refusals
from mwl.broker.refusals import Refusals
from mwl.dicom.acceptor import LOCAL_LIMIT_EXCEEDED, TOO_MANY_FROM_ADDRESS
from mwl.dicom.devices import CALLING_AE_NOT_RECOGNISED
from mwl.dicom.service import AssociationFacts, Rejection
from mwl.dicom.users import USER_NOT_ACCEPTED
from mwl.errors import Unavailable


class SlowStore:
    """A store whose writes end when the test says so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.writes = 0
        self.go_on = asyncio.Event()
        self._error = error

    async def write(self, work) -> None:
        self.writes += 1
        await self.go_on.wait()
        if self._error:
            raise self._error


def told(caplog) -> list[dict]:
    """Return the fields of every line about a refusal."""
    return [record.fields for record in caplog.records if record.getMessage() == "association refused"]


@pytest.mark.parametrize(
    ("rejection", "reason", "setting"),
    [
        (CALLING_AE_NOT_RECOGNISED, "calling AE title not configured", "devices"),
        (LOCAL_LIMIT_EXCEEDED, "too many associations", "dicom.limits.associations"),
        (TOO_MANY_FROM_ADDRESS, "too many associations from its address", "dicom.limits.per_address"),
        (USER_NOT_ACCEPTED, "user identity not accepted", "dicom.users"),
        (Rejection(1, 2, 2), "rejected 1/2/2", None),
    ],
)
async def test_the_reason_is_in_words(caplog, rejection, reason, setting):
    """The numbers of PS3.8 are for the wire; what there is to set is named beside them."""
    store = SlowStore()
    noted = Refusals(store)

    noted.note(AssociationFacts("CT9", "MWL", "127.0.0.1"), rejection)
    store.go_on.set()
    await noted.stop()

    assert (told(caplog)[0]["reason"], told(caplog)[0].get("setting")) == (reason, setting)


async def test_a_caller_is_told_of_once_from_each_address(caplog):
    """The same title from elsewhere is news."""
    store = SlowStore()
    noted = Refusals(store)

    for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
        noted.note(AssociationFacts("CT9", "MWL", address), CALLING_AE_NOT_RECOGNISED)
    store.go_on.set()
    await noted.stop()

    assert [each["address"] for each in told(caplog)] == ["127.0.0.1", "127.0.0.2"]


async def test_a_caller_that_is_held_is_told_of_once_and_counted(caplog):
    """Quarantine is for a person to look at: the log says so, and names the setting."""
    store = SlowStore()
    noted = Refusals(store)

    for _ in range(2):
        noted.held(AssociationFacts("CT9", "MWL", "127.0.0.1"))
    store.go_on.set()
    await noted.stop()

    (line,) = [each.fields for each in caplog.records if each.getMessage() == "unknown caller held"]
    assert (line["calling_ae"], line["setting"]) == ("CT9", "capture.unknown")
    assert store.writes == 2


async def test_a_flood_of_callers_is_bounded(monkeypatch):
    """Neither what is remembered nor what waits for the database grows with what a peer makes up."""
    monkeypatch.setattr(refusals, "_REMEMBERED", 5)
    monkeypatch.setattr(refusals, "_WAITING", 3)
    store = SlowStore()
    noted = Refusals(store)

    for number in range(50):
        noted.note(AssociationFacts(f"CT{number}", "MWL", "127.0.0.1"), CALLING_AE_NOT_RECOGNISED)
    store.go_on.set()
    await noted.stop()

    assert store.writes == 3
    assert len(noted._told) <= 5


async def test_a_database_that_is_away_is_reported_and_no_more(caplog):
    """The refusal itself does not depend on it."""
    store = SlowStore(Unavailable("away"))
    noted = Refusals(store)

    noted.note(AssociationFacts("CT9", "MWL", "127.0.0.1"), CALLING_AE_NOT_RECOGNISED)
    store.go_on.set()
    await noted.stop()

    assert "refused caller not recorded" in caplog.messages


async def test_who_listens_to_all_events_hears_of_each_refusal():
    """The log tells of a caller once; the audit counts."""
    heard: list[int] = []
    end = logs.observe(lambda level, name, fields: heard.append(level))
    noted = Refusals(SlowStore(Unavailable("away")))

    for _ in range(3):
        noted.note(AssociationFacts("CT9", "MWL", "127.0.0.1"), CALLING_AE_NOT_RECOGNISED)
    end()
    noted._store.go_on.set()
    await noted.stop()

    assert heard == [logging.WARNING, logging.DEBUG, logging.DEBUG]
