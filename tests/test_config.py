"""The configuration: found, put together, checked; every value and every mistake knows its place."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mwl import config
from mwl.config import Address, ae_title, model, profile_folders, shipped, sources, without_password
from mwl.errors import BadDocument

CONTRACT = """\
site: {name: HOSP, timezone: Europe/Berlin, charset: ISO_IR 192, uid_root: 1.2.3}
database: postgresql+psycopg://user:password@host/name
mappings: ./mappings
dicom: {ae_title: MWL, listen: "127.0.0.1:11112"}
hl7:   {listen: "127.0.0.1:2575"}
web:   {listen: "127.0.0.1:8080"}
devices:
  CT1: {profile: generic, vars: {}}
  "*": {profile: generic}
systems:
  RIS:
    application: RIS
    facility: HOSP
    profile: generic
    status: {to: "127.0.0.1:2576", message: ORM^O01}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run each test in an empty folder, without the host's own file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "SEARCHED", (Path("mwl.yaml"), tmp_path / "etc" / "mwl.yaml"))


def written(text: str, name: str = "mwl.yaml") -> Path:
    """Write a configuration file and return its path."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def loaded(text: str = "", **environ: str) -> config.Configuration:
    """Return the configuration of *text* and the given variables."""
    return config.load(written(text), environ)


def mistakes(text: str = "", **environ: str) -> list[str]:
    """Return the mistakes of *text* and the given variables, one line each."""
    with pytest.raises(BadDocument) as caught:
        loaded(text, **environ)
    return str(caught.value).splitlines()


def test_the_contract_is_read_as_it_is_written():
    """Every key of the contract has its name and its kind of value."""
    read = loaded(CONTRACT)

    assert (read.site.name, read.site.timezone, read.site.uid_root) == ("HOSP", "Europe/Berlin", "1.2.3")
    assert read.database == "postgresql+psycopg://user:password@host/name"
    assert (read.dicom.ae_title, read.dicom.listen) == ("MWL", Address("127.0.0.1", 11112))
    assert (read.devices["CT1"].profile, list(read.devices)) == ("generic", ["CT1", "*"])
    assert read.systems["RIS"].status is not None
    assert (read.systems["RIS"].status.to, read.systems["RIS"].status.message) == (
        Address("127.0.0.1", 2576),
        "ORM^O01",
    )


def test_without_any_configuration_it_runs_on_loopback_for_anyone():
    """The embedded defaults: SQLite, the contract's ports, "*" on both sides."""
    read = config.load(None, {})

    assert read.path is None
    assert read.database == "sqlite:///mwl.db"
    assert [str(each.listen) for each in (read.dicom, read.hl7, read.web)] == [
        "127.0.0.1:11112",
        "127.0.0.1:2575",
        "127.0.0.1:8080",
    ]
    assert list(read.devices) == ["*"]
    assert [(each.application, each.facility) for each in read.systems.values()] == [("*", "*")]


def test_the_file_is_looked_for_in_the_order_of_the_contract(tmp_path: Path):
    """--config before $MWL_CONFIG before ./mwl.yaml before the system's."""
    system = written("site: {name: system}", str(tmp_path / "etc" / "mwl.yaml"))
    assert config.load(None, {}).path == system

    here = written("site: {name: here}")
    assert config.load(None, {}).path == here

    named = written("site: {name: named}", "named.yaml")
    assert config.load(None, {"MWL_CONFIG": "named.yaml"}).site.name == "named"
    assert config.load(here, {"MWL_CONFIG": str(named)}).site.name == "here"


def test_a_named_file_that_is_absent_is_a_mistake():
    """Defaults never stand in for a file that was asked for."""
    with pytest.raises(BadDocument, match="cannot be read"):
        config.load(None, {"MWL_CONFIG": "absent.yaml"})


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "dicom:\nsite:\n", "dicom: {}\n"])
def test_an_empty_file_or_section_means_the_defaults(text):
    """A section whose lines are all commented out is no mistake."""
    assert loaded(text).dicom == config.Configuration().dicom


def test_a_list_of_devices_without_entries_lets_nobody_in():
    """To comment out the last device does not open the door to all."""
    assert not loaded("devices:\n").devices
    assert not loaded("devices: {}\n").devices


def test_all_mistakes_come_at_once_with_file_line_and_column():
    """One run shows everything there is to mend."""
    text = "site: {nme: X, timezone: Europe/Berln}\ndicom:\n  ae_title: A_TITLE_OF_SEVENTEEN\n  listen: here\nweb: 8080\n"

    assert mistakes(text) == [
        "mwl.yaml:1:8: error: unknown key 'nme': did you mean 'name'?",
        "mwl.yaml:1:26: error: timezone: no time zone is named 'Europe/Berln'; write one like Europe/Berlin",
        "mwl.yaml:3:13: error: ae_title: an AE title has at most 16 characters, this one has 20",
        "mwl.yaml:4:11: error: listen: write host:port, for example 127.0.0.1:11112 or [::1]:11112",
        "mwl.yaml:5:6: error: web: keys and values are expected here",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "a configuration is keys and values"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("database: mysql://host/x", "write sqlite:///file.db or postgresql+psycopg://"),
        ("database: postgresql://u:secret@host/x", "write postgresql+psycopg://"),
        ("database:", "database: input should be a valid string"),
        ("site: {uid_root: 1.2.}", "without a last dot"),
        ("site: {uid_root: 1.02.3}", "without leading zeros"),
        ("site: {uid_root: 1.2}", "write it in quotes"),
        ("site: {uid_root: 1.2.3456789012.3456789012.345678901234567}", "at most 39 characters"),
        ("site: {charset: UTF-8}", "UTF-8 is ISO_IR 192"),
        ("site: {charset: '\\'}", "defined terms"),
        ("site: {charset: '\\ISO 2022 IR 87\\x'}", "defined terms"),
        ('site: {name: "a\\nb"}', "control character"),
        ('devices: {"A\\\\B": {}}', "without a backslash"),
        ('devices: {"": {}}', "cannot be blank"),
        ('devices: {"C\\u0154": {}}', "printable ASCII"),
        ("devices: {CT1: {profle: x}}", "unknown key 'profle': did you mean 'profile'?"),
        ("systems: {A: {status: {}}}", "the key 'to' is missing here"),
        ("systems: {A: {status: {to: 'h:0'}}}", "port 0 cannot be connected to"),
        ("systems: {A: {status: {to: 'h:1', message: ORM}}}", "for example ORM^O01"),
        (
            "systems: {A: {status: {to: 'h:1', on: [IP, DONE]}}}",
            "input should be 'IP', 'CM', 'DC', 'SC', 'CA'",
        ),
        ("systems: {A: {status: {to: 'h:1', nonsense: ignore}}}", "input should be 'retry' or 'park'"),
        ("systems: {A: {status: {to: 'h:1', nonsense_limit: 0}}}", "greater than or equal to 1"),
        ("systems: {A: {status: {to: 'h:1', answer_within: 90}}}", "less than or equal to 60"),
        ("systems: {A: {status: {to: 'h:1', tls: {key: a.pem}}}}", "a certificate needs its key"),
        ("systems: {A: {status: {to: 'h:1', tls: {verify: false}}}}", "unknown key 'verify'"),
        ("dicom: {limits: {pdu: 100}}", "greater than or equal to 4096"),
        ("dicom: {tls: {certificate: a.pem}}", "the key 'key' is missing here"),
    ],
)
def test_a_wrong_value_says_what_to_write_instead(text, message):
    """Each mistake is one line that helps."""
    (line,) = mistakes(text)

    assert message in line
    assert "secret" not in line


def test_an_ae_title_that_is_a_number_is_taken_as_written():
    """E-05: 1234 and 0123 are titles like any other."""
    read = loaded("dicom: {ae_title: 1234}\ndevices: {0123: {profile: a}, 77: {}}\n")

    assert (read.dicom.ae_title, list(read.devices)) == ("1234", ["0123", "77"])


def test_variables_of_a_profile_are_values_of_any_kind():
    """A profile may ask for a switch, a number or a list of rooms."""
    read = loaded("devices: {CT1: {vars: {long: true, max: 20, station: NO, rooms: [A, B]}}}")

    assert read.devices["CT1"].vars == {"long": True, "max": 20, "station": "NO", "rooms": ["A", "B"]}


def test_blanks_around_an_ae_title_do_not_count():
    """E-05: two keys that differ in blanks alone are one device."""
    assert list(loaded('devices: {" CT1 ": {}}').devices) == ["CT1"]
    assert mistakes('devices:\n  CT1: {}\n  " CT1": {}\n') == [
        "mwl.yaml:3:3: error: the AE title 'CT1' stands here twice: blanks around it do not count"
    ]


def test_m11_a_device_may_call_by_several_titles():
    """Its worklist and its MPPS; whoever is unknown is anyone, where anyone may call."""
    read = loaded('devices: {NX: {also: [NX_MPPS, NX_2]}, CT1: {also: CT1_MPPS}, "*": {}}')

    assert read.titles == {
        "NX": "NX", "NX_MPPS": "NX", "NX_2": "NX", "CT1": "CT1", "CT1_MPPS": "CT1", "*": "*",
    }  # fmt: skip
    assert [read.device_of(title) for title in ("NX_2", "CT1", "MR1")] == ["NX", "CT1", "*"]
    assert loaded("devices: {CT1: {}}").device_of("MR1") is None


def test_m11_a_title_stands_for_one_device():
    """Whichever of the two is written first."""
    text = "devices:\n  A: {also: [B, X]}\n  B: {also: [X]}\n"

    assert mistakes(text) == [
        "mwl.yaml:2:14: error: also: B is a device by itself",
        "mwl.yaml:3:14: error: also: X is one of A's titles",
    ]


def test_e03_a_title_may_be_bound_to_addresses_and_certificates():
    """One or several; a host is a network of its own."""
    tls = "dicom: {tls: {certificate: a, key: b, clients: c}}\n"
    bound = loaded(
        tls + "devices: {CT1: {address: 10.1.2.3, certificate: [a.example, b]}, MR1: {address: 10.1.0.0/16}}"
    )

    assert bound.devices["CT1"].address == ("10.1.2.3/32",)
    assert bound.devices["CT1"].certificate == ("a.example", "b")
    assert bound.devices["MR1"].address == ("10.1.0.0/16",)


@pytest.mark.parametrize("dicom", ["", "dicom: {tls: {certificate: a, key: b}}\n"])
def test_a_certificate_that_nobody_is_asked_for_is_a_mistake(dicom):
    """The device could never get in."""
    (mistake,) = mistakes(dicom + "devices: {CT1: {certificate: ct1}}")

    assert "none is asked for without dicom.tls.clients" in mistake


def test_what_is_no_address_of_a_device_is_a_mistake():
    """A name would have to be looked up at every association."""
    (mistake,) = mistakes("devices: {CT1: {address: ct1.example}}")

    assert "'ct1.example' is no IP address and no network: 10.1.2.3 or 10.1.0.0/16" in mistake


@pytest.mark.parametrize("version", ["1.3", '"1.3"'])
def test_a_version_of_tls_needs_no_quotes(version):
    """It reads as a number, and is none."""
    found = loaded(f"web: {{tls: {{certificate: a, key: b, version: {version}}}}}")

    assert found.web.tls is not None
    assert found.web.tls.version == "1.3"


def test_two_systems_that_send_alike_are_a_mistake():
    """A message must lead to one system; an absent facility means any."""
    text = 'systems:\n  A: {application: RIS}\n  B: {application: RIS, facility: "*"}\n  C: {application: RIS, facility: X}\n'

    assert mistakes(text) == ["mwl.yaml:3:3: error: 'B' has the application and facility of 'A'"]


RECEIVERS = """
devices: {CT1: {also: CT1_MPPS}}
systems: {RIS: {status: {to: "ris:2576"}}, OLD: {application: OLD}}
forward:
  PACS: {ae_title: ARCHIVE, to: "pacs.example.org:104", calling_ae: FORWARDER, devices: CT1, answer_within: 5}
  DOSE: {ae_title: DOSE, to: "dose:11112", tls: {}}
dicom: {subscribers: {VIEWER: {ae_title: VIEW, to: "view:104"}}}
"""


def test_performed_steps_are_sent_on_to_named_peers():
    """All devices' unless it says whose; under the broker's title unless it says another."""
    read = loaded(RECEIVERS)

    assert list(read.receivers) == ["PACS", "DOSE", "VIEWER"]
    pacs, dose = read.forward["PACS"], read.forward["DOSE"]
    assert (pacs.to, pacs.calling_ae, pacs.devices) == (
        Address("pacs.example.org", 104),
        "FORWARDER",
        ("CT1",),
    )
    assert (dose.calling_ae, dose.devices, dose.answer_within) == (None, ("*",), 30)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  DOSE:", "  RIS:", "6:3: error: 'RIS' is a name of systems already"),
        ("VIEWER:", "PACS:", "7:23: error: 'PACS' is a name of forward already"),
        ("devices: CT1,", "devices: [CT1, CT2],", "5:95: error: devices: there is no device CT2: did you mean 'CT1'?"),
        ("devices: CT1,", "devices: CT1_MPPS,", "error: devices: there is no device CT1_MPPS: CT1 is its key"),
        ("ae_title: DOSE,", "", "6:9: error: the key 'ae_title' is missing here"),
    ],
)  # fmt: skip
def test_a_peer_that_cannot_be_told_from_others_is_a_mistake(old, new, message):
    """In the outbox a destination is its name; and a device that does not exist performs nothing."""
    (mistake,) = mistakes(RECEIVERS.replace(old, new, 1))

    assert message in mistake


def test_a_system_that_is_told_nothing_shares_its_name():
    """Nothing is sent to it."""
    assert "OLD" in loaded(RECEIVERS.replace("DOSE:", "OLD:", 1)).forward


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:11112", "::1", 11112), ("localhost:104", "localhost", 104)],
)
def test_an_address_is_read_and_written_alike(text, host, port):
    """IPv6 hosts stand in brackets."""
    assert Address.parse(text) == Address(host, port)
    assert str(Address(host, port)) == text


@pytest.mark.parametrize(
    "text", ["11112", ":11112", "::1:11112", "host:", "host:65536", "host:-1", "a b:1", "[]:1", 2575, None]
)
def test_what_is_no_address_is_refused(text):
    """A port alone, or an IPv6 host without brackets, could mean several things."""
    with pytest.raises(ValueError, match=r"host:port|above 65535"):
        Address.parse(text)


@pytest.mark.parametrize(
    "label", ["ISO_IR 192", "\\ISO 2022 IR 87", "ISO 2022 IR 6\\ISO 2022 IR 149", "GB18030"]
)
def test_defined_terms_are_character_sets(label):
    """PS3.3 C.12.1.1.2: several terms are separated by backslashes, the first may be empty."""
    assert loaded(f"site: {{charset: '{label}'}}").site.charset == label


def test_variables_lie_over_the_file():
    """Any key may be set by the environment; text needs no quoting there."""
    read = loaded(
        CONTRACT,
        MWL_DATABASE="sqlite:///other.db",
        MWL_DICOM__LISTEN="[::1]:104",
        MWL_DICOM__LIMITS__ASSOCIATIONS="7",
        MWL_SYSTEMS__RIS__APPLICATION="*",
        MWL_SITE__NAME="",
    )

    assert read.database == "sqlite:///other.db"
    assert read.dicom.listen == Address("::1", 104)
    assert read.dicom.limits.associations == 7
    assert (read.systems["RIS"].application, read.systems["RIS"].facility) == ("*", "HOSP")
    assert read.site.name == "HOSP"


def test_a_variable_finds_a_name_whatever_its_case():
    """Names of devices and systems are spelled as in the file; a new one as in the variable."""
    read = loaded(
        "systems: {Ris: {facility: A}}\ndevices: {CT1: {vars: {station: A}}}\n",
        MWL_SYSTEMS__RIS__FACILITY="B",
        MWL_DEVICES__CT1__VARS__STATION="B",
        MWL_DEVICES__MR1__PROFILE="mr",
    )

    assert {name: each.facility for name, each in read.systems.items()} == {"Ris": "B"}
    assert read.devices["CT1"].vars == {"station": "B"}
    assert read.devices["MR1"].profile == "mr"


def test_a_whole_section_fits_in_one_variable():
    """What begins with a brace is read as YAML and replaces the section."""
    read = loaded(CONTRACT, MWL_DEVICES="{MR1: {profile: mr}}", MWL_DEVICES__MR1__VARS="{station: MR}")

    assert {title: (each.profile, each.vars) for title, each in read.devices.items()} == {
        "MR1": ("mr", {"station": "MR"})
    }


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("MWL_DATABSE", "x", "$MWL_DATABSE:1:1: error: unknown key 'databse': did you mean 'database'?"),
        ("MWL_DICOM__LISTN", "x", "$MWL_DICOM__LISTN:1:1: error: unknown key 'listn': did you mean 'listen'?"),
        ("MWL_DICOM__LISTEN", "x", "$MWL_DICOM__LISTEN:1:1: error: listen: write host:port, for example 127.0.0.1:11112 or [::1]:11112"),
        ("MWL_DEVICES", "{CT1: ", "$MWL_DEVICES:2:1: error: did not find expected node content"),
        ("MWL_DATABASE_FILE", "absent", "$MWL_DATABASE_FILE:1:1: error: absent cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_variable_names_the_variable(name, value, line):
    """An unknown variable is an error like an unknown key."""
    assert mistakes("", **{name: value}) == [line]


def test_variables_that_are_no_settings_are_left_alone():
    """Discovery, the log level and tests have variables of their own."""
    assert loaded(
        "", MWL_CONFIG="x", MWL_LOG_LEVEL="DEBUG", MWL_REQUIRE_PEERS="1", MWL_TEST_DATABASE_URL="x", PATH="x"
    )


def test_the_database_url_may_be_a_secret_file(tmp_path: Path):
    """A file named by a variable, or a credential of the service manager, holds the URL."""
    (tmp_path / "database").write_text("postgresql+psycopg://u:p@h/n\n")

    by_file = loaded("database: sqlite:///x.db", MWL_DATABASE_FILE=str(tmp_path / "database"))
    by_credential = loaded("database: sqlite:///x.db", CREDENTIALS_DIRECTORY=str(tmp_path))

    assert by_file.database == by_credential.database == "postgresql+psycopg://u:p@h/n"
    assert by_file.origin(["database"]) == "$MWL_DATABASE_FILE"
    assert by_credential.origin(["database"]) == "credential database"


def test_a_variable_comes_before_a_credential(tmp_path: Path):
    """The environment is nearer than the unit."""
    (tmp_path / "database").write_text("sqlite:///credential.db")

    assert (
        loaded("", CREDENTIALS_DIRECTORY=str(tmp_path), MWL_DATABASE="sqlite:///v.db").database
        == "sqlite:///v.db"
    )


def test_the_url_and_its_file_together_are_a_mistake(tmp_path: Path):
    """Two secrets that may differ are one too many."""
    (tmp_path / "database").write_text("sqlite:///x.db")

    (line,) = mistakes("", MWL_DATABASE="sqlite:///y.db", MWL_DATABASE_FILE=str(tmp_path / "database"))

    assert "keep one of them" in line


def test_every_effective_value_knows_its_origin():
    """A line of the file, a variable, or the default."""
    read = loaded(
        'dicom:\n  ae_title: BROKER\ndevices: {" CT1": {profile: ge}}\n', MWL_WEB__LISTEN="127.0.0.1:0"
    )

    shown = {key: (value, origin) for key, value, origin in read.effective()}

    assert shown["dicom.ae_title"] == ("BROKER", "mwl.yaml:2")
    assert shown["dicom.listen"] == ("127.0.0.1:11112", "default")
    assert shown["web.listen"] == ("127.0.0.1:0", "$MWL_WEB__LISTEN")
    assert shown["devices.CT1.profile"] == ("ge", "mwl.yaml:3")


def test_a_section_laid_over_leaves_no_origin_of_the_old_behind():
    """After a variable replaced the devices no value claims to come from the file."""
    read = loaded("devices: {CT1: {profile: ge}}", MWL_DEVICES="{CT1: {}}")

    assert read.origin(["devices", "CT1", "profile"]) == "default"


def test_a_later_check_can_point_into_the_file():
    """An unknown profile, found when profiles are read, is reported at its line."""
    read = loaded("devices:\n  CT1: {profile: gee}\n")

    assert (
        str(read.problem(["devices", "CT1", "profile"], "is unknown")) == "mwl.yaml:2:18: error: is unknown"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://user:p@ss:w/rd@host/name", "postgresql+psycopg://user:***@host/name"),
        ("postgresql+psycopg://user@host/name", "postgresql+psycopg://user@host/name"),
        (
            "postgresql+psycopg://host/name?user=u&password=p&SSLpassword=q&sslmode=require",
            "postgresql+psycopg://host/name?user=u&password=***&SSLpassword=***&sslmode=require",
        ),
        ("sqlite:///mwl.db", "sqlite:///mwl.db"),
        ("sqlite:////var/lib/a:b/mwl.db", "sqlite:////var/lib/a:b/mwl.db"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    """What is printed or logged of a URL leaves the secret out."""
    assert without_password(url) == shown
    assert ("database", shown, "default") not in list(loaded(f"database: '{url}'").effective())


def test_shipped_folders_are_found_in_a_wheel_and_in_a_checkout(tmp_path: Path):
    """Inside the package where it was installed from a wheel, beside it otherwise."""
    package = tmp_path / "lib" / "mwl"
    (package.parent / "mappings").mkdir(parents=True)
    assert shipped("mappings", package) == package.parent / "mappings"

    (package / "_mappings").mkdir(parents=True)
    assert shipped("mappings", package) == package / "_mappings"


def test_the_configured_folder_is_searched_before_the_shipped_one(tmp_path: Path):
    """A site's profile shadows a shipped one; the same folder is not read twice, an absent one not at all."""
    package = tmp_path / "mwl"
    (package / "_mappings").mkdir(parents=True)
    own = tmp_path / "own"
    assert profile_folders(own, package) == [package / "_mappings"]

    own.mkdir()
    assert profile_folders(own, package) == [own, package / "_mappings"]
    assert len(profile_folders(own / ".." / "mwl" / "_mappings", package)) == 1


def test_this_very_package_ships_profiles_and_examples():
    """The editable install of a checkout finds both."""
    assert shipped("mappings").is_dir()
    assert shipped("fixtures").is_dir()


def test_nothing_changes_after_loading():
    """A configuration is replaced whole, never edited."""
    with pytest.raises(ValueError, match="frozen"):
        loaded().dicom.ae_title = "X"  # type: ignore[misc]


def test_an_ae_title_of_sixteen_characters_is_the_longest():
    """PS3.5 table 6.2-1."""
    assert ae_title("A" * 16) == "A" * 16
    with pytest.raises(ValueError, match="at most 16"):
        ae_title("A" * 17)


@pytest.mark.parametrize(
    ("tz", "zone"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        (":Asia/Tokyo", "Asia/Tokyo"),
        ("CET-1CEST,M3.5.0", "UTC"),
        ("../etc/passwd", "UTC"),
    ],
)
def test_the_hosts_zone_is_the_default(tz, zone, monkeypatch: pytest.MonkeyPatch):
    """A rule or a path in $TZ is no zone name."""
    monkeypatch.setenv("TZ", tz)

    assert model.host_zone() == zone
    assert loaded().site.timezone == zone


def test_every_key_has_a_sentence():
    """The JSON Schema and the manual have something to say about each."""
    schema = config.Configuration.model_json_schema()
    silent = [
        f"{name}.{key}"
        for name, section in {**schema["$defs"], "": schema}.items()
        for key, each in section["properties"].items()
        if "description" not in each
    ]

    assert not silent


def test_what_is_kept_is_bounded_by_default():
    """Messages ninety days; of what is refused so much a day."""
    retention = loaded().retention

    assert (retention.messages, retention.refused, retention.unknown) == (
        dt.timedelta(days=90),
        256 * model.MIB,
        32 * model.MIB,
    )


@pytest.mark.parametrize(
    ("text", "age", "shown"),
    [
        ("90d", dt.timedelta(days=90), "90d"),
        ("8 w", dt.timedelta(weeks=8), "8w"),
        ("36h", dt.timedelta(hours=36), "36h"),
        ("1440m", dt.timedelta(days=1), "1d"),
        ("forever", None, "forever"),
    ],
)
def test_an_age_is_a_number_and_its_unit(text, age, shown):
    """It is shown in the longest unit that says the same."""
    read = loaded(f"retention: {{messages: {text}}}")

    assert read.retention.messages == age
    assert ("retention.messages", shown, "mwl.yaml:1") in list(read.effective())


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("512", 512), ("4 KiB", 4096), ("2GiB", 2 << 30)])
def test_a_size_is_bytes_or_a_number_and_its_unit(text, size):
    """Units are those of 1024."""
    assert loaded(f"retention: {{refused: {text}}}").retention.refused == size


@pytest.mark.parametrize("text", ["90", "0d", "d", "-1d", "1y", "true", "1.5d", ""])
def test_what_is_no_age_is_told(text):
    """The message says what to write."""
    (mistake,) = mistakes(f"retention: {{messages: {text}}}")

    assert mistake.startswith("mwl.yaml:1:")
    assert "for example 90d, or forever" in mistake


@pytest.mark.parametrize("text", ["1 MB", "-1", "true", "1.5", "much"])
def test_what_is_no_size_is_told(text):
    """The message says what to write."""
    (mistake,) = mistakes(f"retention: {{unknown: {text}}}")

    assert "for example 256 MiB" in mistake


def test_two_doors_at_one_address_are_a_mistake(tmp_path: Path) -> None:
    """The second could never open; port 0 is any free one, for all of them."""
    written = tmp_path / "mwl.yaml"
    written.write_text('dicom: {listen: "127.0.0.1:4000"}\nweb: {listen: "127.0.0.1:4000"}\n', "utf-8")

    with pytest.raises(BadDocument) as refused:
        config.load(written, {})

    said = "mwl.yaml:2:15: error: web.listen: 127.0.0.1:4000 is the address of dicom.listen"
    assert said in str(refused.value)


def test_a_folder_of_profiles_that_is_not_there_is_in_doubt(tmp_path: Path) -> None:
    """A site that overrides a profile would run on the shipped one, and not know it."""
    written = tmp_path / "mwl.yaml"
    written.write_text("mappings: ./nomap\n", "utf-8")

    doubts = [str(doubt) for doubt in config.load(written, {}).doubts()]

    assert doubts == [f"{written}:1:11: error: mappings: there is no folder nomap"]
    written.write_text("mappings: ./mappings\n", "utf-8")
    assert list(config.load(written, {}).doubts()) == []


def examined(text: str) -> tuple[config.Configuration, list[str]]:
    """Return what is sound of *text*, and its mistakes."""
    found = config.examine(written(text), {})
    return found.sound, [str(each) for each in found.mistakes]


def test_what_is_sound_beside_a_mistake_can_be_looked_at():
    """Profiles are checked with it in the same round; a device with a mistake is left out whole."""
    sound, found = examined(
        "mappings: here\nsite: {timezone: Nowhere, name: HOSP}\n"
        "devices:\n  CT1: {profle: generic}\n  CT2: {vars: {a: 1}}\n"
        "systems:\n  RIS: {status: {message: ORM^O01}}\n  HIS: {application: HIS}\n"
    )

    assert len(found) == 3
    assert (sound.mappings, sound.site.name) == (Path("here"), "HOSP")
    assert sound.site.timezone == model.host_zone()
    assert (list(sound.devices), list(sound.systems)) == (["CT2"], ["HIS"])


@pytest.mark.parametrize(
    "text",
    [
        "devices: 3\n",
        "devices:\n  AN_AE_TITLE_THAT_IS_LONG: {}\n",
        "dicom: {user_required: true, users: {a: {password: x, password_file: y}}}\n",
        "dicom: {tls: {certificate: x}, listen: nowhere}\nretention: {messages: long}\n",
        "nonsense: 1\nweb: 3\n",
    ],
)
def test_whatever_is_wrong_something_is_sound(text):
    """In the end the defaults are."""
    sound, found = examined(text)

    assert found
    assert (sound.dicom.listen, sound.web.listen) == (Address("127.0.0.1", 11112), Address("127.0.0.1", 8080))


def test_a_configuration_without_a_mistake_is_sound_as_it_is():
    """`load` returns the same."""
    sound, found = examined(CONTRACT)

    assert (sound, found) == (config.load(Path("mwl.yaml"), {}), [])


def test_by_the_clock_nothing_is_ended_or_hidden_by_default():
    """What is found is reported; nothing that a person should decide is done."""
    watch = loaded("{}").watch

    assert (watch.performed.close, watch.steps.idle, loaded("{}").retention.finished) == (None, None, None)
    assert watch.performed.report == dt.timedelta(hours=12)


@pytest.mark.parametrize(
    ("text", "after", "shown"),
    [("12h", dt.timedelta(hours=12), "12h"), ("7 d", dt.timedelta(7), "1w"), ("never", None, "never")],
)
def test_what_is_seen_to_has_its_time(text, after, shown):
    """A number and its unit, or never."""
    read = loaded(f"watch: {{performed: {{close: {text}}}}}")

    assert read.watch.performed.close == after
    assert ("watch.performed.close", shown, "mwl.yaml:1") in list(read.effective())


@pytest.mark.parametrize("text", ["forever", "12", "0h", "soon", "true"])
def test_what_is_no_time_to_wait_is_told(text):
    """The message says what to write."""
    (mistake,) = mistakes(f"watch: {{systems: {text}}}")

    assert "for example 12h, or never" in mistake


def test_audit_messages_are_sent_where_the_section_says():
    """Absent: nowhere; all kinds, over TLS, from whom the host trusts, are the default."""
    audit = loaded('audit: {to: "collector:6514"}').audit

    assert loaded("{}").audit is None
    assert loaded("audit:").audit is None
    assert audit is not None
    assert (str(audit.to), audit.transport, audit.tls.authorities) == ("collector:6514", "tls", None)
    assert audit.events == ("application", "query", "order", "procedure", "patient", "security", "user")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("{to: collector}", "1:13: error: to: write host:port"),
        ("{tls: {}}", "1:8: error: the key 'to' is missing here"),
        ("{to: 'h:1', transport: tcp}", "1:31: error: transport: input should be 'tls' or 'udp'"),
        ("{to: 'h:1', transport: udp, tls: {}}", "datagrams have no TLS"),
        ("{to: 'h:1', events: [queries]}", "1:29: error: events: input should be 'application'"),
        ("{to: 'h:1', spool: 10}", "1:27: error: spool: input should be greater than or equal to 1000"),
    ],
)
def test_a_mistake_about_audit_messages_is_told_at_its_place(text, mistake):
    """File, line and column, and what may be written."""
    (told,) = mistakes(f"audit: {text}")

    assert mistake in told
