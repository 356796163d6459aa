"""The manuals and the program say the same: nothing of the program is undocumented, nothing invented.

What is shown as a command is run by `acceptance/test_documented_commands.py`, on the real broker.
"""

from __future__ import annotations

import ast
import configparser
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click
import pytest
from uvicorn.protocols.http.h11_impl import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE

from mwl import config
from mwl.audit import syslog
from mwl.broker import audit_sender, auditing, bind, capture, doors, preflight, running, watch
from mwl.cli import cli, exits
from mwl.config import model, shipped
from mwl.dicom import encoding, last_good, operations, quarantine
from mwl.dicom.dimse import MessageLimits
from mwl.dicom.elements import MAX_DEPTH, MAX_PARTS
from mwl.dicom.response_cache import ResponseCache
from mwl.dicom.upper_layer import PduLimits
from mwl.hl7 import ack, message, notifier
from mwl.mapping.devices.device import SiteFacts, load_devices
from mwl.mapping.devices.operations import OPERATIONS
from mwl.mapping.devices.operations.order import MOST_ARRANGED
from mwl.mapping.systems.functions import STRUCTURES, TEXTS
from mwl.mapping.systems.status_facts import COUNTERS, FACTS
from mwl.mapping.systems.status_functions import FUNCTIONS
from mwl.mapping.systems.status_template import MOST_REPEATED
from mwl.mapping.systems.system import load_systems
from mwl.store import callers, engine, profile_sets, queries, requests, writer
from mwl.store.linking import Remark
from mwl.supervisor import supervisor
from mwl.workbench.examples import run

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)


def named(path: Path) -> str:
    """Return a page's name for test IDs."""
    return str(path.relative_to(ROOT))


def page(name: str) -> str:
    """Return the text of one manual."""
    return (DOCS / name).read_text("utf-8")


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return FENCED.sub("", text)


def spans(text: str) -> list[str]:
    """Return what stands as code in the prose of a page."""
    return re.findall(r"(?<!`)`([^`\n]+)`", prose(text))


ALL_SPANS = [span for path in PAGES for span in spans(path.read_text("utf-8"))]


def script(name: str) -> ModuleType:
    """Return a script of the docs folder as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ── what is made from the program ──


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=named)
def test_the_tables_of_a_page_are_those_of_the_program(path):
    """``python docs/tables.py`` has nothing to write."""
    text = path.read_text("utf-8")

    assert script("tables").filled(text) == text


def test_every_table_stands_in_a_page():
    """A table nobody reads is none."""
    marked = set(re.findall(r"<!-- table: (.+) -->", "".join(path.read_text("utf-8") for path in PAGES)))

    assert marked == set(script("tables").TABLES)


def test_the_state_diagrams_are_drawn_from_the_tables():
    """``python docs/diagrams.py > docs/states.md`` has nothing to change."""
    assert page("states.md") == script("diagrams").page()


# ── examples ──


@dataclass(frozen=True)
class Example:
    """A fenced block of YAML, and where it stands."""

    path: Path
    line: int
    body: str

    @property
    def file(self) -> str:
        """The file its first line says it stands in; "" for lines of a profile without their header."""
        first = self.body.partition("\n")[0]
        return first.removeprefix("# ") if re.fullmatch(r"# \S+\.yaml", first) else ""

    def __str__(self) -> str:
        return f"{named(self.path)}:{self.line}"


def examples(language: str = "yaml") -> Iterator[Example]:
    """Yield the fenced blocks of all pages."""
    for path in PAGES:
        text = path.read_text("utf-8")
        for match in FENCED.finditer(text):
            if match["language"] == language:
                yield Example(path, text.count("\n", 0, match.start()) + 1, match["body"])


EXAMPLES = list(examples())
CONFIGURATIONS = [each for each in EXAMPLES if each.file == "mwl.yaml"]
FILES = [each for each in EXAMPLES if each.file.startswith("mappings/")]
DRAFTS = [each for each in EXAMPLES if each.file.startswith("drafts/")]
LINES = [each for each in EXAMPLES if each not in (*CONFIGURATIONS, *FILES, *DRAFTS)]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site's folder with all profiles the manuals write in full, as the working directory."""
    for each in FILES:
        path = tmp_path / each.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each.body, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("example", CONFIGURATIONS, ids=str)
def test_an_example_of_a_configuration_loads_with_its_profiles(example, site):
    """It is valid, and every profile it names can be bound."""
    (site / "mwl.yaml").write_text(example.body, "utf-8")

    loaded = config.load(site / "mwl.yaml", {"MWL_MAPPINGS": str(site / "mappings")})
    profiles = bind(loaded)

    assert profiles.devices.keys() == loaded.devices.keys()
    assert profiles.systems.keys() == loaded.systems.keys()


@pytest.mark.parametrize("example", FILES, ids=str)
def test_an_example_of_a_profile_loads(example, site):
    """Written into the file its first line names, it is a sound profile without a warning."""
    folders = [site / "mappings", shipped("mappings")]
    name = Path(example.file).stem

    devices = load_devices(folders)
    names = devices.names if "/devices/" in example.file else load_systems(folders).names

    assert name in names
    assert [str(problem) for problem in devices.warnings] == []


@pytest.mark.parametrize("example", DRAFTS, ids=str)
def test_a_draft_loads_in_the_place_of_its_namesake(example, site):
    """It stands beside the folder of profiles; what it carries of examples holds."""
    draft = site / example.file
    draft.parent.mkdir(exist_ok=True)
    draft.write_text(example.body, "utf-8")

    profiles = load_devices([site / "mappings", shipped("mappings")], [draft])

    assert profiles.written[draft.stem].file == str(draft)
    assert [each for each in run(profiles, [draft.stem]) if each.mistakes] == []


@pytest.mark.parametrize("example", LINES, ids=str)
def test_lines_of_a_device_profile_load(example, tmp_path):
    """Under a header they are a sound profile without a warning, and can be bound."""
    assert example.path.name == "field-engineer.md"
    (tmp_path / "devices").mkdir()
    header = "profile: example\nstatus: hypothesis\n"
    (tmp_path / "devices" / "example.yaml").write_text(header + example.body, "utf-8")

    profiles = load_devices([tmp_path, shipped("mappings")])
    profile = profiles.bind("example", {}, SiteFacts())

    assert profile.name == "example"
    assert [str(problem) for problem in profiles.warnings] == []
    assert [each for each in run(profiles, ["example"]) if each.mistakes] == []


@pytest.mark.parametrize("key", OPERATIONS)
def test_every_operation_has_a_section_with_an_example(key):
    """The field engineer finds it by its name, and sees it used."""
    sections = re.split(r"^### ", page("field-engineer.md"), flags=re.MULTILINE)
    (section,) = [each for each in sections if each.startswith(f"`{key}`\n")]

    blocks = [match["body"] for match in FENCED.finditer(section) if match["language"] == "yaml"]

    assert any(re.search(rf"^{key}:", body, re.MULTILINE) for body in blocks)


@pytest.mark.parametrize("name", sorted({*TEXTS, *STRUCTURES, *FUNCTIONS, *FACTS, *COUNTERS}))
def test_every_word_of_the_system_language_is_documented(name):
    """Functions and references a system profile may name."""
    assert name in spans(page("integration-analyst.md"))


# ── names of the program ──


def commands(group: click.Group = cli, prefix: str = "mwl") -> Iterator[tuple[str, click.Command]]:
    """Yield every command and group by its full name."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{prefix} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")


COMMANDS = dict(commands())


@pytest.mark.parametrize(
    "name", [name for name, each in COMMANDS.items() if not isinstance(each, click.Group)]
)
def test_every_command_and_option_is_documented(name):
    """The operator's guide lists them; somewhere each is shown at work."""
    listed = page("operator.md")
    shown = "".join(match["body"] for path in PAGES for match in FENCED.finditer(path.read_text("utf-8")))
    options = [each.opts[0] for each in COMMANDS[name].params if isinstance(each, click.Option)]

    assert [option for option in options if f"`{option}" not in listed and option not in listed] == []
    assert re.search(rf"^(\.venv/bin/)?{name}\b", shown, re.MULTILINE)


def test_no_command_is_invented():
    """What the prose calls a command is one."""
    spoken = {span for span in ALL_SPANS if re.match(r"mwl [a-z]", span)}

    assert [span for span in spoken if not any(span == n or span.startswith(f"{n} ") for n in COMMANDS)] == []


def keys(section: type = model.Settings, under: str = "") -> set[str]:
    """Return every key of the configuration, names of devices and systems left out."""
    tables = script("tables")
    return {re.sub(r"\.<[^>]*>", "", row[0].strip("`")) for row in tables._settings(section, under)}


def test_every_setting_is_documented_and_none_is_invented():
    """What the manuals write as a dotted key is one; the operator's guide has all."""
    known = keys()
    told = set(spans(page("operator.md")))
    heads = "|".join(model.Settings.model_fields)
    dotted = {span for span in ALL_SPANS if re.fullmatch(rf"({heads})(\.[a-z_]+)+", span)}

    assert {key for key in known if not any(re.sub(r"\.<[^>]*>", "", each) == key for each in told)} == set()
    assert dotted - known == set()


def test_every_metric_is_documented_and_none_is_invented():
    """The operator's guide has all metrics of the broker's own."""
    known = {row[0].strip("`") for row in script("tables")._metrics()}
    spoken = {name for span in ALL_SPANS for name in re.findall(r"\bmwl_[a-z0-9_]+", span)}

    assert known <= set(spans(page("operator.md")))
    assert spoken - known == set()


def sources() -> Iterator[ast.Module]:
    """Yield the program's modules."""
    for path in sorted((ROOT / "mwl").rglob("*.py")):
        yield ast.parse(path.read_text("utf-8"))


def test_every_environment_variable_is_documented():
    """Those the program reads by name."""
    written = {
        node.value
        for module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    read = {
        text for text in written if re.fullmatch(r"MWL_[A-Z_]+[A-Z]|[A-Z]+_(SOCKET|DIRECTORY)|NO_COLOR", text)
    }

    assert [name for name in sorted(read) if f"`{name}`" not in page("operator.md")] == []


def events() -> set[str]:
    """Return the names of all events the program logs above DEBUG."""
    found: set[str] = set()
    for module in sources():
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                found |= _event(node)
    return found


def _event(call: ast.Call) -> set[str]:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    at = {"event": 2, "log": 2, "_log": 1, "exception": 0, "error": 0, "warning": 0, "info": 0}.get(name)
    owner = getattr(getattr(function, "value", None), "id", "")
    if at is None or len(call.args) <= at or (at == 0 and owner != "logger"):
        return set()
    if any(isinstance(each, ast.Attribute) and each.attr == "DEBUG" for each in call.args[:at]):
        return set()
    return _texts(call.args[at])


def _texts(node: ast.expr) -> set[str]:
    """Return what a name may be; one that is put together counts by its first words."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.JoinedStr):
        return {str(part.value).strip() for part in node.values[:1] if isinstance(part, ast.Constant)}
    return set()


def test_every_event_of_the_log_is_documented_and_none_is_invented():
    """The operator's guide has a row for each."""
    rows = re.findall(r"^\| (`[^|]+`) \| (?:info|warning|error|debug)", page("operator.md"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    logged = events()

    assert [name for name in sorted(logged) if not any(each.startswith(name) for each in told)] == []
    assert [name for name in sorted(told) if not any(name.startswith(each) for each in logged)] == []


@pytest.mark.parametrize("remark", Remark)
def test_every_remark_on_a_performed_step_is_documented(remark):
    """The operator's guide says what to do about it."""
    assert f"| {remark} |" in page("operator.md")


def test_every_exit_code_is_documented():
    """Those an error may end a command with, and those of good ends and wrong usage."""
    told = re.findall(r"^\| `(\d+)` \|", page("operator.md"), re.MULTILINE)

    assert {int(code) for code in told} == {exits.DONE, exits.FINDINGS, exits.USAGE, exits.TRY_AGAIN} | set(
        exits.EXITS.values()
    )


FIXED = {
    "128 KiB; an association request 64 KiB; a command set 16 KiB": (
        PduLimits().data,
        PduLimits().request,
        MessageLimits().command_set,
    )
    == (128 << 10, 64 << 10, 16 << 10),
    "then after a second, doubling up to 60": (supervisor.PAUSE, supervisor.LONGEST_PAUSE) == (1, 60),
    "it has not answered for 30 seconds": supervisor.RELOADED_WITHIN == 30,
    "| the head of an HTTP request | 16 KiB |": DEFAULT_MAX_INCOMPLETE_EVENT_SIZE == 16 << 10,
    "4 MiB, 150000 elements, 16 levels": (encoding.MAX_BYTES, MAX_PARTS, MAX_DEPTH) == (4 << 20, 150_000, 16),
    "| requests waiting on one association | 4 |": operations._MOST_WAITING == 4,
    "| memory for encoded responses | 64 MiB |": ResponseCache()._capacity == 64 << 20,
    "| memory for the last good lists | 32 MiB, 8 lists of a device |": (last_good.CAPACITY, last_good.LISTS)
    == (32 << 20, 8),
    "profile sorts, splits, merges or drops from | 5000 |": MOST_ARRANGED == 5000,
    "10000 segments, 10000 parts in a field": (message.MAX_SEGMENTS, message.MAX_PARTS) == (10_000, 10_000),
    "20, of 200 characters each": (ack._MOST_FINDINGS, ack._MOST_TEXT) == (20, 200),
    "| a status message: items a segment is repeated for | 500 |": MOST_REPEATED == 500,
    "1 second, doubling up to 60 seconds": [notifier.backoff(n) for n in (1, 2, 3, 9)] == [1, 2, 4, 60],
    "HL7 messages 20 seconds": doors.DRAIN == 20,
    "looked at once a second": watch.EVERY == 1,
    "The latest 100 sets are kept, and 64 MiB of their text; of a file above 1 MiB": (
        profile_sets.KEPT,
        profile_sets.TOTAL,
        profile_sets.LARGEST,
    )
    == (100, 64 << 20, 1 << 20),
    "| messages waiting to be held against the devices' profiles | 20000 |": preflight.WAITING == 20_000,
    "waits 5 seconds for a lock": engine.LOCK_TIMEOUT == 5000,
    "at most 30 seconds altogether": engine.STATEMENT_TIMEOUT == 30_000,
    "loses its transaction after 10 seconds": engine.SILENCE_TIMEOUT == 10_000,
    "Up to 10000 changes": writer.WAITING == 10_000,
    "keeps the latest 1000": callers.KEPT == 1000,
    "of all together the latest 5000, and of callers in quarantine the latest 200": (
        queries.KEPT,
        queries.HELD,
    )
    == (5000, 200),
    "4 from one address, together a tenth of `dicom.limits.associations`": (
        quarantine.PER_ADDRESS,
        running._HELD,
    )
    == (4, 10),
    "30 at once, and 30 a minute after that": quarantine.QUERIES == 30,
    "the first, and of the others the latest: 200 together, and 32 MiB": (requests.KEPT, requests.OCTETS)
    == (200, 32 << 20),
    "| a query that is kept | 32 KiB; 500 wait to be written |": (queries.IDENTIFIER, capture.WAITING)
    == (32 << 10, 500),
    "a second later at most": capture.REST == 1,
    "half a second later at most while the database answers": auditing.REST == 0.5,
    "Up to 1000 of them wait for a database that does not answer": auditing.WAITING == 1000,
    "oldest first, 100 messages at a time": audit_sender.BATCH == 100,
    "longer than 65507 octets": syslog.DATAGRAM == 65_507,
    "holds up the others for 2 minutes at most": audit_sender._LEASE.total_seconds() == 120,
}
"""What the operator's guide says of limits that cannot be configured, and whether it is so."""


@pytest.mark.parametrize("phrase", FIXED)
def test_a_fixed_limit_is_what_the_manual_says(phrase):
    """The number is that of the program, and stands in the operator's guide."""
    assert phrase in page("operator.md")
    assert FIXED[phrase]


# ── the unit ──


def test_the_unit_runs_a_command_there_is_and_knows_its_exit_codes():
    """deploy/mwl.service: what the service manager relies on."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read(ROOT / "deploy" / "mwl.service", "utf-8")
    service = unit["Service"]
    program, command, *_ = service["ExecStart"].split()

    assert Path(program).name == "mwl"
    assert f"mwl {command}" in COMMANDS
    assert service["Type"] == "notify"
    assert int(service["RestartPreventExitStatus"]) == exits.BAD_CONFIGURATION
    assert int(service["TimeoutStopSec"].removesuffix("s")) > 2 * doors.DRAIN


# ── the pages themselves ──


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(path):
    """The file is there, and so is the heading."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text("utf-8"))):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)

    assert broken == []


def anchors(path: Path) -> set[str]:
    """Return what headings of a page are linked by."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_file_of_the_project_that_is_named_exists(path):
    """Modules, fixtures, profiles and scripts."""
    text = path.read_text("utf-8")
    folders = "mwl|fixtures|tests|deploy|docs|benchmarks"
    names = set(re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./-]*[\w/])", text))

    assert [name for name in sorted(names) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_prose_has_one_sentence_a_line(path):
    """A change of one sentence is a change of one line."""
    lines = [
        line for line in prose(path.read_text("utf-8")).splitlines() if not line.startswith(("|", "<", "#"))
    ]
    bare = [re.sub(r"`[^`]*`", "x", line).lstrip("-0123456789. ") for line in lines]

    assert [line for line in bare if re.search(r"[\w)*][.?!](\*\*)? [A-Z*]", line)] == []


def test_every_decision_is_numbered_and_says_what_was_decided():
    """docs/decisions/NNNN-words.md, without a gap."""
    records = sorted((DOCS / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in records]

    assert numbers == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences"))
