"""What matches is what `mwl.query.holds` says, on either database; and what is loaded is current."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, update

from mwl import names
from mwl.lifecycle import CLOSED, StepState
from mwl.model import Document, StepRef, WorklistItem, name_value
from mwl.query import START_DATE, START_TIME, Criterion, Op, WorklistQuery, holds
from mwl.store import Store, Transaction, conditions, promoted, steps, tables

OTHER = ("00080090",)
"""Referring physician: not promoted, so documents decide it."""


@dataclass(frozen=True)
class Item:
    """One step to put into the database, with levels of its own."""

    patient: Document
    procedure: Document
    step: Document
    state: str = "SCHEDULED"


def put(tx: Transaction, items: list[Item]) -> None:
    """Store *items* as the keys 1, 2, 3, ..."""
    for key, item in enumerate(items, 1):
        # Patients are unique by ID and issuer, and these are drawn at random: the row is the item's own.
        identity = promoted.patient_columns(item.patient)
        rows = [
            (tables.patients, [{"key": key, **identity, "document": promoted.dump(item.patient)}]),
            (tables.patient_names, [{"patient_key": key, **row} for row in promoted.name_rows(item.patient)]),
            (tables.name_keys, [{"patient_key": key, **row} for row in promoted.key_rows(item.patient)]),
            (
                tables.procedures,
                [
                    {"key": key, "patient_key": key, "system": "RIS"}
                    | promoted.procedure_columns(item.procedure)
                    | {"document": promoted.dump(item.procedure)}
                ],
            ),
            (
                tables.steps,
                [
                    {"key": key, "procedure_key": key, "state": item.state}
                    | promoted.step_columns(item.step)
                    | {"document": promoted.dump(item.step), "created_at": "", "updated_at": ""}
                ],
            ),
            (
                tables.step_stations,
                [{"step_key": key, **row} for row in promoted.station_rows(item.step, StepState(item.state))],
            ),
        ]
        for table, values in rows:
            if values:
                tx.connection.execute(insert(table), values)


class Undo(Exception):
    """Rolls a test's work back, so that the next example finds the database empty."""


# --- any items, any criteria ---------------------------------------------------------------------

TEXTS = [
    "A",
    "a",
    "A%",
    "A_B",
    "AxB",
    "A\\B",
    "A[B]",
    "A^B",
    "[A]",
    "Ä1",
    "ä1",
    "1",
    "12",
    "123",
    "日本",
    "\U0010ffffx",
]
NAMES = [
    "DOE^JOHN", "doe^jane", "DOE^JOHN^Q", "DOE", "D%E^J_", "D[O]E^", "MÜLLER^ANNA", "Straße^X", "^", "\\",
    "YAMADA^TARO=山田^太郎=やまだ^たろう", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", "=王^小東", "\U0010ffff",
]  # fmt: skip
DATES = ["20260104", "20260105", "20260106", "20261231"]
TIMES = ["0000", "07", "0730", "073000", "073000.5", "235959.999999"]
INSTANTS = [
    "20260104000000.000000",
    "20260105073000.000000",
    "20260105073000.500000",
    "20261231235959.999999",
]


def element(vr: str, values: st.SearchStrategy) -> st.SearchStrategy:
    """An element that is absent, empty or filled."""
    return st.one_of(st.none(), st.just({"vr": vr}), values.map(lambda value: {"vr": vr, "Value": value}))


def documents(**elements: st.SearchStrategy) -> st.SearchStrategy[Document]:
    """Documents of *elements*, without those that came out absent."""
    drawn = st.fixed_dictionaries({tag.removeprefix("_"): value for tag, value in elements.items()})
    return drawn.map(lambda found: {tag: value for tag, value in found.items() if value})


def one(vr: str, pool: list) -> st.SearchStrategy:
    return element(vr, st.sampled_from(pool).map(lambda value: [value]))


ITEMS = st.builds(
    Item,
    patient=documents(
        _00100020=st.just(None),
        _00100021=one("LO", TEXTS),
        _00100010=one("PN", [name_value(name) for name in NAMES]),
    ),
    procedure=documents(
        _00080050=one("SH", TEXTS),
        _00401001=one("SH", TEXTS),
        _0020000D=one("UI", ["1.2.3", "1.2.30", "1.2.4"]),
        _00080090=one("PN", [name_value(name) for name in NAMES]),
    ),
    step=documents(
        _00400001=element("AE", st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)),
        _00400002=one("DA", DATES),
        _00400003=one("TM", TIMES),
        _00080060=one("CS", ["CT", "MR", "US"]),
    ),
    state=st.sampled_from([state.value for state in StepState]),
)

ANY_TEXT = st.sampled_from([*TEXTS, " A ", "", "CT", "1.2.3", "SCHEDULED", "COMPLETED"])
WILDCARDS = st.one_of(
    ANY_TEXT,
    st.tuples(st.sampled_from(TEXTS), st.integers(0, 3)).map(lambda drawn: drawn[0][: drawn[1]] + "*"),
    st.text("A%_\\[]^äÄ1日x*?", max_size=4),
)
KEYS = st.one_of(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(NAMES), st.integers(0, 8)).map(lambda drawn: drawn[0][: drawn[1]] + "*"),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["^*", "^*^*", "*^*", "^*=*", "=*^*"])).map("".join),
    st.text("DOEdoe^=*?%_\\[山ü\U0010ffff", max_size=6),
)
PLAIN_PATHS = st.sampled_from(sorted(conditions.TEXTS))
EVERY_PATH = st.sampled_from(
    [*sorted(conditions.TEXTS), conditions.PATIENT_NAME, START_DATE, START_TIME, OTHER]
)


def bound(pool: list[str]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from(["", *pool]), st.sampled_from(["", *pool]))


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, max_size=3).map(tuple)


SETS_OF_STATES = st.lists(st.sampled_from([state.value for state in StepState])).map(tuple)
FINISHED = tuple(sorted(CLOSED))

CRITERIA = st.one_of(
    # What nearly every profile says: an index of steps that are not finished answers it.
    st.just(Criterion(conditions.STATE, Op.IN, FINISHED, negate=True)),
    st.builds(Criterion, st.just(conditions.STATE), st.just(Op.IN), SETS_OF_STATES, st.booleans()),
    st.builds(Criterion, PLAIN_PATHS, st.just(Op.IN), some(ANY_TEXT), st.booleans()),
    st.builds(Criterion, PLAIN_PATHS, st.just(Op.WILDCARD), some(WILDCARDS), st.booleans()),
    st.builds(Criterion, PLAIN_PATHS, st.just(Op.RANGE), bound(TEXTS), st.booleans()),
    st.builds(Criterion, EVERY_PATH, st.just(Op.PRESENT), st.just(()), st.booleans()),
    st.builds(
        Criterion,
        st.sampled_from([conditions.PATIENT_NAME, OTHER]),
        st.just(Op.NAME),
        some(KEYS),
        st.booleans(),
    ),
    st.builds(
        Criterion,
        st.sampled_from([conditions.PATIENT_NAME, OTHER]),
        st.just(Op.SOUNDS),
        st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from([(), *names.asked(name), ("d*", "~T")])),
        st.booleans(),
    ),
    st.builds(Criterion, st.just(START_DATE), st.just(Op.IN), some(st.sampled_from(DATES)), st.booleans()),
    st.builds(Criterion, st.just(START_DATE), st.just(Op.RANGE), bound(DATES), st.booleans()),
    st.builds(Criterion, st.just(START_DATE), st.just(Op.SPAN), bound(INSTANTS), st.booleans()),
    st.builds(
        Criterion,
        st.just(START_TIME),
        st.just(Op.RANGE),
        bound(["000000.000000", "073000.000000", "073000.500000", "235959.999999"]),
        st.booleans(),
    ),
)


def expected(items: list[WorklistItem], criteria: tuple[Criterion, ...]) -> list[int]:
    """The keys of the items that hold, in the order of the answer."""
    kept = [item for item in items if all(holds(criterion, item) for criterion in criteria)]
    return [
        key for _, key in sorted((promoted.step_columns(item.step)["start"], item.ref.key) for item in kept)
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(ITEMS, max_size=12), criteria=st.lists(CRITERIA, max_size=4).map(tuple))
@example(items=[], criteria=(Criterion(conditions.ACCESSION, Op.WILDCARD, ("?",), negate=True),))
@example(items=[], criteria=(Criterion(conditions.PATIENT_NAME, Op.NAME, ("?",), negate=True),))
def test_the_database_and_the_oracle_agree(
    store: Store, items: list[Item], criteria: tuple[Criterion, ...]
) -> None:
    """Each criterion, and all of them together, leave the steps that `holds` leaves, in order."""
    questions = [(criterion,) for criterion in criteria] + [criteria]
    answers: list[tuple] = []

    def work(tx: Transaction) -> None:
        put(tx, [with_identity(item, key) for key, item in enumerate(items)])
        stored = steps.load(tx, [StepRef(key, 0, 0, 0) for key in range(1, len(items) + 1)])
        for question in questions:
            query = WorklistQuery(question)
            found = [ref.key for ref in steps.match(tx, query)]
            answers.append((question, found, expected(stored, question)))
            assert steps.count(tx, query) == len(found)
        raise Undo

    with pytest.raises(Undo):
        store.write_now(work)

    for question, found, wanted in answers:
        assert found == wanted, question


def with_identity(item: Item, key: int) -> Item:
    """The item with a patient ID of its own, out of the same pool while that lasts."""
    patient_id = TEXTS[key % len(TEXTS)]
    return Item(
        {**item.patient, "00100020": {"vr": "LO", "Value": [patient_id]}},
        item.procedure,
        {**item.step, "00400009": {"vr": "SH", "Value": [TEXTS[-1 - key % len(TEXTS)]]}},
        item.state,
    )


def test_what_no_column_decides_must_hold_altogether(store: Store) -> None:
    """Two criteria on attributes that are not promoted, over more steps than are loaded at once."""
    many = [
        Item({}, {"00080090": {"vr": "PN", "Value": [name_value(name)]}}, {})
        for name in ("DOE^JOHN", "DOE^JANE", "ROE^JOHN")
    ]
    store.write_now(
        lambda tx: put(tx, [replace(with_identity(many[n % 3], n), patient=numbered(n)) for n in range(300)])
    )
    query = WorklistQuery((Criterion(OTHER, Op.NAME, ("DOE*",)), Criterion(OTHER, Op.NAME, ("*JOHN",))))

    found = store.read_now(lambda tx: [ref.key for ref in steps.match(tx, query)])

    assert found == list(range(1, 301, 3))
    assert store.read_now(lambda tx: steps.count(tx, query)) == 100


def numbered(number: int) -> Document:
    return {"00100020": {"vr": "LO", "Value": [f"P{number}"]}}


# --- limits --------------------------------------------------------------------------------------


def at(date: str = "", time: str = "", **elements: str) -> Item:
    """A step that starts then; *elements* are tags of its patient."""
    step: Document = {"00400009": {"vr": "SH", "Value": ["S"]}}
    if date:
        step["00400002"] = {"vr": "DA", "Value": [date]}
    if time:
        step["00400003"] = {"vr": "TM", "Value": [time]}
    patient: Document = {tag: {"vr": "LO", "Value": [value]} for tag, value in elements.items()}
    return Item(patient, {}, step)


def found(store: Store, items: list[Item], query: WorklistQuery) -> list[int]:
    """Store *items* as 1, 2, 3 ... and return the keys that match."""

    def numbered(tx: Transaction) -> None:
        put(tx, [with_identity(item, key) for key, item in enumerate(items)])

    store.write_now(numbered)
    return [ref.key for ref in store.read_now(lambda tx: steps.match(tx, query))]


DAY = [at("20260105", f"{hour:02}00") for hour in (14, 8, 10, 12, 8)]  # keys in order: 2, 5, 3, 4, 1


@pytest.mark.parametrize(
    ("limit", "keys"),
    [(None, [2, 5, 3, 4, 1]), (5, [2, 5, 3, 4, 1]), (4, [2, 5, 3, 4, 1]), (2, [2, 5, 3]), (0, [2])],
)
def test_a_limit_leaves_the_first_and_one_that_tells_of_more(
    store: Store, limit: int | None, keys: list[int]
) -> None:
    """Ordered by start, then by key (A-47)."""
    assert found(store, DAY, WorklistQuery(limit=limit)) == keys


@pytest.mark.parametrize(
    ("limit", "nearest", "keys"),
    [
        (1, "20260105110000", [3, 4]),
        (2, "20260105110000", [3, 4, 5]),
        (2, "20260105130100", [4, 1, 3]),
        (3, "20260104000000", [2, 5, 3, 4]),
        (3, "20270101000000", [3, 4, 1, 5]),
        (5, "20260105110000", [2, 5, 3, 4, 1]),
    ],
)
def test_the_nearest_are_kept_and_the_one_left_out_comes_last(
    store: Store, limit: int, nearest: str, keys: list[int]
) -> None:
    """The answer proper is in order of start; the next nearest after it tells that there are more."""
    assert found(store, DAY, WorklistQuery(limit=limit, nearest=nearest)) == keys


def test_a_step_without_a_start_is_farthest_from_any_instant(store: Store) -> None:
    """It is kept while there is room."""
    items = [at(), at("20200101"), at("20260105")]

    assert found(store, items, WorklistQuery(limit=2, nearest="20260105000000")) == [2, 3, 1]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(ITEMS, max_size=12),
    criteria=st.lists(CRITERIA, max_size=2).map(tuple),
    limit=st.integers(0, 5),
    nearest=st.sampled_from([None, "20260105073000"]),
)
def test_a_limited_answer_is_the_beginning_of_the_whole(
    store: Store, items: list[Item], criteria: tuple[Criterion, ...], limit: int, nearest: str | None
) -> None:
    """Whoever decides the criteria, and from whichever end they are read."""
    answers: list[list[int]] = []

    def work(tx: Transaction) -> None:
        put(tx, [with_identity(item, key) for key, item in enumerate(items)])
        queries = (WorklistQuery(criteria), WorklistQuery(criteria, limit, nearest))
        answers.extend([ref.key for ref in steps.match(tx, query)] for query in queries)
        raise Undo

    with pytest.raises(Undo):
        store.write_now(work)
    whole, limited = answers

    assert len(limited) == min(len(whole), limit + 1)
    kept = [key for key in whole if key in limited[:limit]]
    assert limited[:limit] == kept
    if nearest is None:
        assert limited == whole[: limit + 1]


# --- loading -------------------------------------------------------------------------------------


def test_items_come_in_the_order_asked_for_and_what_is_gone_is_left_out(store: Store) -> None:
    """However many statements it takes."""
    store.write_now(lambda tx: put(tx, [with_identity(item, key) for key, item in enumerate(DAY)]))
    refs = [StepRef(key, 1, 1, 1) for key in (3, 99, 1, *range(1000, 1000 + steps.SLICE), 5)]

    items = store.read_now(lambda tx: steps.load(tx, refs))

    assert [item.ref.key for item in items] == [3, 1, 5]
    assert items[0].system == "RIS"
    assert items[0].patient["00100020"]["Value"] == [TEXTS[2]]
    assert items[0].step["00400003"]["Value"] == ["1000"]


def test_a_loaded_step_shows_its_present_state(store: Store) -> None:
    """The state is the column's, whatever the document said when it was written."""
    item = with_identity(DAY[0], 0)
    item.step["00400020"] = {"vr": "CS", "Value": ["SCHEDULED"]}
    store.write_now(lambda tx: put(tx, [Item(item.patient, item.procedure, item.step, "STARTED")]))

    (loaded,) = store.read_now(lambda tx: steps.load(tx, [StepRef(1, 1, 1, 1)]))

    assert loaded.step["00400020"] == {"vr": "CS", "Value": ["STARTED"]}


def test_references_carry_the_revisions_that_were_read(store: Store) -> None:
    """A response cached under them can never be an older one."""
    store.write_now(lambda tx: put(tx, [with_identity(DAY[0], 0)]))

    def revise(tx: Transaction) -> None:
        for table, revision in ((tables.patients, 5), (tables.procedures, 6), (tables.steps, 7)):
            tx.connection.execute(update(table).values(revision=revision))

    (before,) = store.read_now(lambda tx: steps.match(tx, WorklistQuery()))
    store.write_now(revise)
    (after,) = store.read_now(lambda tx: steps.match(tx, WorklistQuery()))
    (item,) = store.read_now(lambda tx: steps.load(tx, [before]))

    assert before == StepRef(1, 1, 1, 1)
    assert after == item.ref == StepRef(1, 5, 6, 7)


def test_browsing_asks_only_what_was_given(store: Store) -> None:
    """A patient, an accession number, a state, a day, or any of them together."""
    items = [with_identity(item, key) for key, item in enumerate(DAY[:2])]
    items[1].procedure["00080050"] = {"vr": "SH", "Value": ["A1"]}
    items.append(replace(with_identity(at("20260106"), 2), state="STARTED"))
    store.write_now(lambda tx: put(tx, items))

    def keys(**wanted: object) -> list[int]:
        return [item.ref.key for item in store.read_now(lambda tx: steps.browse(tx, **wanted))]

    assert keys() == [2, 1, 3]
    assert keys(limit=2) == [2, 1]
    assert keys(patient_id=TEXTS[0]) == [1]
    assert keys(accession="A1") == [2]
    assert keys(state=StepState.STARTED) == [3]
    assert keys(day="20260105") == [2, 1]
    assert keys(day="20260105", state=StepState.STARTED) == []


def test_history_is_told_from_the_beginning(store: Store) -> None:
    """Who said what happened, and when."""

    def work(tx: Transaction) -> None:
        put(tx, [with_identity(item, key) for key, item in enumerate(DAY[:2])])
        for step, before, after in ((1, "", "SCHEDULED"), (2, "", "SCHEDULED"), (1, "SCHEDULED", "STARTED")):
            tx.connection.execute(
                insert(tables.step_history),
                {"step_key": step, "at": tx.stamp, "event": "x", "before": before, "after": after}
                | {"source": "hl7 RIS 1", "reason": "because"},
            )

    store.write_now(work)

    entries = store.read_now(lambda tx: steps.history(tx, 1))
    assert [(entry.before, entry.after) for entry in entries] == [("", "SCHEDULED"), ("SCHEDULED", "STARTED")]
    assert (entries[0].source, entries[0].reason) == ("hl7 RIS 1", "because")
    assert dt.datetime.fromisoformat(entries[0].at).tzinfo is not None


# --- how the database answers --------------------------------------------------------------------


def test_hostile_keys_are_answered(store: Store) -> None:
    """Neither NUL nor half a surrogate pair nor a pattern without end stops a query."""
    store.write_now(lambda tx: put(tx, [with_identity(DAY[0], 0)]))
    hostile = ["\x00", "\ud800*", "*a" * 3000 + "b", "?" * 5000, "%" * 2000, "[" * 900 + "*x"]
    criteria = [
        Criterion(path, op, (text,))
        for text in hostile
        for path, op in (
            (conditions.PATIENT_ID, Op.IN),
            (conditions.PATIENT_ID, Op.WILDCARD),
            (conditions.STATION, Op.WILDCARD),
            (conditions.PATIENT_NAME, Op.NAME),
        )
    ]

    for criterion in criteria:
        assert store.read_now(lambda tx, c=criterion: steps.match(tx, WorklistQuery((c,)))) == []


def test_the_same_question_is_the_same_sql(store: Store) -> None:
    """Another date, another title, another pattern: the statement is compiled already."""

    def query(title: str, day: str, name: str) -> WorklistQuery:
        return WorklistQuery(
            (
                Criterion(conditions.STATION, Op.IN, (title,)),
                Criterion(START_DATE, Op.RANGE, (day, day)),
                Criterion(conditions.PATIENT_NAME, Op.NAME, (name,)),
                Criterion(conditions.STATE, Op.IN, ("COMPLETED", "CANCELED"), negate=True),
            ),
            limit=len(day),
        )

    def statements() -> int:
        return len(store.engine._compiled_cache)  # type: ignore[attr-defined]

    store.read_now(lambda tx: steps.match(tx, query("CT1", "20260105", "DOE*")))
    before = statements()
    store.read_now(lambda tx: steps.match(tx, query("MR7", "20261231", "Straße^X*")))

    assert statements() == before


DAY_KEY = Criterion(START_DATE, Op.RANGE, ("20260105", "20260105"))


@pytest.mark.parametrize(
    "criteria",
    [
        *[
            (Criterion(path, Op.IN, ("X",)),)
            for path in sorted(conditions.TEXTS - {conditions.ISSUER, conditions.STATE})
        ],
        (Criterion(conditions.PATIENT_ID, Op.WILDCARD, ("X*", "Y?Z")),),
        (Criterion(conditions.PATIENT_NAME, Op.NAME, ("DOE^JOHN",)),),
        (Criterion(conditions.PATIENT_NAME, Op.NAME, ("DOE^*",)),),
        (Criterion(conditions.PATIENT_NAME, Op.NAME, ("DOE^*=山田^*",)),),
        (Criterion(conditions.PATIENT_NAME, Op.NAME, ("DOE*", "ROE^*")),),
        (DAY_KEY,),
        (DAY_KEY, Criterion(conditions.STATION, Op.IN, ("CT1", "CT2"))),
        (DAY_KEY, Criterion(conditions.STATION, Op.WILDCARD, ("CT*",))),
        (DAY_KEY, Criterion(conditions.MODALITY, Op.IN, ("CT",))),
        # Not a day with a name: the day drives, and its few rows may well be tested by a subplan.
    ],
    ids=lambda criteria: "+".join(f"{each.path[-1]}{each.op}{each.values}" for each in criteria),
)
def test_a_key_is_found_by_an_index(store: Store, back_end: str, criteria: tuple[Criterion, ...]) -> None:
    """No table is walked: SQLite would say SCAN, PostgreSQL would test each patient by a hashed subplan."""
    forbidden = "SCAN " if back_end == "sqlite" else "hashed SubPlan"
    assert forbidden not in plan(store, WorklistQuery(criteria))


UNFINISHED = Criterion(conditions.STATE, Op.IN, FINISHED, negate=True)


@pytest.mark.parametrize(
    ("criteria", "index"),
    [
        ((Criterion(conditions.STATION, Op.IN, ("CT1",)),), "ix_step_stations_open"),
        ((Criterion(conditions.MODALITY, Op.IN, ("CT",)),), "ix_steps_open_modality"),
        ((), "ix_steps_open"),
    ],
)
def test_what_is_asked_without_a_date_walks_only_what_is_not_finished(
    store: Store, back_end: str, criteria: tuple[Criterion, ...], index: str
) -> None:
    """However old the database is; a state that a device asks for by name says the same."""
    if back_end == "postgresql":
        pytest.skip("of an empty table PostgreSQL walks all rows, whatever indexes there are")
    waiting = Criterion(conditions.STATE, Op.IN, ("SCHEDULED", "ARRIVED"))

    finished = replace(UNFINISHED, negate=False)

    assert index in plan(store, WorklistQuery((*criteria, UNFINISHED))).split()
    assert index in plan(store, WorklistQuery((*criteria, waiting))).split()
    assert index not in plan(store, WorklistQuery((*criteria, finished))).split()


def plan(store: Store, query: WorklistQuery) -> str:
    """Return how the database goes about *query*."""
    seen: list[tuple[str, object]] = []
    event.listen(store.engine, "before_cursor_execute", lambda *told: seen.append((told[2], told[3])))
    store.read_now(lambda tx: steps.match(tx, query))
    statement, values = next(each for each in seen if each[0].startswith("SELECT"))
    explain = "EXPLAIN QUERY PLAN" if store.engine.dialect.name == "sqlite" else "EXPLAIN"

    def explained(tx: Transaction) -> str:
        return "\n".join(row[-1] for row in tx.connection.exec_driver_sql(f"{explain} {statement}", values))

    return store.read_now(explained)
