"""A message to read without the reader of the wire, and the shipped profile to read it with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mwl.errors import Finding, Unacceptable
from mwl.mapping.facts import SiteFacts
from mwl.mapping.systems.source import Repetition
from mwl.mapping.systems.system import SystemProfile, SystemProfiles, load_systems
from mwl.model import OrderMessage

MAPPINGS = Path(__file__).parents[3] / "mappings"
SITE = SiteFacts(name="HOSP", timezone=ZoneInfo("Europe/Berlin"))
SENT_AT = dt.datetime(2026, 7, 1, 8, 0, tzinfo=dt.UTC)

_ESCAPES = {r"\F\ "[:-1]: "|", r"\S\ "[:-1]: "^", r"\T\ "[:-1]: "&", r"\R\ "[:-1]: "~"}


class FakeSource:
    """ER7 with the usual delimiters, split at once; a `mwl.mapping.systems.source.Source`."""

    def __init__(
        self,
        segments: Sequence[tuple[str, int, list[str]]],
        around: Sequence[tuple[str, int, list[str]]] = (),
    ):
        self._own = list(segments)
        own = {name for name, _, _ in segments}
        self._visible = [*(each for each in around if each[0] not in own), *segments]

    @classmethod
    def of(cls, text: str) -> FakeSource:
        """Split *text*, segments on lines of their own."""
        seen: dict[str, int] = {}
        segments = []
        for line in text.strip().replace("\n", "\r").split("\r"):
            fields = line.strip().split("|")
            if fields[0] == "MSH":
                fields.insert(1, "|")
            seen[fields[0]] = seen.get(fields[0], 0) + 1
            segments.append((fields[0], seen[fields[0]], fields))
        return cls(segments)

    def _named(self, segment: str) -> list[tuple[str, int, list[str]]]:
        return [each for each in self._visible if each[0] == segment]

    @property
    def filled(self) -> frozenset[tuple[str, int]]:
        return frozenset(
            (name, number)
            for name, _, fields in self._visible
            for number, written in enumerate(fields)
            if written
        )

    def count(self, segment: str) -> int:
        return len(self._named(segment))

    def field(self, segment: str, occurrence: int, field: int) -> tuple[Repetition, ...]:
        found = self._named(segment)
        if not 0 < occurrence <= len(found) or field >= len(found[occurrence - 1][2]):
            return ()
        raw = found[occurrence - 1][2][field]
        if not raw.strip("~^& "):
            return ()
        return tuple(
            tuple(tuple(_unescaped(sub) for sub in part.split("&")) for part in repetition.split("^"))
            for repetition in raw.split("~")
        )

    def groups(self, starts: Sequence[str]) -> list[FakeSource]:
        before: list[tuple[str, int, list[str]]] = []
        groups: list[list[tuple[str, int, list[str]]]] = []
        for segment in self._own:
            if segment[0] in starts:
                groups.append([])
            (groups[-1] if groups else before).append(segment)
        inside = {each[0] for group in groups[:-1] for each in group}
        alone = [
            each for each in (groups[-1] if groups else []) if each[0] not in inside and each[0][0] == "Z"
        ]
        outer = [each for each in self._visible if each not in self._own]
        return [FakeSource(group, [*outer, *before, *alone]) for group in groups]

    def location(self, segment: str, occurrence: int) -> tuple[str, int]:
        found = self._named(segment)
        return segment, found[occurrence - 1][1] if 0 < occurrence <= len(found) else occurrence


def _unescaped(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text.replace(r"\.br" + "\\", "\r\n").replace(r"\E" + "\\", "\\")


def order(**fields: str) -> str:
    """Return a usual ORM^O01; a keyword such as ``OBR_18`` replaces a field, a segment's name the segment."""
    segments = {
        "MSH": r"MSH|^~\&|RIS|HOSP|MWL|HOSP|20260701100000||ORM^O01|1|P|2.3.1",
        "PID": "PID|||PID001^^^HOSP_A||DOE^JOHN||19700102|M",
        "PV1": "PV1||I|WARD1^101^2",
        "ORC": "ORC|NW|P1^PLC|F1^FIL||||^^^20260705090000^^S",
        "OBR": "OBR|1|P1^PLC|F1^FIL|RP1^Chest CT^L^SP1^CT chest plain^L||||||||||||||ACC1|RPID1|SPS1||||CT",
        "ZDS": "ZDS|1.2.3.4^100^Application^DICOM",
    }
    for name, value in fields.items():
        segment, _, number = name.partition("_")
        if not number:
            segments[segment] = value
            continue
        parts = segments.setdefault(segment, segment).split("|")
        index = int(number) - (1 if segment == "MSH" else 0)
        parts += [""] * (index + 1 - len(parts))
        parts[index] = value
        segments[segment] = "|".join(parts)
    return "\r".join(each for each in segments.values() if each)


@pytest.fixture(scope="session")
def make_order() -> Callable[..., str]:
    """The builder of messages."""
    return order


@pytest.fixture(scope="session")
def source() -> Callable[[str], FakeSource]:
    """The reader of messages."""
    return FakeSource.of


@pytest.fixture(scope="session")
def shipped() -> SystemProfiles:
    """The profiles that come with the product."""
    return load_systems([MAPPINGS])


@pytest.fixture(scope="session")
def generic(shipped: SystemProfiles) -> SystemProfile:
    return shipped.bind("generic")


@pytest.fixture(scope="session")
def read(generic: SystemProfile) -> Callable[..., OrderMessage]:
    """Read a message (its text) with the shipped profile, or another."""

    def _read(
        text: str, profile: SystemProfile = generic, site: SiteFacts = SITE, trace: object = None
    ) -> OrderMessage:
        return profile.read_order(FakeSource.of(text), "RIS", site, SENT_AT, trace)  # type: ignore[arg-type]

    return _read


@pytest.fixture(scope="session")
def refusal(read: Callable[..., OrderMessage]) -> Callable[..., list[tuple[int, str]]]:
    """Read a message that is refused, and return its errors as (code, location)."""

    def _refusal(text: str, **options: object) -> list[tuple[int, str]]:
        with pytest.raises(Unacceptable) as refused:
            read(text, **options)
        findings: tuple[Finding, ...] = refused.value.findings
        return [(each.code, str(each.location)) for each in findings]

    return _refusal


@pytest.fixture
def site_profile(tmp_path: Path) -> Callable[[str], SystemProfile]:
    """Bind a profile of a site, given as YAML, that rests on the shipped ones."""

    def _bind(text: str) -> SystemProfile:
        folder = tmp_path / "systems"
        folder.mkdir(exist_ok=True)
        (folder / "site.yaml").write_text(f"profile: site\n{text}", encoding="utf-8")
        return load_systems([tmp_path, MAPPINGS]).bind("site")

    return _bind
