"""Where the feature leader fails at the wire (peers, rows 11 to 15): the same messages, told and kept right."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from acceptance.hl7_wire import ORDER, changed, connected, error, text, told
from foreign.dicom.clients import associated, find
from foreign.dicom.identifier import identifier


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, serving: Callable[..., Any]) -> Iterator[Any]:
    with serving(
        tmp_path_factory.mktemp("peers"), devices={"*": {"profile": "generic"}}, systems={"RIS": {}}
    ) as running:
        yield running


def message(n: int, *changes: str) -> str:
    return text(changed(ORDER, *changes), n, f"N{n}")


def shown(broker: Any, n: int, keyword: str) -> str:
    """Return an attribute of the one item a device gets for a patient."""
    with associated(broker.addresses["dicom"], calling="CT1") as association:
        (item,) = find(association, identifier("SpecificCharacterSet=ISO_IR 192", f"PatientID=P{n}", keyword))
    return str(item.get(keyword, ""))


@pytest.mark.parametrize(
    ("label", "name", "codec"),
    [
        ("UTF-8", "Łukasiewicz^Żaneta", "utf-8"),
        ("utf8", "Łukasiewicz^Żaneta", "utf-8"),
        ("8859/15", "Œuvre^Žižka€", "iso8859_15"),
        ("ISO-8859-2", "Čapek^Jiří", "iso8859_2"),
        ("ISO_IR 100", "MÜLLER^Jürgen", "latin-1"),
        ("WINDOWS-1252", "Šimon^d’Arc", "cp1252"),
        ("GB18030", "王^小东", "gb18030"),
        ("GBK", "王^小东", "gbk"),
        ("EUC-KR", "홍^길동", "euc_kr"),
        ("UNICODE UTF-8~8859/1", "Ł^Ż", "utf-8"),
        ("8859/1~8859/15", "É^È", "latin-1"),
        ("~ISO IR87", "山田^太郎", "iso2022_jp"),
        ("ISO IR14~ISO IR87", "山田^太郎", "iso2022_jp"),
        ("ASCII~ISO IR87~ISO IR159", "山田^丂", "iso2022_jp_ext"),
    ],
)
def test_peers_11_msh_18_with_repetitions_and_aliases(broker: Any, label: str, name: str, codec: str) -> None:
    """There they are decoded as ASCII; here the name stands on the worklist as it was written."""
    n = 100 + sum(label.encode())
    with connected(broker) as wire:
        answer = wire.ask(message(n, f"MSH-18={label}", f"PID-5={name}").encode(codec))

    assert told(answer) == ("AA", f"N{n}")
    assert shown(broker, n, "PatientName") == name


@pytest.mark.parametrize("label", ["8859/1", "8859/15", "ISO_IR 100", "ASCII", "KS X 1001", "GB 18030-2000"])
def test_peers_12_a_label_that_lies_costs_no_name(broker: Any, label: str) -> None:
    """Order samples labelled 8859/1 hold UTF-8: there that is mojibake, here it is seen, read and reported."""
    n = 5000 + sum(label.encode())
    with connected(broker) as wire:
        answer = wire.ask(message(n, f"MSH-18={label}", "PID-5=MÜLLER^Jürgen"))
    (kept,) = json.loads(broker.run("hl7", "list", "--control-id", f"N{n}", "--json").stdout)

    assert told(answer) == ("AA", f"N{n}")
    assert shown(broker, n, "PatientName") == "MÜLLER^Jürgen"
    assert "MSH-18" in json.dumps(kept)


def test_peers_13_escapes_in_text_are_neither_lost_nor_corrupted(broker: Any) -> None:
    r"""In notes and in names; ``\TEST\`` is no escape sequence, nor is a path of Windows."""
    note = "line1\\.br\\line2 \\F\\ \\S\\ \\R\\ \\T\\ \\E\\ \\X41\\ \\H\\bold\\N\\ \\TEST\\ C:\\TEMP"
    with connected(broker) as wire:
        answer = wire.ask(
            message(7000, f"+NTE|1||{note}", "PID-5=O\\T\\BRIEN^MARY", "OBR-4=CTH^CT \\T\\ more^L")
        )

    assert told(answer) == ("AA", "N7000")
    assert shown(broker, 7000, "PatientName") == "O&BRIEN^MARY"
    assert shown(broker, 7000, "RequestedProcedureDescription") == "CT & more"
    assert shown(broker, 7000, "RequestedProcedureComments") == (
        "line1\r\nline2 | ^ ~ & \\ A bold \\TEST\\ C:\\TEMP"
    )


def test_peers_14_what_goes_wrong_inside_is_answered_on_a_connection_that_stays(
    start_broker: Callable[..., Any],
) -> None:
    """There the connection is closed without a word; here it is AE or AR 207, and the next order is taken."""
    broker = start_broker()
    database = broker.folder / "mwl.db"

    def rename(before: str, after: str) -> None:
        with sqlite3.connect(database, isolation_level=None) as other:
            other.execute("PRAGMA legacy_alter_table=ON")
            other.execute(f"ALTER TABLE {before} RENAME TO {after}")
        other.close()

    with connected(broker) as wire:
        rename("steps", "gone")
        failed = wire.ask(message(8000))
        rename("gone", "steps")
        taken = wire.ask(message(8000))

    assert told(failed) in (("AE", "N8000"), ("AR", "N8000"))
    assert error(failed).startswith("207 @MSH")
    assert b"steps" not in failed
    assert told(taken) == ("AA", "N8000")
    assert len(json.loads(broker.run("steps", "list", "--json").stdout)) == 1


def test_peers_15_every_message_is_stored_found_counted_and_can_be_applied_again(broker: Any) -> None:
    """There nothing inbound is kept; here: bytes, peer, answer, search, duplicates, order of arrival, replay."""
    good, bad = message(9000, "PID-5=MÜLLER^Jörg"), message(9001, "ORC-1=ZZ")
    with connected(broker) as wire:
        first = wire.ask(good)
        again = wire.ask(good)
        refused = wire.ask(bad)

    (one,) = json.loads(broker.run("hl7", "list", "--accession", "ACC9000", "--json").stdout)
    (two,) = json.loads(broker.run("hl7", "list", "--control-id", "N9001", "--json").stdout)
    raw = broker.run("hl7", "show", "N9000", "--raw").stdout
    steps = json.loads(broker.run("steps", "list", "--accession", "ACC9000", "--json").stdout)

    assert again == first
    assert told(refused) == ("AE", "N9001")
    assert (one["outcome"], one["receipts"], two["outcome"]) == ("AA", 2, "AE")
    assert raw.replace("\n", "\r") == good
    assert len(steps) == 1
    assert broker.run("hl7", "replay", "N9001").returncode in (0, 1)
