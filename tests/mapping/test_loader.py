"""Profile files: reading, stacking, variables, and messages with file, line and column."""

from __future__ import annotations

import textwrap

import pytest

from mwl.errors import BadDocument, Problem
from mwl.mapping.loader import (
    alone,
    fill,
    filled,
    lineage,
    load_folder,
    read_folder,
    resolve,
    unrooted,
)

ADDING = {"steps": None, "code": "tag"}


@pytest.fixture
def load(tmp_path):
    """Write files (folder/name → text) and load one kind of profiles from the folders named."""

    def loaded(files: dict[str, str], folders: tuple[str, ...] = ("site",), base: str = "generic"):
        for name, text in files.items():
            path = tmp_path / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), "utf-8")
        return load_folder([tmp_path / folder for folder in folders], "devices", base=base)

    return loaded


@pytest.fixture
def messages(load, tmp_path):
    """What is wrong with files, as lines without the folder's name."""

    def found(files: dict[str, str], folders: tuple[str, ...] = ("site",)) -> list[str]:
        with pytest.raises(BadDocument) as error:
            load(files, folders)
        return [str(problem).removeprefix(f"{tmp_path}/") for problem in error.value.problems]

    return found


def test_a_file_may_hold_several_profiles(load):
    """Each document of a file is a profile; a file of comments holds none."""
    text = "profile: generic\n---\nprofile: ct\n---\nprofile: mr\nextends: ct\n"

    written = load({"site/devices/all": text, "site/devices/none": "# nothing\n"})

    assert sorted(written) == ["ct", "generic", "mr"]
    assert written["ct"].parents == ("generic",)
    assert lineage("mr", written) == ("generic", "ct", "mr")


def test_the_nearest_folder_wins(load):
    """A site's profile takes the place of the shipped one of that name."""
    files = {
        "site/devices/generic": "profile: generic\nlimit: 1\n",
        "shipped/devices/generic": "profile: generic\nlimit: 2\n",
        "shipped/devices/ct": "profile: ct\n",
    }

    written = load(files, ("site", "shipped"))

    assert resolve("ct", written).data["limit"] == 1


def test_a_missing_folder_holds_nothing(load):
    """A site need not have profiles of its own."""
    assert load({}, ("site",)) == {}


def test_every_mistake_is_reported_at_its_place(messages):
    """All files are read; each mistake has a line, a column and, where there is one, a suggestion."""
    found = messages(
        {
            "site/devices/a": "profile: generic\nlimit: {a: 1, a: 2}\n",
            "site/devices/b": "extends: [generic]\n---\nprofile: 'a b'\n---\n- x\n",
            "site/devices/c": "profile: ct\nextends: [generc, ct]\n",
            "site/devices/d": "profile: generic\n---\nprofile: generic\n",
            "site/devices/e": "profile: x\nextends: {a: b}\n",
        }
    )

    assert found == [
        "site/devices/a.yaml:2:15: error: the key 'a' stands here twice",
        "site/devices/b.yaml:1:1: error: the key 'profile' is missing here",
        "site/devices/b.yaml:3:10: error: profile: a name of letters, digits, '.', '_' and '-', up to 64 long",
        "site/devices/b.yaml:5:1: error: a profile is a mapping of keys to values",
        (
            "site/devices/d.yaml:3:10: error: the profile 'generic' stands already at "
            f"{found[4].split(' at ')[1]}"
        ),
        "site/devices/e.yaml:2:10: error: extends: a profile's name, or a list of names",
        "site/devices/c.yaml:2:11: error: there is no profile 'generc': did you mean 'generic'?",
        "site/devices/c.yaml:2:19: error: 'ct' extends itself by way of 'ct'",
    ]


def test_a_circle_is_reported_where_it_closes(messages):
    """Each profile of the circle is told which of its parents leads back to it."""
    text = "profile: generic\n---\nprofile: a\nextends: b\n---\nprofile: b\nextends: [generic, a]\n"

    assert messages({"site/devices/x": text}) == [
        "site/devices/x.yaml:4:10: error: 'a' extends itself by way of 'b'",
        "site/devices/x.yaml:7:20: error: 'b' extends itself by way of 'a'",
    ]


def test_stacking_merges_mappings_and_replaces_the_rest(load):
    """Mappings merge to any depth, lists and scalars replace, null withdraws."""
    text = """
        profile: generic
        status: evidence
        wire: {ts: [A, B], max: {pdu: 1, items: 2}}
        truncate: {Name: 32, Text: 22}
        ---
        profile: ct
        wire: {ts: [C], max: {items: 3}}
        truncate: {Name: null}
        """

    effective = resolve("ct", load({"site/devices/x": text}))

    assert effective.data == {
        "profile": "ct",
        "wire": {"ts": ["C"], "max": {"pdu": 1, "items": 3}},
        "truncate": {"Text": 22},
    }
    assert effective.chain == ("generic", "ct")


def test_the_header_is_not_inherited(load):
    """Status and notes speak of one profile alone."""
    text = "profile: generic\nstatus: evidence\nnotes: [a]\nlimit: 1\n---\nprofile: ct\nstatus: partial\n"

    assert resolve("ct", load({"site/devices/x": text})).data == {
        "profile": "ct",
        "status": "partial",
        "limit": 1,
    }


def test_steps_add_up_and_those_of_one_identity_merge(load):
    """Entries of an adding key join the inherited ones; the same tag goes on with the inherited entry."""
    text = """
        profile: generic
        code: {tag: "*", drop: true}
        steps: [{a: 1}]
        ---
        profile: ct
        code: [{tag: P, max: 5}, {tag: "*", max: 9}]
        steps: [{a: 1}]
        ---
        profile: ct1
        extends: [ct]
        code: {tag: P, max: 8}
        """

    effective = resolve("ct1", load({"site/devices/x": text}), adding=ADDING)

    assert effective.data["code"] == [{"tag": "*", "drop": True, "max": 9}, {"tag": "P", "max": 8}]
    assert effective.data["steps"] == [{"a": 1}, {"a": 1}]


def test_null_withdraws_inherited_steps(load):
    """An adding key set to null forgets what was below it."""
    text = "profile: generic\nsteps: [{a: 1}]\n---\nprofile: ct\nsteps: null\n"

    assert "steps" not in resolve("ct", load({"site/devices/x": text}), adding=ADDING).data


def test_a_common_ancestor_counts_once(load):
    """Two overlays that rest on generic do not put its values over each other's."""
    text = """
        profile: generic
        limit: 1
        steps: [{a: 1}]
        ---
        profile: ct
        limit: 2
        ---
        profile: jp
        charset: X
        ---
        profile: both
        extends: [ct, jp]
        """

    effective = resolve("both", load({"site/devices/x": text}), adding=ADDING)

    assert effective.data["limit"] == 2
    assert effective.data["charset"] == "X"
    assert effective.data["steps"] == [{"a": 1}]
    assert effective.chain == ("generic", "ct", "jp", "both")


def test_every_value_knows_its_line(load, tmp_path):
    """After any number of merges, a key and a value still name the file and line that wrote them."""
    files = {
        "site/devices/a": "profile: generic\nwire:\n  ts: [A]\n  pdu: 1\ncode: {tag: '*'}\n",
        "site/devices/b": "profile: ct\nwire:\n\n  pdu: 2\ncode:\n - tag: P\n   max: 5\n",
    }

    effective = resolve("ct", load(files), adding=ADDING)

    assert effective.origin("wire", "ts", 0) == f"{tmp_path}/site/devices/a.yaml:3"
    assert effective.origin("wire", "pdu") == f"{tmp_path}/site/devices/b.yaml:4"
    assert effective.origin("code", 0, "tag") == f"{tmp_path}/site/devices/a.yaml:5"
    assert effective.origin("code", 1, "max") == f"{tmp_path}/site/devices/b.yaml:7"
    assert effective.origin("code", 1, "nowhere", "deeper") == f"{tmp_path}/site/devices/b.yaml:6"
    problem = effective.problem(("code", 1, "max"), "is wrong", at_key=True)
    assert str(problem) == f"{tmp_path}/site/devices/b.yaml:7:4: error: is wrong"


def test_alone_is_what_one_document_says(load):
    """Without what it extends, in the form that stacking gives."""
    text = "profile: generic\nlimit: 1\n---\nprofile: ct\ncode: {tag: P}\nlimit: null\n"

    effective = alone(load({"site/devices/x": text})["ct"], adding=ADDING)

    assert effective.data == {"profile": "ct", "code": [{"tag": "P"}]}
    assert effective.origin("code", 0, "tag").endswith("x.yaml:5")


def test_variables_take_their_place(load):
    """A variable alone keeps its kind, inside a text it becomes text; a device's value beats the default."""
    text = """
        profile: generic
        vars: {max: 200, room: null, rooms: [A, B], sex: O}
        limit: $var.max
        set: {Location: "Room $var.room ($var.max)", Sex: $var.sex}
        filter: {in: $var.rooms}
        """
    written = load({"site/devices/x": text})

    data = fill(resolve("generic", written), {"room": "1", "sex": "F"}).data

    assert data["limit"] == 200
    assert data["set"] == {"Location": "Room 1 (200)", "Sex": "F"}
    assert data["filter"] == {"in": ["A", "B"]}
    assert data["vars"]["room"] == "1"


def test_a_variable_must_be_declared_and_given(load):
    """Unknown, undeclared and missing variables are named where they are used."""
    text = "profile: generic\nvars: {room: null}\nset:\n  A: $var.room\n  B: $var.rom\n"
    effective = resolve("generic", load({"site/devices/x": text}))

    with pytest.raises(BadDocument) as error:
        fill(effective, {"rooom": "1"})

    lines = [str(problem).partition("x.yaml:")[2] for problem in error.value.problems]
    assert lines == [
        "2:7: error: this profile has no variable 'rooom': did you mean 'room'?",
        "4:6: error: the variable 'room' has no value: give it in 'vars'",
        "5:6: error: the variable 'rom' is not declared in 'vars': did you mean 'room'?",
    ]


def test_a_profile_nobody_asks_for_may_wait_for_its_variables(load):
    """Without a device, a value that needs one stays as it is written and is listed."""
    text = "profile: generic\nvars: {room: null}\nset: {A: $var.room}\n"

    effective = fill(resolve("generic", load({"site/devices/x": text})), None)

    assert effective.unfilled == {("set", "A")}
    assert effective.data["set"] == {"A": "$var.room"}


def test_the_digest_follows_the_data(load):
    """It changes with a value, and not with a line number."""
    first = resolve("generic", load({"site/devices/x": "profile: generic\nlimit: 1\n"}))
    moved = resolve("generic", load({"site/devices/x": "# a comment\nprofile: generic\n\nlimit: 1\n"}))
    other = resolve("generic", load({"site/devices/x": "profile: generic\nlimit: 2\n"}))

    assert first.digest == moved.digest
    assert first.digest != other.digest


def test_an_unknown_name_is_a_key_error(load):
    """Who asks for a profile by name learns that there is none."""
    with pytest.raises(KeyError):
        resolve("ct", load({"site/devices/x": "profile: generic\n"}))


@pytest.fixture
def read(tmp_path):
    """Write files (name → text) and read the folder, whatever is wrong with it."""

    def found(**files: str):
        (tmp_path / "devices").mkdir()
        for name, text in files.items():
            (tmp_path / "devices" / f"{name}.yaml").write_text(text, "utf-8")
        return read_folder([tmp_path], "devices")

    return found


def test_what_rests_on_a_file_that_cannot_be_read_is_no_mistake_of_its_own(read):
    """The mistake is told where it is; nothing can be stacked on it."""
    folder = read(
        generic="profile: generic\n",
        base="profile: base\n x: y\n",
        ct="profile: ct\nextends: base\n",
        er="profile: er\nextends: ct\n",
    )

    (problem,) = folder.problems
    assert problem.file.endswith("base.yaml")
    assert folder.unread == {"base"}
    assert {name: folder.rooted(name) for name in folder.written} == {
        "generic": True,
        "ct": False,
        "er": False,
    }


def test_profiles_that_rest_on_one_another_cannot_be_stacked(read):
    """Nor what rests on them; the others can."""
    folder = read(
        generic="profile: generic\n",
        a="profile: a\nextends: b\n",
        b="profile: b\nextends: a\n",
        c="profile: c\nextends: a\n",
        d="profile: d\nextends: d\n",
    )

    assert [name for name in sorted(folder.written) if folder.rooted(name)] == ["generic"]
    assert len(folder.problems) == 3


def test_what_cannot_be_stacked_is_filled_without_its_variables(read):
    """Those of what it rests on are not known: each value that waits for one is left out of the judgement."""
    folder = read(ct="profile: ct\nextends: base\nvars: {room: 1}\nset: {A: $var.room, B: $var.other}\n")

    found = unrooted(folder.written["ct"])

    assert found.data["set"] == {"A": 1, "B": "$var.other"}
    assert found.unfilled == {("set", "B")}


def test_who_gave_a_variable_is_blamed_for_what_comes_of_it(load):
    """Not the line that uses it; what the profile says itself stays its own."""
    text = "profile: generic\nvars: {most: 5, room: null}\nlimit: {max: $var.most, min: x}\nset: {A: $var.room}\n"
    effective = resolve("generic", load({"site/devices/x": text}))

    def blame(variable: str, message: str) -> Problem:
        return Problem("mwl.yaml", 1, 1, f"{variable}: {message}")

    filled_in, problems = filled(effective, {"most": "many", "mst": 1}, blame)

    assert [each.message for each in problems] == [
        "mst: the profile 'generic' has no variable 'mst': did you mean 'most'?",
        "room: the variable 'room' has no value: give it in 'vars'; the profile 'generic' needs it",
    ]
    blamed = filled_in.problem(("limit", "max"), "no number")
    assert blamed.file == "mwl.yaml"
    assert blamed.message.startswith("most: no number (this is $var.most of ")
    assert blamed.message.endswith("x.yaml:3)")
    assert filled_in.problem(("limit", "min"), "no number").file.endswith("x.yaml")
    assert fill(effective, {"room": 1}).problem(("set", "A"), "wrong").file.endswith("x.yaml")
