"""P22: person names in the groups, components and script that a device reads."""

from __future__ import annotations

import pytest

from mwl.errors import BadDocument
from mwl.mapping.devices.device import Report

NAME = "PatientName"


@pytest.fixture
def named(answer):
    """Send a name through a profile's `pn`."""

    def send(options: str, name: str, **more: str) -> str:
        stored = {NAME: name, **more}
        return answer(f"pn: {{tag: {NAME}, {options}}}", stored)[NAME]

    return send


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        # derive
        ("derive: {alphabetic: pinyin}", "王^小明", "WANG^XIAOMING"),
        ("derive: {alphabetic: pinyin}", "=曾^小明", "ZENG^XIAOMING=曾^小明"),
        ("derive: {alphabetic: pinyin}", "Wong^Siu Ming=王^小明", "Wong^Siu Ming=王^小明"),
        ("derive: {alphabetic: pinyin}", "=山田^太郎=やまだ^たろう", "=山田^太郎=やまだ^たろう"),
        ("derive: {alphabetic: hepburn}", "=山田^太郎=やまだ^たろう", "YAMADA^TAROU=山田^太郎=やまだ^たろう"),
        ("derive: {alphabetic: hepburn}", "ﾔﾏﾀﾞ^ﾀﾛｳ", "YAMADA^TAROU"),
        ("derive: {alphabetic: hepburn}", "=山田^太郎", "=山田^太郎"),
        ("derive: {alphabetic: rr}", "=洪^吉洞=홍^길동", "HONG^GILDONG=洪^吉洞=홍^길동"),
        ("derive: {phonetic: fullwidth_kana}", "YAMADA^TARO=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ", "YAMADA^TARO=山田^太郎=ヤマダ^タロウ"),
        ("derive: {phonetic: fullwidth_kana}", "ﾔﾏﾀﾞ^ﾀﾛｳ", "ﾔﾏﾀﾞ^ﾀﾛｳ==ヤマダ^タロウ"),
        ("derive: {phonetic: fullwidth_kana, alphabetic: hepburn}", "ﾔﾏﾀﾞ^ﾀﾛｳ", "YAMADA^TAROU==ヤマダ^タロウ"),
        ("derive: {phonetic: fullwidth_kana}", "DOE^JANE", "DOE^JANE"),
        # emit, swap
        ("emit: [alphabetic]", "Hong^Gildong=洪^吉洞=홍^길동", "Hong^Gildong"),
        ("emit: [ideographic, phonetic]", "Hong^Gildong=洪^吉洞=홍^길동", "=洪^吉洞=홍^길동"),
        ("emit: [ideographic]", "DOE^JANE", "DOE^JANE"),
        ("emit: [alphabetic], derive: {alphabetic: pinyin}", "=王^小明", "WANG^XIAOMING"),
        ("swap: [alphabetic, phonetic]", "A^B=C=D^E", "D^E=C=A^B"),
        ("swap: [alphabetic, ideographic], emit: [alphabetic]", "Hong=洪", "洪"),
        # components
        ("keep: [family, given]", "DOE^JANE^Q^DR^JR", "DOE^JANE"),
        ("drop: [prefix, suffix]", "DOE^JANE^Q^DR^JR", "DOE^JANE^Q"),
        ("drop: [middle]", "DOE^JANE^Q^DR=X^Y^Z", "DOE^JANE^^DR=X^Y"),
        ("order: [given, family]", "DOE^JANE^Q", "JANE^DOE^Q"),
        ("order: [prefix, family, given]", "DOE^JANE^Q^DR", "DR^DOE^JANE^Q"),
        # prefix, suffix
        ("suffix: {family: ' *'}", "DOE^JANE", "DOE *^JANE"),
        ("prefix: {given: '+'}", "DOE=X^Y", "DOE^+=X^+Y"),
        ("suffix: {given: '[ *{RequestedProcedureComments}*]'}", "DOE^JANE", "DOE^JANE *MRSA*"),
        ("suffix: {given: '[ {AdmissionID}]'}", "DOE^JANE", "DOE^JANE"),
        ("suffix: {family: '^=x'}", "DOE^JANE", "DOE x^JANE"),
        # max_per_group
        ("max_per_group: 12", "MUSTERMANN^MAXIMILIAN=LONGIDEOGRAPHIC", "MUSTERMANN^M=LONGIDEOGRAP"),
        ("emit: [alphabetic]", "", ""),
    ],
)  # fmt: skip
def test_p22_a_name_is_rearranged(named, options, name, expected):
    """F40, F44, F36: derived, exchanged, taken apart and marked, and always a valid name."""
    assert named(options, name, RequestedProcedureComments="MRSA", AdmissionID="") == expected


def test_a_name_without_any_group_that_is_wanted_is_sent_and_reported(bind, item, doc, facts):
    """A patient is never hidden by it; what was done before stays undone as well."""
    reports: list[Report] = []
    profile = bind(f"pn: {{tag: {NAME}, suffix: {{family: '*'}}, emit: [phonetic]}}")

    profile.respond(item({NAME: "DOE^JANE"}), doc({NAME: ""}), facts, None, reports)

    assert [(each.path, each.operation) for each in reports] == [(NAME, "pn")]
    assert "DOE" not in reports[0].message


def test_several_names_and_a_guard(answer):
    """P3: the line runs for the devices it is meant for."""
    stored = {NAME: "A=B", "ReferringPhysicianName": ["C=D", "E=F"], "RequestingPhysician": "G=H"}
    lines = f"pn: {{tag: [{NAME}, ReferringPhysicianName], emit: [alphabetic], when: {{$calling_ae: %s}}}}"

    assert answer(lines % "CT1", stored) == {
        NAME: "A", "ReferringPhysicianName": ["C", "E"], "RequestingPhysician": "G=H"}  # fmt: skip
    assert answer(lines % "CT2", stored) == stored


def test_pn_is_for_names_alone(bind):
    """Anything else is a mistake when the profile is bound."""
    with pytest.raises(BadDocument, match="AdmissionID is no person name"):
        bind("pn: {tag: AdmissionID, emit: [alphabetic]}")
