"""Messages on record applied again, through the intake, after a profile was mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mwl.errors import Unavailable
from mwl.hl7.envelope import System
from mwl.hl7.intake import Intake
from mwl.hl7.replay import Replayed, replay
from mwl.mapping.systems.system import load_systems
from mwl.model import WorklistItem, text
from mwl.query import WorklistQuery
from mwl.store import Store, journal, links, steps
from mwl.store.allowances import Allowances
from mwl.store.journal import StoredMessage, Wanted

PEER = "10.0.0.5:40000"
MAPPINGS = Path(__file__).parents[2] / "mappings"
ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|{sent}||ORM^O01|{control_id}|P|2.3.1||||||UNICODE UTF-8\r"
    "PID|1||PID001^^^HOSP||DOE^JANE||19700101|F\r"
    "ORC|{control}|PL1^RIS|FI1^RIS||||1^^^{start}^^R\r"
    "OBR|1|PL1^RIS|FI1^RIS|{code}^Knee^L||||||||||||||ACC1|RP1|SPS1\r"
)
BEFORE = "CTHEAD: CT"
MENDED = "CTHEAD: CT, MRKNEE: MR"


def order(control_id: str = "C1", **fields: str) -> bytes:
    said = {"sent": "20260704120000", "control": "NW", "start": "20260705093000", "code": "MRKNEE"}
    return ORDER.format(control_id=control_id, **{**said, **fields}).encode()


@pytest.fixture
def use(intake: Intake, tmp_path: Path) -> Callable[[str], None]:
    """Let the intake read orders with a profile that knows these codes and no others."""
    (tmp_path / "systems").mkdir()

    def bind(codes: str) -> None:
        line = f"Modality: {{from: OBR-4.1, table: {{{codes}}}, miss: error}}"
        (tmp_path / "systems" / "ours.yaml").write_text(f"profile: ours\nstep:\n  {line}\n")
        profile = load_systems([tmp_path, MAPPINGS]).bind("ours")
        intake.systems = [System("RIS", profile, application="RIS")]

    bind(BEFORE)
    return bind


async def run(store: Store, intake: Intake, **how: Any) -> list[Replayed]:
    keys = await store.read(lambda tx: journal.in_order(tx, Wanted()))
    return [each async for each in replay(store, intake, keys, **how)]


async def worklist(store: Store) -> list[WorklistItem]:
    return await store.read(lambda tx: steps.load(tx, steps.match(tx, WorklistQuery())))


async def stored(store: Store, key: int = 1) -> StoredMessage:
    found = await store.read(lambda tx: journal.read(tx, key))
    assert found is not None
    return found


def outcomes(done: list[Replayed]) -> list[str]:
    return [each.verdict.outcome for each in done]


async def test_a_refused_message_is_applied_once_its_profile_is_mended(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """The step appears, the message says so, and what the sender was told is kept."""
    await intake.receive(order(), PEER)
    before = await stored(store)
    use(MENDED)

    done = await run(store, intake)

    assert outcomes(done) == ["AA"]
    (item,) = await worklist(store)
    assert text(item.step, "00080060") == "MR"
    after = await stored(store)
    assert (before.entry.outcome, after.entry.outcome, after.entry.replayed) == ("AE", "AA", True)
    assert [each.acknowledgement for each in after.other] == [before.acknowledgement]
    assert after.acknowledgement is not None
    assert b"MSA|AA|C1" in after.acknowledgement
    effects = await store.read(lambda tx: links.of_message(tx, 1))
    assert [step.key for step in effects.steps] == [item.ref.key]


async def test_a_step_tells_that_it_came_by_a_replay(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """The history names message and replay."""
    await intake.receive(order(), PEER)
    use(MENDED)
    await run(store, intake)

    (item,) = await worklist(store)
    history = await store.read(lambda tx: steps.history(tx, item.ref.key))
    assert [entry.source for entry in history] == ["hl7 RIS C1 replayed"]


async def test_a_message_that_is_still_wrong_is_refused_again(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """Nothing changes but the record of the attempt."""
    await intake.receive(order(), PEER)

    (done,) = await run(store, intake)

    assert done.refused
    assert str(done.verdict.findings[0].location) == "OBR-4"
    assert await worklist(store) == []
    assert [(each.outcome, each.replayed) for each in (await stored(store)).other] == [("AE", False)]


async def test_what_had_its_effect_is_left_alone(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """Twice replayed is once applied."""
    await intake.receive(order(), PEER)
    use(MENDED)

    done = await run(store, intake) + await run(store, intake)

    assert outcomes(done) == ["AA", "duplicate"]
    assert len(await worklist(store)) == 1
    assert len((await stored(store)).other) == 1


async def test_a_sender_that_repeats_a_replayed_message_is_told_that_it_was_taken(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """It gets the answer of the replay, and nothing is done twice (D-30)."""
    await intake.receive(order(), PEER)
    use(MENDED)
    await run(store, intake)

    answer = await intake.receive(order(), PEER)

    assert answer == (await stored(store)).acknowledgement
    assert (await stored(store)).entry.receipts == 2
    assert len(await worklist(store)) == 1


async def test_again_applies_what_was_accepted(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """A profile that read a value wrongly: mended, its orders are read anew."""
    use("MRKNEE: CT")
    await intake.receive(order(), PEER)
    use(MENDED)

    done = await run(store, intake, again=True)

    assert outcomes(done) == ["AA"]
    assert [text(item.step, "00080060") for item in await worklist(store)] == ["MR"]


async def test_a_rehearsal_changes_nothing(intake: Intake, store: Store, use: Callable[[str], None]) -> None:
    """It tells the outcome all the same."""
    await intake.receive(order(), PEER)
    before = await stored(store)
    refused = await run(store, intake, rehearsed=True)
    use(MENDED)

    done = await run(store, intake, rehearsed=True)

    assert (outcomes(refused), outcomes(done)) == (["AE"], ["AA"])
    assert await worklist(store) == []
    assert await stored(store) == before


async def test_messages_are_replayed_in_the_order_in_which_they_came(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """An order and its change: the change wins, whatever order they are named in."""
    await intake.receive(order("C1"), PEER)
    await intake.receive(order("C2", control="XO", start="20260706110000", sent="20260704130000"), PEER)
    use(MENDED)

    done = [each async for each in replay(store, intake, [2, 1, 2])]

    assert [(each.entry.control_id, each.verdict.outcome) for each in done] == [("C1", "AA"), ("C2", "AA")]
    (item,) = await worklist(store)
    assert text(item.step, "00400002") == "20260706"


async def test_an_old_order_that_is_replayed_does_not_undo_what_came_after_it(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """NW was refused, XO was taken: replayed, NW is the older message and fills gaps alone."""
    await intake.receive(order("C1"), PEER)
    use(MENDED)
    await intake.receive(order("C2", control="XO", start="20260706110000", sent="20260704130000"), PEER)

    done = await run(store, intake)

    assert outcomes(done) == ["AA", "duplicate"]
    (item,) = await worklist(store)
    assert text(item.step, "00400002") == "20260706"


async def test_a_sender_that_is_configured_at_last_is_replayed_under_its_name(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """What nobody knew then belongs to its system from then on."""
    systems, intake.systems = intake.systems, []
    await intake.receive(order(code="CTHEAD"), PEER)
    assert (await stored(store)).entry.system == ""
    intake.systems = systems

    await run(store, intake)

    assert (await stored(store)).entry.system == "RIS"


async def test_a_message_that_is_purged_meanwhile_is_passed_over(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """The others are replayed."""
    await intake.receive(order(), PEER)
    use(MENDED)

    done = [each async for each in replay(store, intake, [1, 7])]

    assert [each.entry.key for each in done] == [1]


async def test_a_store_that_cannot_answer_ends_the_replay(
    intake: Intake, store: Store, use: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for a refusal."""
    await intake.receive(order(), PEER)

    async def away(_work: object) -> None:
        raise Unavailable("the database cannot answer now")

    monkeypatch.setattr(store, "write", away)

    with pytest.raises(Unavailable):
        await run(store, intake)


# ── what is kept of what is refused ──


async def test_rubbish_is_kept_up_to_a_bound_and_answered_beyond_it(
    intake: Intake, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand different pieces of rubbish leave the disk bounded; each is answered AR."""
    intake.allowances = Allowances(unknown=1000)

    answers = [await intake.receive(f"rubbish {n:04}".encode(), PEER) for n in range(1000)]

    assert all(answer and b"MSA|AR|" in answer for answer in answers)
    kept = await store.read(lambda tx: journal.search(tx, Wanted(), limit=10_000))
    assert (len(kept), sum(entry.octets for entry in kept)) == (83, 996)
    assert [record.fields.get("kept") for record in caplog.records][-1] is False


async def test_the_same_rubbish_is_kept_once(intake: Intake, store: Store) -> None:
    """It is counted."""
    for _ in range(100):
        await intake.receive(b"the same rubbish", PEER)

    (entry,) = await store.read(lambda tx: journal.search(tx, Wanted(), limit=10))
    assert (entry.receipts, entry.outcome) == (100, "AR")


async def test_rubbish_does_not_take_the_room_of_refused_orders(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """Orders of a configured system are there to be replayed."""
    intake.allowances = Allowances(unknown=0)

    await intake.receive(b"rubbish", PEER)
    await intake.receive(order(), PEER)
    await intake.receive(changed_sender(), PEER)

    kept = await store.read(lambda tx: journal.search(tx, Wanted(), limit=10))
    assert [entry.control_id for entry in kept] == ["C1"]


def changed_sender() -> bytes:
    """Return an order of somebody who is not configured."""
    return order("C9").replace(b"|RIS|HOSP|", b"|NOBODY||", 1)


async def test_a_refused_message_is_found_by_its_numbers(
    intake: Intake, store: Store, use: Callable[[str], None]
) -> None:
    """The analyst looks for the accession of the exam that is missing."""
    await intake.receive(order(), PEER)

    numbers = {(key.kind.value, key.value) for key in (await stored(store)).keys}

    assert {("accession", "ACC1"), ("patient", "PID001"), ("order", "PL1")} <= numbers
