"""YAML as engineers mean it: text stays text, every mistake has a place, all come at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from mwl import yamldoc
from mwl.errors import BadDocument

BOMB = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9))
"""Each line is ten of the line before: a thousand million values in 600 bytes."""


def only(text: str):
    """Return the data of the one document in *text*."""
    (document,) = yamldoc.parse(text, "a.yaml")
    return document.data


def problems_of(text: str) -> list[str]:
    """Return the problems that reading *text* reports."""
    with pytest.raises(BadDocument) as caught:
        yamldoc.parse(text, "a.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "written",
    [
        "NO",
        "no",
        "on",
        "Off",
        "yes",
        "y",
        "1e3",
        "0123",
        "0012",
        "12:30:45",
        "0x1F",
        "0o17",
        "1_000",
        ".5",
        "+7",
        "TRUE",
        "2026-07-05",
    ],
)
def test_what_other_readers_convert_stays_text(written):
    """An AE title NO, a code 0123 or a time 12:30:45 is read as it was written."""
    assert only(f"value: {written}") == {"value": written}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("12", 12),
        ("1.5", 1.5),
    ],
)
def test_json_like_scalars_are_values(written, value):
    """Only what JSON would read as a value is one."""
    read = only(f"value: {written}")["value"]

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("written", ["'true'", '"12"', "|\n  null", ">-\n  0"])
def test_quoted_and_block_scalars_are_text(written):
    """Quotes make text of anything."""
    assert isinstance(only(f"value: {written}")["value"], str)


def test_keys_are_text():
    """A key is an AE title or a name: a number among them stays what was written."""
    assert only("{007: a, NO: b, 12: c}") == {"007": "a", "NO": "b", "12": "c"}


def test_each_duplicate_key_is_reported_at_its_place():
    """The last of two keys never wins silently."""
    assert problems_of("CT1: {}\nMR1: {a: 1, a: 2}\nCT1: {}\n") == [
        "a.yaml:2:13: error: the key 'a' stands here twice",
        "a.yaml:3:1: error: the key 'CT1' stands here twice",
    ]


def test_marks_lead_to_keys_and_values():
    """Every key and value knows its line and column, counted from one."""
    (document,) = yamldoc.parse("devices:\n  CT1: {profile: ge}\n  list: [a, b]\n", "a.yaml")

    assert document.keys["devices", "CT1"] == yamldoc.Mark(2, 3)
    assert document.values["devices", "CT1", "profile"] == yamldoc.Mark(2, 18)
    assert document.values["devices", "list", 1] == yamldoc.Mark(3, 13)


def test_a_problem_without_a_mark_is_put_at_what_encloses_it():
    """A missing key is reported where it should stand."""
    (document,) = yamldoc.parse("site:\n  name: X\n", "a.yaml")

    problem = document.problem(("site", "timezone", "deeper"), "is missing")

    assert (problem.line, problem.column) == (2, 3)


def test_a_syntax_error_has_a_place():
    """What is not YAML says where it stops being so."""
    (problem,) = problems_of("a: 1\nb: [1, 2\nc: 3\n")

    assert problem.startswith("a.yaml:3:")


@pytest.mark.parametrize(
    "text",
    [
        "a: \x00",
        "a: &x [*x]",
        "a: &x [*x, *x, *x]",
        BOMB,
        "[" * 100_000,
        "a: *nothing",
        "? [a]\n: b",
        "- - - " * 500 + "a",
    ],
)
def test_hostile_text_is_refused_not_followed(text):
    """Control characters, cycles and depth end in a problem, never in another exception."""
    assert problems_of(text)


def test_a_file_of_more_than_a_megabyte_is_refused():
    """Size is bounded before parsing."""
    assert problems_of("a: " + "x" * (1 << 20)) == ["a.yaml:1:1: error: is larger than 1 MiB"]


def test_a_file_is_read_as_utf8_with_or_without_a_mark(tmp_path: Path):
    """Windows editors put a byte order mark before the first key."""
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffname: Köln\n".encode())

    assert yamldoc.load(path)[0].data == {"name": "Köln"}


def test_bytes_that_are_not_utf8_are_reported_with_their_line(tmp_path: Path):
    """A Latin-1 file is named as such, not read as something else."""
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: 1\nname: K\xf6ln\n")

    with pytest.raises(BadDocument, match=r"a\.yaml:2:1: error: is not UTF-8"):
        yamldoc.load(path)


def test_a_file_that_is_absent_is_a_problem_not_an_os_error(tmp_path: Path):
    """The engineer reads the name of the file and why it cannot be read."""
    with pytest.raises(BadDocument, match=r"absent\.yaml:1:1: error: cannot be read: No such file"):
        yamldoc.load(tmp_path / "absent.yaml")


def test_every_document_of_a_stream_is_returned():
    """Three dashes separate documents."""
    assert [each.data for each in yamldoc.parse("a: 1\n---\nb: 2\n", "a.yaml")] == [{"a": 1}, {"b": 2}]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text):
    """Nothing an editor can save raises anything but `BadDocument`."""
    try:
        yamldoc.parse(text, "a.yaml")
    except BadDocument as error:
        assert all(problem.line >= 1 and problem.column >= 1 for problem in error.problems)  # noqa: PT017


def _short(text: str) -> str:
    if len(text) > 4:
        raise ValueError("Is longer than 4")
    return text


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    profile: str
    count: int = 0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    devices: dict[Annotated[str, AfterValidator(_short)], Inner] = {}
    names: list[Inner] = []
    maybe: Inner | None = None


def mistakes(text: str) -> list[str]:
    """Return what validating *text* as an `Outer` reports."""
    (document,) = yamldoc.parse(text, "a.yaml")
    with pytest.raises(BadDocument) as caught:
        yamldoc.validate(document, Outer)
    return [str(problem) for problem in caught.value.problems]


def test_a_valid_document_becomes_the_model():
    """What passes is the model's instance."""
    (document,) = yamldoc.parse("devices: {CT1: {profile: ge}}", "a.yaml")

    assert yamldoc.validate(document, Outer).devices["CT1"].profile == "ge"


def test_all_mistakes_come_at_once_each_at_its_place():
    """An engineer mends a file in one go."""
    assert mistakes("devices:\n  CT1: {profil: ge}\nnames:\n  - {profile: a, count: x}\nnmes: []\n") == [
        "a.yaml:2:8: error: the key 'profile' is missing here",
        "a.yaml:2:9: error: unknown key 'profil': did you mean 'profile'?",
        "a.yaml:4:25: error: count: input should be a valid integer, unable to parse string as an integer",
        "a.yaml:5:1: error: unknown key 'nmes': did you mean 'names'?",
    ]


def test_a_suggestion_is_found_inside_an_optional_section():
    """The known names are those of the place, through unions and references."""
    assert mistakes("maybe: {profile: a, cuont: 1}") == [
        "a.yaml:1:21: error: unknown key 'cuont': did you mean 'count'?"
    ]


def test_a_bad_key_of_a_mapping_is_reported_at_the_key():
    """pydantic calls such a place "[key]"; the engineer sees the key itself."""
    assert mistakes("devices:\n  TOOLONG: {profile: a}\n") == ["a.yaml:2:3: error: TOOLONG: is longer than 4"]


def test_nothing_is_suggested_for_a_name_like_no_other():
    """A far-fetched suggestion is worse than none."""
    assert yamldoc.suggestion("zzz", ["profile", "vars"]) == ""
    assert yamldoc.suggestion("profle", ["profile", "vars"]) == ": did you mean 'profile'?"


class Pair(BaseModel):
    """Two numbers."""

    model_config = ConfigDict(extra="forbid")

    one: int
    several: list[int] = []


def sound(data):
    """Return what is sound of *data*."""
    with pytest.raises(ValidationError) as caught:
        Pair.model_validate(data)
    return yamldoc.sound(data, Pair, caught.value, needed={"one": 0}).model_dump()


def test_what_is_left_without_its_mistakes_can_be_looked_at():
    """A list goes as a whole, what is needed is stood in for, and the data stay as they are."""
    written = {"one": 1, "several": [1, "x"], "more": 2}

    assert sound(written) == {"one": 1, "several": []}
    assert sound({"one": "x", "several": [3]}) == {"one": 0, "several": [3]}
    assert written == {"one": 1, "several": [1, "x"], "more": 2}
