"""The broker as one: it starts whole or not at all, reloads whole or not at all, and drains."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from pydicom.dataset import Dataset
from pynetdicom.sop_class import ModalityWorklistInformationFind

from mwl.broker import Broker
from mwl.config import Address
from mwl.dicom import requestor
from mwl.errors import BadDocument, Unavailable
from mwl.hl7.sender import send
from mwl.lifecycle import OutboxState
from mwl.store import callers, outbox, queries

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260705080000||ORM^O01|{control_id}|P|2.3.1|||||DEU|UNICODE UTF-8\r"
    "PID|1||PID002^^^HOSP_A||DOE^JANE||19800101|F\r"
    "PV1|1|O\r"
    "ORC|NW|P1002|F1002||SC||1^^^20260705103000^^R\r"
    "OBR|1|P1002|F1002|CTHEAD^CT head^99L||||||||||||2201^SMITH^ANNA||ACC1002|RP1002|SP1002|CT_ROOM1|||CT"
    "|||1^^^20260705103000^^R\r"
    "ZDS|1.2.276.0.99.1002^^Application^DICOM\r"
)


@pytest.fixture
async def broker(file):
    """A running broker."""
    made = Broker(file.load())
    await made.start()
    yield made
    await made.drain()


def peer(broker: Broker, calling: str = "CT1", called: str = "MWL") -> requestor.Peer:
    """Return the broker as a device addresses it."""
    at = broker.addresses["dicom"]
    return requestor.Peer(at.host, at.port, called, calling)


async def get(at: Address, path: str) -> tuple[int, bytes]:
    """Ask the web side for a page."""
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def order(broker: Broker, control_id: str = "1") -> str:
    """Send an order as the RIS and return MSA-1 of the answer."""
    at = broker.addresses["hl7"]
    answer = await send(at.host, at.port, ORDER.format(control_id=control_id).encode())
    (msa,) = [line for line in answer.decode().split("\r") if line.startswith("MSA")]
    return msa.split("|")[1]


async def test_an_order_comes_out_as_a_worklist_item(broker):
    """The whole way: HL7 in, C-FIND out."""
    assert await order(broker) == "AA"

    (item,) = await asyncio.to_thread(
        requestor.find, peer(broker), {"00100020": {"vr": "LO", "Value": ["PID002"]}}
    )

    assert item["00100020"]["Value"] == ["PID002"]


async def test_readiness_is_said_once_with_the_real_ports(file, caplog):
    """Port 0 is replaced by the port that was given; the line comes when every listener accepts."""
    caplog.set_level(logging.INFO, "mwl")
    broker = Broker(file.load())

    await broker.start()

    (ready,) = [record for record in caplog.records if record.getMessage() == "ready"]
    assert ready.fields == {name: str(at) for name, at in broker.addresses.items()}
    assert set(broker.addresses) == {"dicom", "hl7", "web"}
    assert all(at.port for at in broker.addresses.values())
    await asyncio.to_thread(requestor.echo, peer(broker))
    assert await get(broker.addresses["web"], "/healthz") == (200, b"alive\n")
    await broker.drain()


async def test_each_part_proves_that_it_works(broker):
    """/readyz is answered by trying: a connection to each listener, a query to the database."""
    status, body = await get(broker.addresses["web"], "/readyz")

    assert (status, json.loads(body)["parts"]) == (200, {"database": True, "dicom": True, "hl7": True})


async def test_a_listener_that_died_is_not_ready(broker):
    """A process that looks alive while its listener is dead is found out."""
    await broker._doors.hl7.stop(0)

    status, body = await get(broker.addresses["web"], "/readyz")

    assert (status, json.loads(body)["not_ready"]) == (503, ["hl7"])


async def test_a_database_that_is_gone_is_not_ready(broker, file):
    """The file was taken away under the broker."""
    (file.folder / "mwl.db").rename(file.folder / "away.db")

    status, body = await get(broker.addresses["web"], "/readyz")

    assert (status, json.loads(body)["not_ready"]) == (503, ["database"])


async def test_the_figures_tell_what_waits_to_be_sent(broker, file):
    """A destination that is configured shows 0 before anything waits."""
    await broker.reload(file.change("application: RIS,", 'application: RIS, status: {to: "127.0.0.1:1"},'))

    _, body = await get(broker.addresses["web"], "/metrics")

    for figure in (b"waiting", b"oldest_seconds", b"parked"):
        assert b'mwl_outbox_%s{destination="RIS"} 0.0' % figure in body


async def test_the_figures_tell_what_waits_for_how_long_and_what_is_parked(broker):
    """Also for a system that is told no more; once it has got all, it is no figure."""

    def put(tx):
        for thread in "abc":
            outbox.enqueue(tx, destination="OLD", thread=thread, facts={})
        outbox.parked(tx, outbox.keys(tx, OutboxState.PENDING)[0], "AE")

    await broker._store.write(put)
    _, before = await get(broker.addresses["web"], "/metrics")
    await broker._store.write(lambda tx: [outbox.discard(tx, row.key) for row in outbox.browse(tx)])
    _, after = await get(broker.addresses["web"], "/metrics")

    assert b'mwl_outbox_waiting{destination="OLD"} 2.0' in before
    assert b'mwl_outbox_parked{destination="OLD"} 1.0' in before
    (age,) = (
        line
        for line in before.splitlines()
        if line.startswith(b'mwl_outbox_oldest_seconds{destination="OLD"}')
    )
    assert float(age.split()[1]) > 0
    assert b'"OLD"' not in after


async def test_a_drained_broker_accepts_nothing_and_can_be_drained_again(file):
    """Every port is free again, and the database closed."""
    broker = Broker(file.load())
    await broker.start()

    await broker.drain()
    await broker.drain()

    for at in broker.addresses.values():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(at.host, at.port)


async def test_what_was_acknowledged_is_there_after_a_restart(file):
    """A second broker on the same database answers from it."""
    first = Broker(file.load())
    await first.start()
    assert await order(first) == "AA"
    await first.drain()

    second = Broker(file.load())
    await second.start()
    found = await asyncio.to_thread(requestor.find, peer(second), {"00100020": {"vr": "LO"}})
    await second.drain()

    assert len(found) == 1


@pytest.mark.parametrize("part", ["dicom", "hl7", "web"])
async def test_a_taken_port_stops_the_start_and_leaves_nothing_running(broker, file, part):
    """It is said which port is taken; the parts that had started are stopped."""
    taken = broker.addresses[part]
    section = {"dicom": "dicom: {ae_title: MWL, ", "hl7": "hl7: {", "web": "web: {"}[part]
    second = Broker(file.change(f'{section}listen: "127.0.0.1:0"', f'{section}listen: "{taken}"'))

    with pytest.raises(Unavailable, match="cannot listen"):
        await second.start()

    assert second.addresses == {}
    assert second._parts == []


async def test_a_wrong_profile_stops_the_start(file):
    """Every problem is reported, at the line that names the profile."""
    configuration = file.change("CT1: {profile: generic}", "CT1: {profile: generik}")

    with pytest.raises(
        BadDocument, match=r"mwl.yaml:8:18: error: there is no profile 'generik'.*did you mean 'generic'"
    ):
        await Broker(configuration).start()


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [
        ("CT9", "MWL", "calling AE title not configured"),
        ("CT1", "OTHER", "called AE title is not this broker's"),
    ],
)
async def test_a_stranger_is_refused_told_of_once_and_counted(broker, caplog, calling, called, reason):
    """F-A01, F-A02: the log has one line however often it tries, the database how often it did."""
    for _ in range(3):
        with pytest.raises(Unavailable):
            await asyncio.to_thread(requestor.echo, peer(broker, calling, called))

    await broker._refusals.stop()
    (caller,) = await broker._store.read(callers.browse)
    assert (caller.calling_ae, caller.called_ae, caller.reason, caller.count) == (calling, called, reason, 3)
    assert len([each for each in caplog.records if each.getMessage() == "association refused"]) == 1


async def test_an_unknown_caller_is_held_and_what_it_asks_is_kept(broker, file):
    """capture.unknown: hold, by a reload; a second one makes it a device on its open association."""
    await broker.reload(file.change("hl7:", "capture: {unknown: hold}\nhl7:"))
    asked = {"00100020": {"vr": "LO"}}

    with pytest.raises(requestor.Failed) as refused:
        await asyncio.to_thread(requestor.find, peer(broker, "CT9"), asked)
    with pytest.raises(requestor.Failed) as reported:
        await asyncio.to_thread(requestor.create_performed, peer(broker, "CT9"), "1.2.3", asked)
    await asyncio.to_thread(requestor.echo, peer(broker, "CT9"))
    await broker._capture.stop()
    await broker._refusals.stop()

    assert (refused.value.status, reported.value.status) == (0x0124, 0x0124)
    (query,) = await broker._store.read(queries.browse)
    assert (query.calling_ae, query.status, query.held) == ("CT9", "0124", True)
    (caller,) = await broker._store.read(callers.browse)
    assert (caller.calling_ae, caller.held, caller.count) == ("CT9", True, 3)
    assert caller.association.contexts[0].abstract_syntax == "1.2.840.10008.1.1"


async def test_a_reload_takes_a_held_caller_in_on_its_open_association(broker, file):
    """The engineer need not go to the device again."""
    await broker.reload(file.change("hl7:", "capture: {unknown: hold}\nhl7:"))
    admitting, loop = file.change("CT1: {profile", "CT9: {profile"), asyncio.get_running_loop()
    asked = Dataset()
    asked.PatientID = ""

    def find() -> list[int]:
        statuses = []
        with requestor.associated(peer(broker, "CT9"), ModalityWorklistInformationFind) as association:
            for reload in (False, True):
                if reload:
                    asyncio.run_coroutine_threadsafe(broker.reload(admitting), loop).result()
                found = association.send_c_find(asked, ModalityWorklistInformationFind)
                statuses += [status.Status for status, _ in found]
        return statuses

    assert await asyncio.to_thread(find) == [0x0124, 0x0000]


async def test_a_reload_lets_a_new_device_in_and_an_old_one_out(broker, file):
    """The next association sees the new set; the listeners stay open."""
    before = dict(broker.addresses)

    assert await broker.reload(file.change("CT1: {profile", "CT2: {profile")) == []

    await asyncio.to_thread(requestor.echo, peer(broker, "CT2"))
    with pytest.raises(Unavailable):
        await asyncio.to_thread(requestor.echo, peer(broker, "CT1"))
    assert broker.addresses == before


async def test_a_reload_changes_who_may_send(broker, file):
    """The next message sees the new set."""
    await broker.reload(file.change("application: RIS", "application: HIS"))

    assert await order(broker) == "AE"


async def test_a_wrong_reload_changes_nothing(broker, file):
    """The old set stays whole, even where only one of two sides is wrong."""
    wrong = file.change("CT1: {profile: generic}", "CT2: {profile: generic}")
    wrong = file.change("application: RIS, profile: generic", "application: HIS, profile: absent")

    with pytest.raises(BadDocument, match="there is no profile 'absent'"):
        await broker.reload(wrong)

    await asyncio.to_thread(requestor.echo, peer(broker, "CT1"))
    assert await order(broker) == "AA"


async def test_a_reload_that_finds_no_certificate_changes_nothing(broker, file):
    """What the status would be told with is looked at before anything is taken over."""
    told = 'application: HIS, status: {to: "127.0.0.1:1", tls: {authorities: absent.pem}},'

    with pytest.raises(BadDocument, match="authorities: cannot be used: No such file"):
        await broker.reload(file.change("application: RIS,", told))

    assert await order(broker) == "AA"


async def test_a_reload_tells_why_and_which_profiles_are_others_now(broker, file, caplog):
    """With the fingerprint that the figures show; a set that is the same has no changes."""
    caplog.set_level(logging.INFO, "mwl")
    folder = file.folder / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "ct.yaml").write_text("profile: ct\nstatus: hypothesis\n")

    await broker.reload(file.load(), "SIGHUP")
    await broker.reload(file.load(), "file change")

    first, second = [each.fields for each in caplog.records if each.getMessage() == "reloaded"]
    assert (first["why"], first["changed"]) == ("SIGHUP", ["devices/ct"])
    assert (second["why"], second["changed"]) == ("file change", [])
    assert first["digest"] == second["digest"]
    _, body = await get(broker.addresses["web"], "/metrics")
    assert f'mwl_profile_set_info{{digest="{first["digest"]}"}} 1.0'.encode() in body


async def test_doubts_about_a_profile_are_told_until_it_changes(broker, file, caplog):
    """A warning stops nothing; it is in the log once."""
    folder = file.folder / "mappings" / "devices"
    folder.mkdir(parents=True)
    for name in ("ct", "mr"):
        (folder / f"{name}.yaml").write_text(
            f"profile: {name}\nstatus: hypothesis\nmatch: {{impl_uid: '1.2'}}\n"
        )

    for _ in range(2):
        await broker.reload(file.load())

    (told,) = [each.fields for each in caplog.records if each.getMessage() == "profile in doubt"]
    assert told["problem"].endswith("[L8]")


async def test_what_cannot_change_while_running_is_named(broker, file):
    """Addresses and database wait for a restart; the rest of the same reload takes effect."""
    file.change("mwl.db", "other.db")
    file.change('hl7: {listen: "127.0.0.1:0"', 'hl7: {listen: "127.0.0.1:2575"')
    changed = file.change("ae_title: MWL", "ae_title: BROKER")

    assert await broker.reload(changed) == ["database", "hl7.listen"]
    assert await broker.reload(changed) == ["database", "hl7.listen"]

    await asyncio.to_thread(requestor.echo, peer(broker, called="BROKER"))
