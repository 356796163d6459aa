"""`dicom.users` at work: checked by the running broker, changed by a reload, and a useless file refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.events import EVT_PDU_RECV
from pynetdicom.pdu import A_ASSOCIATE_RJ, PDU
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from mwl.broker import Broker, bind
from mwl.config.passwords import hashed
from mwl.errors import BadDocument

VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture
async def broker(file):
    """A running broker that requires a user."""
    (file.folder / "anna").write_text("secret\n")
    users = f'{{anna: {{password_file: {file.folder}/anna}}, berta: {{password_hash: "{hashed("other")}"}}}}'
    made = Broker(file.change("ae_title: MWL,", f"ae_title: MWL, user_required: true, users: {users},"))
    await made.start()
    yield made
    await made.drain()


def associate(broker: Broker, name: str = "", passcode: str = "") -> str:
    """Associate as a device with pynetdicom; return how that ended."""
    entity = AE(ae_title="CT1")
    entity.acse_timeout = entity.network_timeout = 10
    entity.add_requested_context(VERIFICATION)
    stated = []
    if name:
        item = UserIdentityNegotiation()
        item.user_identity_type, item.positive_response_requested = 2, True
        item.primary_field, item.secondary_field = name.encode(), passcode.encode()
        stated.append(item)
    at = broker.addresses["dicom"]
    answers: list[PDU] = []  # pynetdicom forgets a rejection whose connection is closed before it looks
    association = entity.associate(
        at.host, at.port, ae_title="MWL", ext_neg=stated,
        evt_handlers=[(EVT_PDU_RECV, lambda event: answers.append(event.pdu))],
    )  # fmt: skip
    if association.is_established:
        association.release()
        return "accepted"
    return "rejected" if any(isinstance(answer, A_ASSOCIATE_RJ) for answer in answers) else "aborted"


async def test_a_device_proves_whom_it_acts_for(broker, caplog):
    """By a password in a file, or a hash; the log names the refusal and its setting, and no secret."""
    tried = [("anna", "secret"), ("berta", "other"), ("anna", "wrong"), ("carla", "secret"), ("", "")]
    ended = [await asyncio.to_thread(associate, broker, *each) for each in tried]
    (refused,) = [each.fields for each in caplog.records if each.getMessage() == "association refused"]

    assert ended == ["accepted", "accepted", "rejected", "rejected", "rejected"]
    assert (refused["reason"], refused["setting"]) == ("user identity not accepted", "dicom.users")
    assert "secret" not in caplog.text
    assert not [each for each in caplog.records if "wrong" in str(getattr(each, "fields", ""))]


async def test_a_reload_changes_who_is_accepted(broker, file):
    """The next association sees the new users; nothing waits for a restart."""
    (file.folder / "anna").write_text("changed\n")

    assert await broker.reload(file.load()) == []
    assert await asyncio.to_thread(associate, broker, "anna", "secret") == "rejected"
    assert await asyncio.to_thread(associate, broker, "anna", "changed") == "accepted"


@pytest.mark.parametrize(
    "content", [None, b"", b"one\ntwo\n", b"\xff\xfe\n"], ids=["absent", "empty", "two", "bytes"]
)
def test_a_useless_file_is_a_problem_at_its_line(file, content: bytes | None):
    """All of them are told at once, and none of what they hold."""
    path = Path(file.folder) / "password"
    if content is not None:
        path.write_bytes(content)
    users = f"{{anna: {{password_file: {path}}}, berta: {{password_file: {path}}}}}"
    configuration = file.change("ae_title: MWL,", f"ae_title: MWL, users: {users},")

    with pytest.raises(BadDocument, match=r"mwl.yaml:4:\d+: error: password_file: .*password") as caught:
        bind(configuration)
    assert len(caught.value.problems) == 2
    assert "two" not in str(caught.value)
