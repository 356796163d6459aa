"""Every client with every query: the tables of docs/worklist-vectors.md, and that they are current.

``python -m pytest tests/acceptance/test_find_table.py -s`` prints them; with ``MWL_WRITE_TABLES=1``
they are written into the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from acceptance import find_examples as examples
from acceptance import find_scripts as scripts
from acceptance.find_orders import load, load_f0
from acceptance.find_vectors import INEXPRESSIBLE, VECTORS, Vector
from foreign.dicom import wlmscpfs
from foreign.dicom.answer import SUCCESS, Answer
from foreign.dicom.clients import ALL, Client

MAPPINGS = str(Path(__file__).parent / "mappings")
PAGE = Path(__file__).parent.parent.parent / "docs" / "worklist-vectors.md"
CLIENTS = {client.name: client for client in ALL}
A900 = 0xA900

UNWITNESSED = {"dcmjs-dimse"}  # takes wlmscpfs's FF01 for the end of the answer

Folder = pytest.TempPathFactory


_Pair = tuple[Answer, Answer | None]


# ── clients and vectors ──


@pytest.fixture(scope="module")
def answers(
    serving: Any, fixtures: Path, tmp_path_factory: Folder
) -> Iterator[Callable[[str], dict[str, Answer]]]:
    """The answers a client got to the vectors F-C, by vector; every client asks a broker with F.0 once."""
    devices = {name.upper(): {"profile": name} for name in ("lenient", "literal", "candid")}
    devices["*"] = {"profile": "generic"}
    with serving(tmp_path_factory.mktemp("vectors"), devices=devices, mappings=MAPPINGS) as broker:
        load_f0(broker, fixtures)
        found: dict[str, dict[str, Answer]] = {}

        def asked(name: str) -> dict[str, Answer]:
            if name not in found:
                found[name] = dict(_asked(CLIENTS[name](), broker.addresses["dicom"]))
            return found[name]

        yield asked


def _asked(client: Client, address: tuple[str, int]) -> Iterator[tuple[str, Answer]]:
    can = [vector for vector in VECTORS if vector.id not in INEXPRESSIBLE.get(client.name, {})]
    for calling, group in groupby(sorted(can, key=_calling), key=_calling):
        vectors = list(group)
        queries = [vector.query for vector in vectors]
        yield from zip((v.id for v in vectors), client.find(address, queries, calling=calling), strict=True)


def _calling(vector: Vector) -> str:
    return vector.calling


def _is_right(vector: Vector, answer: Answer) -> bool:
    return (
        answer.steps == vector.steps.split()
        and answer.final == vector.final
        and set(answer.pending) <= {vector.pending}
    )


@pytest.mark.parametrize(
    ("client", "vector"),
    [
        pytest.param(client, vector, id=f"{client}-{vector.id}")
        for client in CLIENTS
        for vector in VECTORS
        if vector.id not in INEXPRESSIBLE.get(client, {})
    ],
)
def test_a_client_gets_what_the_vector_says(answers: Any, client: str, vector: Vector) -> None:
    """The same steps in the same order, the same statuses, whoever asks."""
    answer = answers(client)[vector.id]

    assert (answer.steps, answer.final) == (vector.steps.split(), vector.final)
    assert set(answer.pending) <= {vector.pending}


# ── DCMTK's examples, with its own server as the witness ──


@pytest.fixture(scope="module")
def example_list(tmp_path_factory: Folder) -> list[examples.Example]:
    """The queries DCMTK ships, and those edited to its items."""
    return [*examples.shipped(wlmscpfs.queries(tmp_path_factory.mktemp("queries"))), *examples.edited()]


@pytest.fixture(scope="module")
def witnessed(
    serving: Any, tmp_path_factory: Folder, example_list: list[examples.Example]
) -> Iterator[Callable[[str], dict[str, _Pair]]]:
    """The answers of our broker and of wlmscpfs to a client, by example; None from one without a witness."""
    changes = {"mappings": MAPPINGS, "systems": {"RIS": {"application": "RIS", "profile": "examples"}}}
    changes["devices"] = {"*": {"profile": "generic"}}
    with (
        serving(tmp_path_factory.mktemp("ours"), **changes) as broker,
        wlmscpfs.serving(tmp_path_factory.mktemp("theirs")) as witness,
    ):
        load(broker, *examples.orders(wlmscpfs.items(tmp_path_factory.mktemp("items"))))
        queries = [example.query for example in example_list]
        found: dict[str, dict[str, _Pair]] = {}

        def asked(name: str) -> dict[str, _Pair]:
            if name not in found:
                client = CLIENTS[name]()
                ours = client.find(broker.addresses["dicom"], queries)
                theirs: Sequence[Answer | None] = [None] * len(queries)
                if name not in UNWITNESSED:
                    theirs = client.find(witness, queries, called=wlmscpfs.AE_TITLE)
                pairs = zip(ours, theirs, strict=True)
                found[name] = dict(zip((example.id for example in example_list), pairs, strict=True))
            return found[name]

        yield asked


@pytest.fixture(scope="module")
def item_numbers(tmp_path_factory: Folder) -> dict[str, str]:
    """The number of each example item, by its step ID."""
    return examples.numbers(wlmscpfs.items(tmp_path_factory.mktemp("numbers")))


def _found(answer: Answer, expected: str | None, item_numbers: Mapping[str, str]) -> bool:
    """Tell whether an answer is *expected*; one that tells its items apart must have the very items."""
    if expected is None or answer.final != SUCCESS:
        return expected is None and answer.final == A900 and not len(answer)
    if any(
        "ScheduledProcedureStepID" not in step for item in answer for step in item.get(examples.STEPS, [{}])
    ):
        return len(answer) == len(expected.split())
    return {item_numbers[step] for step in answer.steps} == set(expected.split())


def _agreement(example: examples.Example, pair: _Pair, item_numbers: Mapping[str, str]) -> str:
    """Return the cell of the table: how the answers agree."""
    ours, theirs = pair
    if not _found(ours, example.ours, item_numbers):
        return "?"
    if theirs is None:
        return "as expected"
    if not _found(theirs, example.theirs, item_numbers):
        return "?"
    if example.ours != example.theirs:
        return "≠"
    differing = examples.letters(ours, theirs)
    return "?" if differing is None else f"= {differing}".strip()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_examples_are_answered_as_by_wlmscpfs(
    witnessed: Any, example_list: list[examples.Example], item_numbers: dict[str, str], client: str
) -> None:
    """Alike, or different in what the standard leaves open and the table explains."""
    pairs = witnessed(client)
    cells = {example.id: _agreement(example, pairs[example.id], item_numbers) for example in example_list}

    assert {name: pairs[name] for name, cell in cells.items() if cell == "?"} == {}
    assert all(example.why for example in example_list if cells[example.id] == "≠")


# ── scripts and character sets ──


@pytest.fixture(scope="module")
def lettered(
    serving: Any, tmp_path_factory: Folder
) -> Iterator[tuple[Any, Callable[[str], dict[str, scripts.Sent]]]]:
    """A broker with a name in every script, and what became of every name for a device of one term."""
    with serving(
        tmp_path_factory.mktemp("scripts"), devices=dict(scripts.devices()), mappings=MAPPINGS
    ) as broker:
        load(broker, *scripts.steps())
        found: dict[str, dict[str, scripts.Sent]] = {}

        def sent(term: str) -> dict[str, scripts.Sent]:
            if term not in found:
                found[term] = scripts.sent(broker.addresses["dicom"], term)
            return found[term]

        yield broker, sent


@pytest.mark.parametrize("term", scripts.TERMS)
def test_a_name_that_a_set_holds_is_sent_in_it(lettered: Any, term: str) -> None:
    """Python's codecs say what the set holds; whoever else reads the bytes reads that name."""
    _, sent = lettered
    outcomes = {script: name.outcome for script, name in sent(term).items()}

    assert {script for script, outcome in outcomes.items() if outcome == scripts.RIGHT} == scripts.held(term)


@pytest.mark.parametrize("term", scripts.TERMS)
def test_no_name_becomes_question_marks(lettered: Any, term: str) -> None:
    """What does not fit is transliterated, or left out with its item (A-58)."""
    _, sent = lettered

    assert not any("?" in name.text or "\ufffd" in name.text for name in sent(term).values())


def test_an_item_that_is_left_out_is_reported(lettered: Any) -> None:
    """The log names the device and the step, and no patient (R5)."""
    broker, sent = lettered
    missing = [script for script, name in sent("ISO_IR 100").items() if name.outcome == scripts.REFUSED]
    reports = [
        event
        for event in broker.events
        if event["event"] == "step left out of a worklist" and event["device"] == scripts.title("ISO_IR 100")
    ]

    assert missing == ["Japanese, kanji alone"]
    assert len(reports) == 1
    assert all("山田" not in line for line in broker.raw_log)


@pytest.mark.parametrize("term", scripts.TERMS)
def test_a_name_is_found_in_the_bytes_it_was_sent_in(lettered: Any, term: str) -> None:
    """What the device was given it can ask for, and gets that patient alone."""
    broker, sent = lettered
    right = {script: name for script, name in sent(term).items() if name.outcome == scripts.RIGHT}

    found = scripts.asked_back(broker.addresses["dicom"], term, right)

    assert found == {script: {script} for script in right}


# ── the page ──


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _clients_table(answers: Any) -> str:
    rows = []
    for vector in VECTORS:
        cells = []
        for client in CLIENTS:
            if vector.id in INEXPRESSIBLE.get(client, {}):
                cells.append("–")
            else:
                cells.append("yes" if _is_right(vector, answers(client)[vector.id]) else "**no**")
        keys = ", ".join(f"`{key}`" for key in vector.keys).replace("\0\0", "0") or "none"
        rows.append([vector.id, keys, vector.steps or _status(vector.final), *cells])
    return _table(["vector", "keys", "finds", *CLIENTS], rows)


def _status(final: int) -> str:
    return "nothing" if final == SUCCESS else f"{final:04X}"


def _choices_table() -> str:
    return _table(["vector", "choice"], [[vector.id, vector.why] for vector in VECTORS if vector.why])


def _examples_table(
    witnessed: Any, listed: Sequence[examples.Example], item_numbers: Mapping[str, str]
) -> str:
    rows = []
    for example in listed:
        cells = [_agreement(example, witnessed(client)[example.id], item_numbers) for client in CLIENTS]
        rows.append([example.id, _items(example.ours), _items(example.theirs), *cells, example.why])
    return _table(["query", "ours", "wlmscpfs", *CLIENTS, "why they differ"], rows)


def _items(found: str | None) -> str:
    if found is None:
        return "A900"
    return "all" if found == examples.ALL else found or "none"


def _letters_table() -> str:
    rows = [[letter, difference.text] for letter, difference in examples.DIFFERENCES.items()]
    rows.append(
        [
            examples.WARNING,
            "wlmscpfs says FF01 where it does not support a key; ours FF00, as `generic` has it",
        ]
    )
    return _table(["letter", "difference"], rows)


_MARKS = {
    scripts.RIGHT: "=", scripts.FEWER: "<", scripts.EQUAL: "e", scripts.TRANSLITERATED: "t", scripts.REFUSED: "x",
}  # fmt: skip


def _scripts_table(lettered: Any) -> str:
    _, sent = lettered
    heads = [
        re.sub(r"ISO_IR |ISO 2022 IR ", "", term).strip("\\").replace("\\", "+") for term in scripts.TERMS
    ]
    rows = [
        [
            script,
            *(_MARKS[sent(term)[script].outcome] for term in scripts.TERMS),
            sent("ISO_IR 6")[script].text,
        ]
        for script in scripts.NAMES
    ]
    return _table(["script", *heads, "in ISO_IR 6"], rows)


def test_the_page_is_current(
    answers: Any,
    witnessed: Any,
    example_list: list[examples.Example],
    item_numbers: dict[str, str],
    lettered: Any,
) -> None:
    """``MWL_WRITE_TABLES=1 pytest tests/acceptance/test_find_table.py`` has nothing to write."""
    tables = {
        "clients": _clients_table(answers),
        "choices": _choices_table(),
        "examples": _examples_table(witnessed, example_list, item_numbers),
        "differences": _letters_table(),
        "scripts": _scripts_table(lettered),
    }
    print("", *tables.values(), sep="\n\n")
    text = PAGE.read_text("utf-8")
    for name, table in tables.items():
        between = re.compile(rf"(<!-- vectors: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert between.search(text), f"{PAGE.name} has no place for the table {name!r}"
        text = between.sub(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text)
    if os.environ.get("MWL_WRITE_TABLES") == "1":
        PAGE.write_text(text, "utf-8")

    assert PAGE.read_text("utf-8") == text
