"""A step is linked to its messages and its performed steps, a message to its effects, and to no other's."""

from __future__ import annotations

from mwl.model import OrderAction, OrderMessage, ProcedureChange, WorklistItem, text
from mwl.store import Store, Transaction, links, messages, orders, performed
from mwl.store.messages import MessageRecord

BEGUN = "1.2.276.0.99.5001"


def ordered(tx: Transaction, item: WorklistItem, control_id: str) -> int:
    """Order *item* by a message on record, and return the key of its step."""
    change = ProcedureChange(OrderAction.CREATE, item.procedure, (item.step,))
    order = OrderMessage(item.system, item.patient, (change,))
    record = MessageRecord(
        "127.0.0.1:1", control_id.encode(), system="RIS", control_id=control_id, kind="ORM^O01"
    )
    arrival = messages.arrived(tx, record)
    done = orders.apply(tx, order, source=f"hl7 RIS {control_id}", uid_root=None, told=())
    messages.answered(tx, arrival, "AA", b"")
    messages.link(tx, arrival.key, procedures=done.procedures, steps=done.steps)
    return done.steps[0]


def begun(tx: Transaction, item: WorklistItem) -> None:
    """Create a performed step that refers to *item*."""
    scheduled = {
        "0020000D": item.procedure["0020000D"],
        "00080050": item.procedure["00080050"],
        "00401001": item.procedure["00401001"],
        "00400009": item.step["00400009"],
    }
    document = {
        **item.patient,
        "00080060": item.step["00080060"],
        "00400252": {"vr": "CS", "Value": ["IN PROGRESS"]},
        "00400270": {"vr": "SQ", "Value": [scheduled]},
    }
    performed.create(tx, BEGUN, document, calling_ae="CT_ROOM1", told=())


def test_a_step_has_its_messages_and_its_performed_steps(
    store: Store, f0_items: dict[str, WorklistItem]
) -> None:
    """Those of another step are not among them."""

    def work(tx: Transaction) -> tuple[links.Links, links.Links]:
        one, other = ordered(tx, f0_items["S2"], "A1"), ordered(tx, f0_items["S6"], "A2")
        begun(tx, f0_items["S2"])
        return links.of_step(tx, one), links.of_step(tx, other)

    one, other = store.write_now(work)

    assert [(each.control_id, each.kind, each.outcome) for each in one.messages] == [("A1", "ORM^O01", "AA")]
    assert [(each.sop_instance_uid, each.calling_ae, each.state) for each in one.performed] == [
        (BEGUN, "CT_ROOM1", "IN PROGRESS")
    ]
    assert [each.control_id for each in other.messages] == ["A2"]
    assert other.performed == ()


def test_an_unknown_step_has_none(store: Store) -> None:
    """Nothing is linked to what is not there."""
    assert store.read_now(lambda tx: links.of_step(tx, 999)) == links.Links((), ())


def test_a_message_has_what_it_touched(store: Store, f0_items: dict[str, WorklistItem]) -> None:
    """The patient, the procedure and the step of its order, as they are now."""

    def work(tx: Transaction) -> links.Effects:
        ordered(tx, f0_items["S6"], "A1")
        ordered(tx, f0_items["S2"], "A2")
        begun(tx, f0_items["S2"])
        (message,) = [each.key for each in links.of_step(tx, 2).messages]
        return links.of_message(tx, message)

    effects = store.write_now(work)

    assert [(each.patient_id, each.issuer) for each in effects.patients] == [("PID002", "HOSP_A")]
    assert [each.accession for each in effects.procedures] == [text(f0_items["S2"].procedure, "00080050")]
    assert [(each.step_id, each.modality, each.state) for each in effects.steps] == [("S2", "CT", "STARTED")]
    assert effects.steps[0].start.startswith(text(f0_items["S2"].step, "00400002"))
