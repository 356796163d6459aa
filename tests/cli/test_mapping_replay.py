"""``mwl mapping replay``: a device's own queries, by its profile and by a draft."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from workbench.at_hand import ELE, step

from mwl.dicom.emulators.keys import data_set, encoded
from mwl.model import OrderAction, OrderMessage, ProcedureChange
from mwl.store import Store, orders, profile_sets, queries, shadows
from mwl.store.profile_sets import SiteFile
from mwl.store.queries import CapturedQuery
from mwl.store.shadows import Shadowed

TODAY = dt.datetime.now(dt.UTC)
KEYS = ("SpecificCharacterSet=ISO_IR 192", "PatientName", "AccessionNumber", "SPS.Modality=CT")
OURS = "profile: our-ct\nstatus: partial\n"
DRAFT = """\
profile: our-ct
status: partial
filter: {exclude: [{AccessionNumber: ACC002}]}
truncate: {PatientName: 3}
"""


class Site:
    """A site with CT1 on `our-ct`, its queries on record, and a folder of drafts."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.configure()
        self.write("mappings/devices/our-ct.yaml", OURS)
        self.write("drafts/our-ct.yaml", DRAFT)
        for number in (1, 2):
            self.order(number)

    def configure(self, **device: Any) -> None:
        entry = ", ".join(f"{key}: {value}" for key, value in {"profile": "our-ct", **device}.items())
        (self.folder / "mwl.yaml").write_text(
            f"database: sqlite:///{self.folder}/mwl.db\nsite: {{timezone: UTC}}\nmappings: mappings\n"
            f"devices:\n  CT1: {{{entry}}}\n"
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def order(self, number: int, **lines: Any) -> None:
        made = step(number, SPS__ScheduledProcedureStepStartDate=f"{TODAY:%Y%m%d}", **lines)
        message = OrderMessage(
            "RIS", made.patient, (ProcedureChange(OrderAction.CREATE, made.procedure, (made.step,)),)
        )
        self.store.write_now(lambda tx: orders.apply(tx, message, source="test", uid_root=None, told=()))

    def ask(self, *keys: str, days_ago: int = 0, ae: str = "CT1") -> int:
        """Put a query on record; return its number."""
        at = (TODAY - dt.timedelta(days_ago)).isoformat()
        query = CapturedQuery(ae, encoded(data_set(keys or KEYS, {}), ELE), ELE, at, "0000", profile="our-ct")
        self.store.write_now(lambda tx: queries.record(tx, [query], per_device=100))
        return next(
            each.key
            for each in self.store.read_now(queries.browse)
            if each.digest == query.digest and each.calling_ae == ae
        )

    def in_use(self, text: str, reason: str = "start") -> int | None:
        """Put a set of profiles on record."""
        files = {"devices/our-ct.yaml": SiteFile.of(text.encode())}
        return self.store.write_now(lambda tx: profile_sets.record(tx, text, files, who="eng", reason=reason))


@pytest.fixture
def site(database: Store, tmp_path: Path) -> Site:
    return Site(tmp_path, database)


def test_what_a_draft_changes_is_shown_query_by_query(mwl, site):
    """What comes and goes with the reason, what changes with the line, and the sum on stderr."""
    number = site.ask()

    done = mwl("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml")

    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0] == (
        "CT1: our-ct (in use, mappings/devices/our-ct.yaml) against our-ct (draft, drafts/our-ct.yaml)"
    )
    assert lines[1].startswith("each query as it would be asked now")
    assert lines[3].startswith(f"query {number}  once, {TODAY:%Y-%m-%d}")
    assert lines[4] == "  asks SpecificCharacterSet=ISO_IR 192  SPS.Modality=CT"
    assert lines[5].startswith("  sent 2 → 1, status 0000, octets ")
    assert lines[6:] == [
        f"  ~ step 1  ACC001  {TODAY:%Y%m%d} 090000  CT  DOE^JANE  PID001",
        "      PatientName  'DOE^JANE' → 'DOE'  truncate, drafts/our-ct.yaml:4",
        f"  - step 2  ACC002  {TODAY:%Y%m%d} 090000  CT  DOE^JANE  PID002",
        "      now: AccessionNumber: wants not ACC002, finds ACC002  (drafts/our-ct.yaml:3)",
    ]
    assert done.err == "1 query replayed, 1 changes: 1 step vanishes, 1 step changes, 1 value changes\n"


def test_a_draft_that_changes_nothing_ends_with_0(mwl, site):
    """One line a query."""
    number = site.ask("PatientName", "SPS.Modality=MR")

    done = mwl("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml")

    assert done.code == 0
    assert done.out.splitlines()[3].startswith(f"query {number}  once, ")
    assert done.out.splitlines()[3].endswith(": nothing changes (0 sent)")
    assert done.err == "1 query replayed, 0 change\n"


def test_what_would_be_reported_of_the_answers_is_shown_though_they_are_the_same(mwl, site):
    """The device may refuse what it is sent: that is no change, and worth a look."""
    site.write("drafts/our-ct.yaml", OURS + "require: {max_len: {PatientID: 3}, on_fail: report}\n")
    site.ask("PatientName", "PatientID")

    done = mwl("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml")

    assert done.code == 0
    assert done.out.splitlines()[-1] == (
        "  ! reported of 2: PatientID: a value is longer than the device takes  (drafts/our-ct.yaml:3)"
    )


def test_the_same_is_json_for_programs(mwl, site):
    """Profiles, queries, differences, totals."""
    number = site.ask()

    found = mwl("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml", "--json").json

    assert (found["device"], found["shifted"]) == ("CT1", True)
    assert found["after"]["file"] == "drafts/our-ct.yaml"
    assert found["total"] == {"queries": 1, "differ": 1, "vanishes": 1, "changes": 1, "values": 1}
    (query,) = found["queries"]
    assert (query["query"], query["sent"], query["asks"]["SPS.Modality"]) == ([number], [2, 1], "CT")
    changed, gone = query["differences"]
    assert changed["changes"][0]["after"] == "DOE"
    assert (gone["kind"], gone["item"]["accession"]) == ("vanishes", "ACC002")


def test_a_query_of_another_day_asks_for_today(mwl, site):
    """And says so; as it came it finds nothing, today's steps being today's."""
    then = TODAY - dt.timedelta(3)
    site.ask(*KEYS, f"SPS.ScheduledProcedureStepStartDate={then:%Y%m%d}", days_ago=3)
    arguments = ("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml")

    moved, kept = mwl(*arguments), mwl(*arguments, "--no-shift-dates")

    assert (moved.code, kept.code) == (1, 0)
    assert f"  start date {then:%Y%m%d} asked as {TODAY:%Y%m%d}" in moved.out.splitlines()
    assert kept.out.splitlines()[1] == "each query as it came, at the time when it came, on the steps of now"


def test_queries_are_chosen_by_number_and_by_age(mwl, site):
    """The latest, or those that are named."""
    first = site.ask("PatientName", days_ago=2)
    second = site.ask("PatientID", days_ago=1)

    def asked(*options: object) -> list[list[int]]:
        found = mwl("mapping", "replay", "CT1", "--with", "our-ct", "--json", *options).json
        return [each["query"] for each in found["queries"]]

    assert asked() == [[second], [first]]
    assert asked("--last", 1) == [[second]]
    assert asked("--query", first) == [[first]]


def test_more_than_a_few_changes_are_summed_up(mwl, site):
    """Unless all are wanted."""
    for number in range(3, 10):
        site.order(number)
    site.ask()
    arguments = ("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml")

    some, every = mwl(*arguments), mwl(*arguments, "--all")

    assert some.out.splitlines()[-1] == "  and 4 more; values that change: PatientName 8"
    assert every.out.count("~ step") == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CT1"], "say with which draft: --with DRAFT, or --shadow"),
        (["CT1", "--with", "our-ct", "--shadow"], "say with which draft"),
        (["CT1", "--with", "our-cd"], "there is no profile and no file 'our-cd': did you mean 'our-ct'?"),
        (["CT9", "--with", "our-ct"], "CT9 is not under devices"),
        (["CT1", "--shadow"], "devices.CT1.shadow names no draft"),
    ],
)
def test_wrong_usage_says_what_is_right(mwl, site, arguments, message):
    """And ends with 2, which is no finding."""
    done = mwl("mapping", "replay", *arguments)

    assert (done.code, message in done.err) == (2, True), done.err


def test_a_wrong_draft_is_reported_at_its_line(mwl, site):
    """File, line, column; 78."""
    site.ask()
    site.write("drafts/our-ct.yaml", DRAFT.replace("truncate", "trunkate"))

    done = mwl("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml")

    assert done.code == 78
    assert "drafts/our-ct.yaml:4:1: error: unknown key 'trunkate': did you mean 'truncate'?" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no query of CT1 is on record: did you mean 'CT2'?"),
        (["--query", 1], "CT1 has no query 1 on record"),
        (["--against", 7], "no set of profiles has the number 7"),
    ],
)
def test_what_is_not_on_record_is_refused(mwl, site, options, message):
    """Nothing was compared, so nothing is said to be the same."""
    site.ask(ae="CT2")

    done = mwl("mapping", "replay", "CT1", "--with", "our-ct", *options)

    assert (done.code, message in done.err) == (1, True), done.err


def test_a_file_that_was_edited_is_compared_with_the_set_in_use(mwl, site):
    """Before the broker takes it over: the draft is the file, by its name."""
    key = site.in_use(OURS)
    site.in_use("put aside", "put aside by rollback")
    site.ask()
    site.write("mappings/devices/our-ct.yaml", DRAFT)

    done = mwl("mapping", "replay", "CT1", "--with", "our-ct")

    assert done.code == 1
    assert done.out.splitlines()[0] == (
        f"CT1: our-ct (set {key}: devices/our-ct.yaml) against our-ct (draft, mappings/devices/our-ct.yaml)"
    )


def test_a_profile_that_is_not_in_use_yet_is_said_to_be(mwl, site):
    """A device that was entered a minute ago: the broker has not read it."""
    site.in_use(OURS.replace("our-ct", "another"))
    site.ask()

    done = mwl("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml")

    assert done.code == 1
    assert done.out.startswith(
        "CT1: our-ct (not in use yet, mappings/devices/our-ct.yaml) against our-ct (draft, "
    )


def test_what_is_in_use_already_is_compared_with_an_earlier_set(mwl, site):
    """Without one the command says why it finds nothing."""
    earlier = site.in_use(OURS)
    site.write("mappings/devices/our-ct.yaml", DRAFT)
    site.in_use(DRAFT)
    site.ask()

    now = mwl("mapping", "replay", "CT1", "--with", "our-ct")
    before = mwl("mapping", "replay", "CT1", "--with", "our-ct", "--against", earlier)

    assert (now.code, before.code) == (0, 1)
    assert "the draft says what the profile in use says; to compare with an earlier set: --against" in now.err
    assert "set 1: devices/our-ct.yaml" in before.out


def test_what_a_draft_in_the_shadow_would_have_changed_is_shown(mwl, site):
    """What the broker put on record, for the draft as it is now."""
    site.configure(shadow="our-ct-2")
    site.write(
        "mappings/devices/our-ct-2.yaml",
        "profile: our-ct-2\nstatus: partial\nextends: our-ct\nclear: [AdmissionID]\n",
    )
    none = mwl("mapping", "replay", "CT1", "--shadow")
    digest = mwl("mapping", "replay", "CT1", "--shadow", "--json").json["after"]["digest"]
    number = site.ask()
    differences = mwl("mapping", "replay", "CT1", "--with", "drafts/our-ct.yaml", "--json").json["queries"][0]
    query = site.store.read_now(lambda tx: queries.get(tx, number))
    assert query is not None
    for profile, found in ((digest, differences), ("an earlier version", {}), (digest, {})):
        row = Shadowed("CT1", query.digest if found else f"another {profile}", "our-ct-2", profile, found)
        site.store.write_now(lambda tx, row=row: shadows.record(tx, row))

    done = mwl("mapping", "replay", "CT1", "--shadow")

    assert (none.code, "no query has been compared with this draft yet" in none.out) == (0, True)
    assert done.code == 1
    assert done.err == "2 queries replayed, 1 changes: 1 step vanishes, 1 step changes, 1 value changes\n"
    assert f"query {number}  once, " in done.out
    assert "PatientName  'DOE^JANE' → 'DOE'" in done.out
