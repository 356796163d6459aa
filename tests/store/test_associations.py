"""What a caller proposed is kept as it was, and bounded."""

from __future__ import annotations

from mwl.store.associations import AssociationRecord, Proposed

FIND = "1.2.840.10008.5.1.4.31"


def test_a_record_is_read_as_it_was_written() -> None:
    """In the order in which the contexts were proposed."""
    record = AssociationRecord.of(
        [(FIND, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]), ("1.2.840.10008.1.1", ["1.2.840.10008.1.2"])],
        max_pdu=16384,
        fuzzy=True,
        missing_message_id=True,
    )

    assert AssociationRecord.load(record.dump()) == record
    assert record.contexts[0] == Proposed(FIND, ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"))


def test_a_row_from_before_there_were_records_has_an_empty_one() -> None:
    """The column's default."""
    assert AssociationRecord.load("") == AssociationRecord()


def test_what_a_peer_makes_up_is_cut() -> None:
    """128 contexts with any number of syntaxes of any length; what is left out is counted."""
    record = AssociationRecord.of([("9" * 1000, ["8" * 1000 + "\x00"] * 100)] * 128)

    assert (len(record.contexts), record.more) == (16, 112)
    assert len(record.contexts[0].transfer_syntaxes) == 8
    assert len(record.dump()) < 16 << 10
