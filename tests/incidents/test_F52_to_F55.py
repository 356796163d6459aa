"""Incidents F52 to F55: protocol and association (9.6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from incidents import page
from incidents.incident import Incident
from incidents.played import mended
from incidents.ward import Ward
from mwl.cli.explain_text import conclusion
from mwl.dicom.emulators import Emulator, Seen

F52 = Incident(
    "F52", "asks without Message ID (0000,0110)",
    on="siemens-fluoro-flc",
    before="accept: {missing_message_id: reject}",
    fix="accept: {missing_message_id: 1}",
    orders=[{"SPS.Modality": "RF"}],
    device="sim-siemens-flc",
)  # fmt: skip
MANY = 300
F53 = Incident(
    "F53", "cancels in the middle of an answer, and takes 0000 for the whole list",
    on="philips-mg",
    before="""
session: {cancel: as_success}
limit: {max: 1000}
""",
    fix="session: {cancel: honour}",
    orders=[{"SPS.Modality": "MG"}] * MANY,
    device="sim-philips-mg",
)  # fmt: skip
F54 = Incident(
    "F54", "gives up after a while; the database takes longer",
    on="esaote-mri",
    before="session: {on_error: fail, stale: null}",
    fix="session: {answer_within: 1s, on_error: stale, stale: 300s}",
    orders=[{"SPS.Modality": "MR"}],
    device="sim-esaote", more={"FAIL": "session: {answer_within: 1s}"},
)  # fmt: skip
INCIDENTS = [F52, F53, F54]
CONFIGURED = {"capture": {"unknown": "hold"}}


def without_number(ward: Ward) -> list[str]:
    """Play F52; return the row of the page."""
    since = len(ward.broker.events)
    was = ward.play(F52, "OLD", timeout=30)
    refused = ward.broker.until("request without Message ID", since)
    now = ward.play(F52)
    told = ward.until(lambda: ward.captured(F52.ae("")))

    assert (was.seen.status, was.seen.received, refused["calling_ae"]) == (0x0212, [], "F52_OLD")
    assert (now.seen.status, now.shown) == (0, [1])
    assert told.association.missing_message_id
    hint = next(line for line in ward.about(F52, told) if "Message ID" in line)
    return ["F52", F52.happens, was.seen.error, hint, mended(F52), now.outline]


def test_F52_a_request_without_number_is_answered_or_refused_and_never_ignored(ward: Ward) -> None:
    """P4, below the service class: 0212 and an event, or the list."""
    ward.rows["F52"] = without_number(ward)


def cancelled(ward: Ward) -> list[str]:
    """Play F53; return the row of the page."""
    now = ward.play(F53, cancel_after=1)
    was = ward.ask(F53, "OLD", cancel_after=1)

    for each in (was, now):
        assert 1 <= len(each.seen.received) < MANY
        assert len(each.direct.sent) == MANY
    assert (was.seen.status, now.seen.status) == (0x0000, 0xFE00)
    outlines = [f"ends with {each.seen.status:04X} before the list does" for each in (was, now)]
    return ["F53", F53.happens, outlines[0], was.said[0], mended(F53), outlines[1]]


def test_F53_a_query_that_is_cancelled_stops(ward: Ward) -> None:
    """P33: FE00 behind what was under way, and no further pending."""
    ward.rows["F53"] = cancelled(ward)


TITLES = ("../../etc", "..\\..\\etc", "/etc/passwd", "CT;rm -rf", "A\x1b[2J")


def tree(folder: Path) -> set[str]:
    """Return the files below a folder and beside it, the database's own left out."""
    found = [*folder.rglob("*"), *folder.parent.glob("*")]
    return {str(path) for path in found if not path.name.startswith("mwl.db")}


def knocking(ward: Ward, title: str) -> Seen:
    """Ask under an AE title that nobody configured."""
    return Emulator("sim-ge-ct", ward.at, ae=title, called="MWL", today=ward.today).run("this scanner/today")


def test_F55_an_ae_title_is_never_a_path(ward: Ward) -> None:
    """It is held, logged escaped, listed, and admitted into no file outside the profiles."""
    before, since = tree(ward.folder), len(ward.broker.raw_log)

    ward.rows["F55"] = titles(ward)
    seen = [knocking(ward, title) for title in TITLES]
    listed = ward.broker.run("devices", "list").stdout
    admitted = [ward.broker.run("devices", "admit", title, "--draft", "--write") for title in TITLES[:2]]

    assert all(each.error and not each.shown for each in seen)
    assert "../../etc" in listed
    assert "\x1b" not in listed + "".join(ward.broker.raw_log[since:])
    added = {Path(each) for each in tree(ward.folder) - before}
    assert {each.parent for each in added} <= {ward.folder / "mappings" / "devices"}, admitted


def titles(ward: Ward) -> list[str]:
    """Return F55's row of the page."""
    seen = knocking(ward, TITLES[0])
    (said,) = conclusion(ward.explained(TITLES[0], "PatientName"), ward.bench.zone)
    return ["F55", f"calls itself {TITLES[0]}", seen.error, said, "none: an AE title is no path", seen.error]


@contextmanager
def slow_database(ward: Ward) -> Iterator[None]:
    """Let every look at the steps take many seconds: a view in the place of the table, that counts to millions."""
    many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 60000000) SELECT count(*) FROM c"
    with sqlite3.connect(ward.folder / "mwl.db", isolation_level=None, timeout=30) as database:
        database.execute("PRAGMA legacy_alter_table=ON")
        database.execute("ALTER TABLE steps RENAME TO kept_steps")
        database.execute(f"CREATE VIEW steps AS SELECT * FROM kept_steps WHERE ({many}) > 1")
        try:
            yield
        finally:
            database.execute("DROP VIEW steps")
            database.execute("ALTER TABLE kept_steps RENAME TO steps")
    database.close()


def slow(ward: Ward) -> list[str]:
    """Play F54; return the row of the page."""
    good = ward.play(F54)
    with slow_database(ward):
        now, failed = (ward.wire(F54, variant, timeout=20) for variant in ("", "FAIL"))
        was = ward.wire(F54, "OLD", timeout=2)

    told = [
        each["device"]
        for each in ward.broker.events
        if each["event"] == "worklist sent in place of a failure"
    ]
    assert (good.shown, told) == ([1], ["F54"])
    assert (was.shown, was.status, was.error) == ([], None, "no answer within 2 seconds")
    assert (failed.shown, failed.status is not None and failed.status >= 0xA000) == ([], True)
    assert (now.raw, now.status, now.error) == (good.seen.raw, 0, "")
    hint = next(line for line in good.said if "send a list again" in line)
    return [
        "F54",
        F54.happens,
        was.error,
        hint,
        mended(F54),
        "1 shown, the last list; without one a failure in time",
    ]


def test_F54_an_answer_comes_before_the_device_gives_up(ward: Ward) -> None:
    """P33: the last good list, or why there is none."""
    ward.rows["F54"] = slow(ward)


def test_the_page_says_what_happened(ward: Ward) -> None:
    """docs/incidents.md, F52 to F55."""
    page.check(ward, "F52 to F55", {"F52": without_number, "F53": cancelled, "F54": slow, "F55": titles})
