"""The profiles that ship: sound, each with examples that hold, and what makes it the profile of its device."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mwl.dicom.emulators import DEVICES
from mwl.mapping.devices.device import DeviceProfiles, Facts, SiteFacts, load_devices
from mwl.workbench.examples import run

SHIPPED = Path(__file__).parents[3] / "mappings"
PROFILES = load_devices([SHIPPED])
STATUS = {
    "evidence": (
        "generic", "ge-ct-connectpro", "siemens-dr-aristos", "agfa-nx-cr", "overlay-cn-latin1", "overlay-jp",
        "overlay-shared-room",
    ),
    "partial": (
        "ge-us-logiq", "ge-us-e9-vivid", "ge-xr-definium", "ge-mg-senographe", "siemens-fluoro-flc",
        "philips-dr-essenta", "philips-mg", "philips-us-hd7", "samsung-us-medison", "fuji-fcr-prima",
        "kodak-carestream-cr", "esaote-mri", "mindray-us", "terason-us", "sonosite-us", "radlink-cr",
    ),
    "hypothesis": (
        "siemens-us-acuson-nx", "philips-us-epiq-affiniti", "canon-cxdi-dr", "canon-toshiba-medical",
        "sirona-sidexis", "planmeca-romexis", "zeiss-hfa3", "hitachi-arietta", "canon-rics", "ge-muse",
        "philips-azurion", "siemens-cypress", "konica-regius",
    ),
}  # fmt: skip
VARIABLES: dict[str, dict[str, Any]] = {
    "ge-xr-definium": {"apr_codes": {"CHEST": "1"}},
    "overlay-shared-room": {"rooms": ["US-1"]},
}
"""Of the profiles that cannot work without a word from the site."""


def bound(name: str, profiles: DeviceProfiles = PROFILES, **variables: Any) -> Any:
    """Return a profile at work."""
    return profiles.bind(name, VARIABLES.get(name, {}) | variables, SiteFacts())


def test_they_load_without_a_warning():
    """Neither mistakes nor doubts."""
    assert [str(problem) for problem in PROFILES.warnings] == []


def test_each_says_what_it_rests_on():
    """Vendor documents and traffic, some of both, or a guess."""
    said = {name: PROFILES.get(name).data["status"] for name in PROFILES.names}

    assert said == {name: status for status, names in STATUS.items() for name in names}


@pytest.mark.parametrize("name", PROFILES.names)
def test_each_can_be_bound_and_rests_on_generic(name):
    """With the variables a site has to give."""
    assert bound(name).written.chain[0] == "generic"


@pytest.mark.parametrize("name", VARIABLES)
def test_what_only_the_site_can_know_must_be_given(name):
    """Nothing stands in for it: a wrong table or room would hide patients."""
    (wanted,) = VARIABLES[name]

    with pytest.raises(Exception, match=f"the variable '{wanted}' has no value"):
        PROFILES.bind(name, {}, SiteFacts())


# ── examples ──


@pytest.mark.parametrize("name", PROFILES.names)
def test_its_examples_hold(name):
    """Each profile carries some, as `mwl mapping test` runs them."""
    results = list(run(PROFILES, [name]))

    assert results
    assert [str(mistake) for each in results for mistake in each.mistakes] == []


SHOWN = {
    "ge-ct-connectpro", "ge-xr-definium", "ge-mg-senographe", "siemens-dr-aristos", "siemens-us-acuson-nx",
    "samsung-us-medison", "fuji-fcr-prima", "kodak-carestream-cr", "agfa-nx-cr", "mindray-us", "radlink-cr",
    "overlay-cn-latin1", "overlay-jp", "overlay-shared-room",
}  # fmt: skip
"""Profiles that change items or their selection: the others change how a list or report travels."""


@pytest.mark.parametrize("name", [each for each in PROFILES.names if each != "generic"])
def test_its_examples_show_what_makes_it_this_profile(name, tmp_path):
    """Without its lines, on `generic` alone, one of them fails."""
    data = {key: value for key, value in PROFILES.written[name].data.items() if key in ("tests", "vars")}
    bare = {"profile": name, "status": "hypothesis", **data}
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "bare.yaml").write_text(json.dumps(bare), "utf-8")

    results = list(run(load_devices([tmp_path, SHIPPED]), [name]))

    assert any(each.mistakes for each in results) == (name in SHOWN)


ILE, ELE, EBE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


@pytest.mark.parametrize(
    ("name", "syntaxes"),
    [
        ("generic", ()),
        ("ge-ct-connectpro", (ILE,)),
        ("siemens-fluoro-flc", (ELE, ILE, EBE)),
        ("philips-dr-essenta", (ILE, ELE, EBE)),
        ("philips-us-hd7", (ELE, ILE)),
        ("philips-us-epiq-affiniti", (ELE, ILE)),
        ("samsung-us-medison", (ILE,)),
        ("agfa-nx-cr", (ILE,)),
        ("esaote-mri", (ILE,)),
    ],
)
def test_its_transfer_syntaxes(name, syntaxes):
    """In the order of section 3; () is what the device proposes first."""
    assert bound(name).transfer_syntaxes == syntaxes


@pytest.mark.parametrize(
    ("name", "option", "wanted"),
    [
        ("generic", "on_error", "fail"),
        ("generic", "pending", "FF00"),
        ("ge-us-e9-vivid", "answer_within", dt.timedelta(seconds=20)),
        ("philips-mg", "answer_within", dt.timedelta(seconds=200)),
        ("philips-mg", "cancel", "honour"),
        ("esaote-mri", "on_error", "stale"),
        ("esaote-mri", "stale", dt.timedelta(seconds=300)),
        ("terason-us", "min_poll", dt.timedelta(seconds=30)),
    ],
)
def test_how_its_query_is_answered(name, option, wanted):
    """P33; a list that is old is sent to one device alone, which has nothing better to show (F35)."""
    assert getattr(bound(name).session, option) == wanted


@pytest.mark.parametrize("name", [each for each in PROFILES.names if each != "esaote-mri"])
def test_no_other_is_sent_an_old_list(name):
    """A console cannot be told that its list is old."""
    assert bound(name).session.on_error == "fail"


def performed(name: str, *path: str) -> Any:
    """Return an option of a profile's `mpps`."""
    found = bound(name).mpps
    for each in path:
        found = getattr(found, each)
    return found


@pytest.mark.parametrize(
    ("name", "option", "wanted"),
    [
        ("generic", ("accept", "missing"), "tolerate"),
        ("generic", ("accept", "repeat"), "reject"),
        ("generic", ("accept", "nset_after_final"), "reject"),
        ("generic", ("none",), "unscheduled"),
        ("generic", ("link",), ()),
        ("ge-ct-connectpro", ("accept", "repeat"), "idempotent"),
        ("ge-ct-connectpro", ("state", "processing"), "attach"),
        ("philips-us-hd7", ("accept", "empty_image_list"), "ok"),
        ("philips-us-hd7", ("conflict", "lines"), {"AccessionNumber": "prefer_worklist"}),
        ("agfa-nx-cr", ("accept", "calling_ae_differs"), "ok"),
        ("agfa-nx-cr", ("state", "discontinued"), "SCHEDULED"),
        ("sonosite-us", ("accept", "closed_order"), "report"),
    ],
)
def test_how_its_performed_steps_are_taken(name, option, wanted):
    """P34 to P36; an unknown device is held to the standard (B-03, B-04)."""
    assert performed(name, *option) == wanted


def test_a_philips_hd7_s_accession_number_links_nothing():
    """M07: the operator may have edited it; study, and step with procedure, link."""
    rungs = [[each.by for each in rung] for rung in performed("philips-us-hd7", "link")]

    assert rungs == [["StudyInstanceUID"], ["SPS_ID", "RP_ID"]]


@pytest.mark.parametrize("name", ["ge-us-logiq", "ge-us-e9-vivid"])
def test_a_logiq_s_doubles_are_reported(name):
    """F28: a remark, not a warning, since the site decides on the cure."""
    profile = bound(name)

    found = list(profile.doubles([(("2.25.1",),), (("2.25.2",),), (("2.25.1",),)]))

    assert [(index, report.path, report.serious) for index, report in found] == [
        (2, "StudyInstanceUID", False)
    ]


def test_a_device_that_may_filter_its_list_itself_is_known():
    """F13."""
    assert [name for name in PROFILES.names if bound(name).local_filter] == ["ge-us-e9-vivid"]


# ── recognition ──


def association(**of: Any) -> Facts:
    """Return what is known of an association, from a device that is played or from texts."""
    played = DEVICES[of["device"]] if "device" in of else None
    if played is not None:
        return Facts(
            played.ae,
            implementation_uid=played.implementation_uid,
            implementation_version=played.implementation_version,
        )
    return Facts(of.get("ae", "AE1"), implementation_uid=of.get("uid", ""))


KNOWN_BY = {
    "sim-ge-ct": ["ge-ct-connectpro"],
    "sim-ge-ct-postproc": ["ge-ct-connectpro"],
    "sim-ge-logiq7": ["ge-us-logiq"],
    "sim-siemens-flc": ["siemens-fluoro-flc"],
    "sim-medison": ["samsung-us-medison"],
}
"""Devices whose association is documented; of the others nothing tells them."""


@pytest.mark.parametrize("device", DEVICES)
def test_a_played_device_leads_to_its_profile(device):
    """By its implementation, or not at all: a guess would be worse than `generic`."""
    assert PROFILES.matching(association(device=device)) == KNOWN_BY.get(device, [])


@pytest.mark.parametrize(
    ("uid", "names"),
    [
        ("1.2.392.200046.100.2.7", ["canon-cxdi-dr"]),
        ("1.2.410.200001.101.11.5", ["samsung-us-medison"]),
        ("1.2.840.113619.6.115", ["ge-us-logiq"]),
        ("1.3.12.2.1107.5.3.4", []),  # without its version another of the vendor's
        ("1.2.392.200036.9116.1", []),  # grade D
        ("1.2.840.113564.1", []),  # grade D
        ("1.2.826.0.1.3680043.9.3811.3.0.4", []),  # toolkits
        ("1.2.276.0.7230010.3.0.3.6.7", []),
        ("1.3.6.1.4.1.30071.8", []),
    ],
)
def test_an_implementation_leads_to_the_profile_that_is_documented(uid, names):
    """12.3 f: it names a line of software, and a toolkit names nobody."""
    assert PROFILES.matching(association(uid=uid)) == names


# ── overlays ──

ORDER = {
    "PatientName": "YAMADA^TARO=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ", "PatientID": "P1", "SPS.Modality": "CT",
    "SPS.ScheduledStationAETitle": "CT1", "SPS.ScheduledProcedureStepStartDate": "20260705",
    "SPS.ScheduledProcedureStepLocation": "CT-1",
}  # fmt: skip
DEVICES_ALONE = [name for name in PROFILES.names if not name.startswith("overlay-") and name != "generic"]


@pytest.fixture
def combined(write, item, doc, flat, facts):
    """Answer by a profile that names several, in their order; return the answer as sent."""

    def answered(*names: str, asked: str = "", **stored: Any) -> dict[str, Any]:
        profiles = load_devices([write(both=_header(names)), SHIPPED])
        variables = {key: value for name in names for key, value in VARIABLES.get(name, {}).items()}
        profile = profiles.bind(
            "both", variables | {"rooms": ["CT-1"]} if "rooms" in variables else variables, SiteFacts()
        )
        answer = profile.respond(item(ORDER | stored), doc(dict.fromkeys(ORDER, "")), facts)
        return flat(profile.choose_charset(answer, tuple(asked.split("\\")) if asked else ())[1])

    return answered


def _header(names: tuple[str, ...]) -> str:
    return f"profile: both\nstatus: hypothesis\nextends: [{', '.join(names)}]\n"


CHINESE = {"PatientName": "王^小明"}


@pytest.mark.parametrize(
    ("names", "asked", "label", "name"),
    [
        # A device that takes Latin-1 alone gets it, on whichever side of the overlay it stands.
        (("ge-ct-connectpro", "overlay-cn-latin1"), "ISO_IR 100", "ISO_IR 100", "WANG^XIAOMING"),
        (("overlay-cn-latin1", "ge-ct-connectpro"), "ISO_IR 100", "ISO_IR 100", "WANG^XIAOMING"),
        (("ge-ct-connectpro", "overlay-cn-latin1"), "", "ISO_IR 100", "WANG^XIAOMING"),
        (("ge-ct-connectpro", "overlay-cn-latin1"), "GB18030", "ISO_IR 100", "WANG^XIAOMING"),
        # Any other gets what it asks for, and pinyin in it.
        (("philips-mg", "overlay-cn-latin1"), "GB18030", "GB18030", "WANG^XIAOMING"),
        (("philips-mg", "overlay-cn-latin1"), "", "ISO_IR 100", "WANG^XIAOMING"),
        (("philips-mg",), "GB18030", "GB18030", "王^小明"),
    ],
)
def test_the_chinese_overlay_goes_with_any_device(combined, names, asked, label, name):
    """The set a device fixes is stronger than a preference (F40, F42)."""
    found = combined(*names, asked=asked, **CHINESE)

    assert (found["SpecificCharacterSet"], found["PatientName"]) == (label, name)


JAPANESE = ["", "ISO 2022 IR 87"]


@pytest.mark.parametrize(
    ("names", "label", "name"),
    [
        (("canon-toshiba-medical", "overlay-jp"), JAPANESE, "YAMADA^TARO=山田^太郎=ヤマダ^タロウ"),
        (("ge-ct-connectpro", "overlay-jp"), JAPANESE, "YAMADA^TARO=山田^太郎=ヤマダ^タロウ"),
        (("overlay-jp", "ge-ct-connectpro"), "ISO_IR 100", "YAMADA^TARO"),
        (("overlay-cn-latin1", "overlay-jp"), JAPANESE, "YAMADA^TARO=山田^太郎=ヤマダ^タロウ"),
    ],
)
def test_of_two_sets_that_are_fixed_the_later_one_decides(combined, names, label, name):
    """Label and letters are of the same set, in either order (F44)."""
    found = combined(*names, asked="ISO_IR 100")

    assert (found["SpecificCharacterSet"], found["PatientName"]) == (label, name)


@pytest.mark.parametrize("name", DEVICES_ALONE)
@pytest.mark.parametrize("overlay", ["overlay-cn-latin1", "overlay-jp", "overlay-shared-room"])
def test_every_overlay_goes_with_every_device(write, name, overlay):
    """Whichever is named first, and without a doubt."""
    files = {"one": (name, overlay), "two": (overlay, name)}
    lines = {key: _header(names).replace("both", key) for key, names in files.items()}
    profiles = load_devices([write(**lines), SHIPPED])
    variables = VARIABLES.get(name, {}) | VARIABLES.get(overlay, {})

    assert profiles.warnings == ()
    for each in files:
        assert set(profiles.bind(each, variables, SiteFacts()).written.chain) >= {name, overlay}


def test_a_shared_room_shows_its_steps_as_the_caller_s(combined):
    """F01: on top of what its own profile does."""
    found = combined("ge-ct-connectpro", "overlay-shared-room", **{"SPS.ScheduledStationAETitle": "ROOM_A"})

    assert found["SPS.ScheduledStationAETitle"] == "CT1"
    assert found["SpecificCharacterSet"] == "ISO_IR 100"
