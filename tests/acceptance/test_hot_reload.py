"""A profile is edited while the broker runs: the next query differs, a mistake changes nothing, back it goes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from foreign.dicom.clients import associated, find
from foreign.dicom.identifier import identifier

ORDER = (
    "MSH|^~\\&|RIS|HOSP|MWL|HOSP|20260701120000||ORM^O01|C1|P|2.3.1||||||UNICODE UTF-8\n"
    "PID|1||PID001^^^HOSP||{name}||19700101|F\n"
    "PV1|1|I|WARD1\n"
    "ORC|NW|PL1^RIS|FI1^RIS||||1^once^^20260705093000^^S\n"
    "OBR|1|PL1^RIS|FI1^RIS|CT01^CT head^L||||||||||||||ACC1|RP1|SPS1||||CT|||1^once^^20260705093000^^S\n"
    "ZDS|1.2.276.0.99.1^RIS^Application^DICOM\n"
)
KEYS = ("PatientName", "PatientID", "RequestedProcedureDescription", "SPS.ScheduledProcedureStepLocation")
CT = "profile: our-ct\nstatus: hypothesis\n"
ROOM = "set: {{SPS.ScheduledProcedureStepLocation: {room}}}\n"


class House:
    """A broker with a profile of its site, and a device that keeps its association open."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.profile: Path = broker.folder / "mappings" / "devices" / "our-ct.yaml"
        self.seen = len(broker.events)

    def write(self, text: str) -> None:
        """Edit the profile, from now on."""
        self.seen = len(self.broker.events)
        self.profile.write_text(CT + text)

    def until(self, name: str) -> dict[str, Any]:
        """Wait for an event behind the edit."""
        found: dict[str, Any] = self.broker.until(name, self.seen)
        return found

    def page(self, path: str) -> str:
        host, port = self.broker.addresses["web"]
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def figure(self, name: str) -> list[str]:
        """Return the lines of a metric."""
        return [line for line in self.page("/metrics").splitlines() if line.startswith(name)]


@pytest.fixture
def house(
    serving: Callable[..., AbstractContextManager[Any]], mllp_send: Any, tmp_path: Path
) -> Iterator[House]:
    """One order, for one device."""
    folder = tmp_path / "mappings" / "devices"
    folder.mkdir(parents=True)
    (folder / "our-ct.yaml").write_text(CT + ROOM.format(room="CT 1"))
    with serving(tmp_path, devices={"CT1": {"profile": "our-ct"}}) as broker:
        assert "MSA|AA" in mllp_send(broker, ORDER.format(name="DOE^JANE"))
        yield House(broker)


def room(association: Any) -> str:
    """Return the room that the one item of the list is in."""
    (item,) = find(association, identifier(*KEYS)).identifiers
    return str(item.ScheduledProcedureStepSequence[0].get("ScheduledProcedureStepLocation", ""))


def test_an_edited_profile_is_in_use_at_the_next_query(house):
    """No signal is sent; the association that was open goes on, and sees the change."""
    with associated(house.broker.addresses["dicom"], calling="CT1") as association:
        assert room(association) == "CT 1"
        before = house.figure("mwl_profile_set_info")

        house.write(ROOM.format(room="ER 2"))
        reloaded = house.until("reloaded")

        assert room(association) == "ER 2"
    assert (reloaded["why"], reloaded["changed"]) == ("file change", ["devices/our-ct"])
    (after,) = house.figure("mwl_profile_set_info")
    assert reloaded["digest"] in after
    assert [after] != before


def test_a_mistake_leaves_the_old_set_in_use_and_is_told_once(house):
    """With its line; the broker stays ready, and the mended file is taken over."""
    with associated(house.broker.addresses["dicom"], calling="CT1") as association:
        house.write("set: {SPS.ScheduledProcedureStepLocatoin: ER 2}\n")
        (problem,) = house.until("not reloaded: the old configuration stays")["problems"]

        assert problem.startswith("mappings/devices/our-ct.yaml:3:7: error: unknown attribute")
        assert "did you mean 'ScheduledProcedureStepLocation'?" in problem
        assert room(association) == "CT 1"
        assert json.loads(house.page("/readyz"))["ready"] is True
        assert house.figure("mwl_reload_failed") == ["mwl_reload_failed 1.0"]

        mistaken = house.seen
        house.write(ROOM.format(room="ER 2"))
        house.until("reloaded")

        assert room(association) == "ER 2"
        assert house.figure("mwl_reload_failed") == ["mwl_reload_failed 0.0"]
    told = [each for each in house.broker.events[mistaken:] if each["event"].startswith("not reloaded")]
    assert len(told) == 1


def test_a_rollback_is_taken_over_by_the_broker_that_runs(house):
    """The set before is written back, and used; the history tells who did what."""
    house.write(ROOM.format(room="ER 2"))
    house.until("reloaded")
    house.seen = len(house.broker.events)

    done = house.broker.run("mapping", "rollback", "--yes")
    assert done.returncode == 0, done.stderr
    house.until("reloaded")

    with associated(house.broker.addresses["dicom"], calling="CT1") as association:
        assert room(association) == "CT 1"
    listed = json.loads(house.broker.run("mapping", "history", "--json").stdout)
    assert [each["why"] for each in listed] == ["rollback to 1", "file change", "start"]
    assert (
        "+set: {SPS.ScheduledProcedureStepLocation: ER 2}"
        in house.broker.run("mapping", "history", "2").stdout
    )


def test_a_change_of_the_configuration_is_taken_over_too(house):
    """A new device is let in; what waits for a restart is named."""
    house.seen = len(house.broker.events)
    path = house.broker.folder / "mwl.yaml"
    text = path.read_text().replace("  CT1:", "  MR1:\n    profile: generic\n  CT1:")
    path.write_text(text.replace("mwl.db", "other.db"))

    reloaded = house.until("reloaded")

    assert (reloaded["changed"], reloaded["waits_for_restart"]) == ([], ["database"])
    with associated(house.broker.addresses["dicom"], calling="MR1") as association:
        assert room(association) == ""


def test_a_configuration_that_is_gone_lets_nobody_else_in(house):
    """The defaults, which let anyone in, are not what its owner meant."""
    house.seen = len(house.broker.events)
    (house.broker.folder / "mwl.yaml").unlink()

    (problem,) = house.until("not reloaded: the old configuration stays")["problems"]

    assert "cannot be read" in problem
    with associated(house.broker.addresses["dicom"], calling="CT1") as association:
        assert room(association) == "CT 1"


def test_who_does_not_want_it_reloads_by_signal(start_broker, tmp_path):
    """`reload.watch` is false: the file is as it is until SIGHUP."""
    broker = start_broker(reload={"watch": False}, devices={"CT1": {"profile": "generic"}})
    house = House(broker)
    house.profile.parent.mkdir(parents=True)
    house.write("")
    broker.configure({**broker_settings(), "devices": {"CT1": {"profile": "our-ct"}}})

    broker.reload()

    told = [each for each in broker.events if each["event"] == "reloaded"]
    assert [(each["why"], each["changed"]) for each in told] == [("SIGHUP", ["devices/our-ct"])]


def broker_settings() -> dict[str, Any]:
    return {
        "dicom": {"ae_title": "MWL", "listen": "127.0.0.1:0"},
        "hl7": {"listen": "127.0.0.1:0"},
        "web": {"listen": "127.0.0.1:0"},
        "reload": {"watch": False},
    }


def test_an_order_that_a_device_would_not_be_sent_is_told_when_it_comes(house, mllp_send):
    """The analyst hears of it before the device asks, and no more once it is mended."""
    house.seen = len(house.broker.events)
    nameless = (
        ORDER.format(name="").replace("PID001", "PID002").replace("C1|P", "C2|P").replace("ACC1", "ACC2")
    )
    nameless = (
        nameless.replace("PL1", "PL2").replace("FI1", "FI2").replace("RP1", "RP2").replace("99.1", "99.2")
    )
    assert "MSA|AA" in mllp_send(house.broker, nameless)

    doubt = house.until("order in doubt")

    assert (doubt["device"], doubt["withheld"]) == ("CT1", True)
    assert doubt["doubts"][0].startswith("PatientName: ")
    assert "PID002" not in json.dumps(doubt)
    listed = json.loads(house.broker.run("hl7", "list", "--doubtful", "--json").stdout)
    assert [each["key"] for each in listed] == [doubt["message"]]
    shown = house.broker.run("hl7", "show", str(doubt["message"])).stdout
    assert "is not sent it" in shown
    assert house.figure('mwl_preflight_doubts_total{device="CT1"}')

    house.seen = len(house.broker.events)
    mended = nameless.replace("||||19700101", "||DOE^JOHN||19700101").replace("C2|P", "C3|P")
    assert "MSA|AA" in mllp_send(house.broker, mended)
    assert house.until("order no longer in doubt")["step"] == doubt["step"]
    assert json.loads(house.broker.run("hl7", "list", "--doubtful", "--json").stdout) == []
