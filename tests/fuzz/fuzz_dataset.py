"""Identifiers and performed steps: from octets to a document, through a device's profile, to criteria, and back.

    python tests/fuzz/fuzz_dataset.py -max_total_time=60

The first octet picks the transfer syntax.
"""

from __future__ import annotations

from contextlib import suppress

from harness import ROOT, hunt, watched

with watched():
    from mwl.dicom.encoding import Undecodable, Unencodable, decode_dataset, encode_dataset
    from mwl.dicom.matching import BadIdentifier, understand
    from mwl.dicom.negotiation import TRANSFER_SYNTAXES
    from mwl.dicom.performed_rules import (
        objections_to_create,
        objections_to_set,
        objections_to_values,
        settable,
    )
    from mwl.dicom.performed_tolerance import cleaned
    from mwl.dicom.transcoding import transcoded
    from mwl.mapping.devices.device import load_devices
    from mwl.mapping.facts import Facts, SiteFacts
    from mwl.mapping.text.charset import UTF8, Unfit
    from mwl.model import Document

PROFILE = load_devices([ROOT / "mappings"]).bind("generic", {}, SiteFacts())
FACTS = Facts("CT1", "MWL", "127.0.0.1")


def one_input(data: bytes) -> None:
    """Read a data set, ask with it, report with it, write it."""
    if not data:
        return
    syntax = TRANSFER_SYNTAXES[data[0] % len(TRANSFER_SYNTAXES)]
    try:
        document = decode_dataset(data[1:], syntax)
    except Undecodable:
        return
    ask(document)
    clean, _ = cleaned(document)
    objections_to_create(clean)
    objections_to_values(clean)
    objections_to_set(settable(document), document)
    for other in TRANSFER_SYNTAXES:
        with suppress(Unencodable, Undecodable):  # what has lost its VR is read by the dictionary's
            decode_dataset(transcoded(data[1:], syntax, other), other)
    try:
        written = encode_dataset(document, syntax, UTF8)
    except (Unencodable, Unfit):
        return
    if "'UN'" not in repr(document):  # what has lost its VR is read by the dictionary's, if it can be
        assert list(decode_dataset(written, syntax)) == sorted(document)


def ask(document: Document) -> None:
    keys = PROFILE.rewrite(PROFILE.accept(document), FACTS)
    PROFILE.filters(keys, FACTS)
    for lenient in (True, False):
        for fuzzy in (True, False):
            with suppress(BadIdentifier):
                understand(keys, lenient=lenient, fuzzy=fuzzy)


if __name__ == "__main__":
    hunt(__file__, one_input)
