"""What is proposed and not to be had: said once, by name, and counted."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from mwl.dicom import refused_contexts
from mwl.dicom.refused_contexts import RefusedContexts
from mwl.dicom.service import AssociationFacts, Reply, Request
from mwl.dicom.verification import VERIFICATION

WORKLIST, IMPLICIT, JPEG = "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"
ARCHIVE_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


async def succeed(request: Request, reply: Reply) -> None:
    await reply.send(0)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    """Return level and fields of each event of this kind."""
    caplog.set_level(logging.INFO, "mwl")
    return lambda: [
        (record.levelno, record.fields)  # type: ignore[attr-defined]
        for record in caplog.records
        if record.message == "presentation contexts refused"
    ]


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("mwl_dicom_contexts_refused_total", {"reason": reason}) or 0.0


async def test_a_search_of_an_archive_is_named_once(
    start: Any, answers: Any, request_octets: Any, told: Any
) -> None:
    """A workstation that asks the worklist for studies: result 3, and one readable event (F09)."""
    before = counted("SOP class not offered")
    running = await start(answers(succeed))
    for _ in range(3):
        peer = await running.connect()
        accepted = await peer.associate(request_octets((ARCHIVE_FIND, [IMPLICIT]), calling="AW1"))
        await peer.release()
    ((level, fields),) = told()

    assert [context.result for context in accepted.presentation_context] == [3]
    assert level == logging.WARNING
    assert (fields["calling_ae"], fields["address"], fields["accepted"]) == ("AW1", "127.0.0.1", 0)
    assert fields["contexts"] == [
        f"Study Root Query/Retrieve Information Model - FIND ({ARCHIVE_FIND}): SOP class not offered"
    ]
    assert counted("SOP class not offered") - before == 3


async def test_a_class_too_many_beside_a_worklist_is_no_warning(
    start: Any, answers: Any, request_octets: Any, told: Any
) -> None:
    """Devices propose what they can; as long as there is something to use it is only told."""
    running = await start(answers(succeed))
    await running.associated(
        request_octets((WORKLIST, [IMPLICIT]), (ARCHIVE_FIND, [IMPLICIT]), (VERIFICATION, [JPEG]))
    )
    ((level, fields),) = told()

    assert level == logging.INFO
    assert fields["accepted"] == 1
    assert [line.rpartition(": ")[2] for line in fields["contexts"]] == [
        "SOP class not offered",
        "no transfer syntax in common",
    ]


async def test_nothing_is_said_where_nothing_was_refused(
    start: Any, answers: Any, request_octets: Any, told: Any
) -> None:
    """The usual association leaves no such line."""
    await (await start(answers(succeed))).associated(
        request_octets((WORKLIST, [IMPLICIT]), (VERIFICATION, [IMPLICIT]))
    )

    assert told() == []


def test_an_archives_proposal_is_one_short_line(told: Any) -> None:
    """Of a hundred classes some are named, the others counted; what is no UID is shown as it came."""
    classes = [("no UID at all", 3), *((f"1.2.3.{n}", 3) for n in range(100))]
    RefusedContexts().note(AssociationFacts("PACS", "MWL"), classes, 1)
    ((_, fields),) = told()

    assert fields["contexts"][:2] == [
        "no UID at all: SOP class not offered",
        "1.2.3.0: SOP class not offered",
    ]
    assert len(fields["contexts"]) + fields["more"] == 101
    assert len(fields["contexts"]) < 10


def test_what_is_remembered_is_bounded(told: Any) -> None:
    """A stranger who makes up classes makes nothing grow."""
    refused = RefusedContexts()
    for number in range(3 * refused_contexts._REMEMBERED):
        refused.note(AssociationFacts("X", "MWL"), [(f"1.2.{number}", 3)], 0)

    assert len(refused._told) <= refused_contexts._REMEMBERED
