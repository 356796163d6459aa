"""`mwl hl7 replay`: what was refused is applied after its profile was mended."""

from __future__ import annotations

import pytest

from mwl.errors import Unavailable

MENDED = "CTHEAD: CT, MRKNEE: MR"


def rows(result) -> list[list[str]]:
    """Return number, control ID, was and now of each line."""
    cells = [line.split() for line in result.out.splitlines()[1:]]
    return [[each[0], each[4], each[5], each[6]] for each in cells]


def listed(mwl) -> list[str]:
    return [step["step"]["00400009"]["Value"][0] for step in mwl("steps", "list", "--json").json]


@pytest.fixture
def refused(ris):
    """Three messages: one accepted, two refused for a code nobody knew."""
    ris.sends(ris.order(1, code="CTHEAD"), ris.order(2), ris.order(3))
    return ris


def test_refused_messages_are_applied_with_the_mended_profile(mwl, refused):
    """Chosen by filter: only what was refused, in the order in which it came."""
    refused.knows(MENDED)

    result = mwl("hl7", "replay", "--since", "1h")

    assert result.code == 0
    assert rows(result) == [["2", "C2", "AE", "AA"], ["3", "C3", "AE", "AA"]]
    assert result.err == "2 replayed: 2 AA\n"
    assert sorted(listed(mwl)) == ["SPS1", "SPS2", "SPS3"]


def test_messages_are_named_by_number_or_control_id(mwl, refused):
    """Just these."""
    refused.knows(MENDED)

    result = mwl("hl7", "replay", "C3", "2")

    assert rows(result) == [["2", "C2", "AE", "AA"], ["3", "C3", "AE", "AA"]]


def test_a_dry_run_tells_and_changes_nothing(mwl, refused):
    """What each would come to, stored orders included."""
    refused.knows(MENDED)

    result = mwl("hl7", "replay", "--outcome", "AE", "--dry-run")

    assert rows(result) == [["2", "C2", "AE", "AA"], ["3", "C3", "AE", "AA"]]
    assert result.err == "2 replayed: 2 AA; nothing was changed\n"
    assert listed(mwl) == ["SPS1"]
    assert len(mwl("hl7", "list", "--outcome", "AE", "--json").json) == 2


def test_what_is_refused_again_ends_with_1_and_the_rest_is_applied(mwl, refused):
    """The reason is in the table."""
    refused.sends(refused.order(4, code="USABD"))
    refused.knows("USABD: US")

    result = mwl("hl7", "replay", "--outcome", "refused")

    assert result.code == 1
    assert [row[3] for row in rows(result)] == ["AE", "AE", "AA"]
    assert "OBR-4: Modality stands in no row of its table [103]" in result.out
    assert "SPS4" in listed(mwl)


def test_stop_ends_at_the_first_that_is_refused_again(mwl, refused):
    """What comes after it waits."""
    refused.sends(refused.order(4, code="USABD"))
    refused.knows("USABD: US")

    result = mwl("hl7", "replay", "--outcome", "refused", "--stop")

    assert result.code == 1
    assert rows(result) == [["2", "C2", "AE", "AE"]]
    assert "SPS4" not in listed(mwl)


def test_what_had_its_effect_is_applied_again_only_on_demand(mwl, refused):
    """Named, it says so; with --again a mended line reaches the steps there are."""
    refused.knows("CTHEAD: MR")

    left, applied = mwl("hl7", "replay", "1"), mwl("hl7", "replay", "--accession", "ACC1", "--again")

    assert (left.code, rows(left)) == (0, [["1", "C1", "AA", "duplicate"]])
    assert "see --again" in left.out
    assert rows(applied) == [["1", "C1", "AA", "AA"]]
    (step,) = mwl("steps", "list", "--accession", "ACC1", "--json").json
    assert step["step"]["00080060"]["Value"] == ["MR"]


def test_the_list_tells_a_replayed_message(mwl, refused):
    """Its outcome is that of the replay, and marked as one."""
    refused.knows(MENDED)
    mwl("hl7", "replay", "2")

    result = mwl("hl7", "list", "--control-id", "C2")

    assert result.out.splitlines()[1].endswith("AA replayed")
    assert mwl("hl7", "list", "--outcome", "refused", "--json").json[0]["control_id"] == "C3"


def test_a_replay_as_json_holds_the_findings(mwl, refused):
    """For a script that mends and tries until nothing is refused."""
    (result,) = mwl("hl7", "replay", "2", "--json").json

    assert (result["message"], result["was"], result["now"]) == (2, "AE", "AE")
    assert result["findings"][0]["location"] == "OBR-4"


@pytest.mark.parametrize("words", [[], ["2", "--outcome", "AE"]])
def test_all_of_it_is_never_replayed_by_accident(mwl, refused, words):
    """Either messages are named or filters choose."""
    result = mwl("hl7", "replay", *words)

    assert (result.code, result.out) == (2, "")
    assert "name messages, or choose them by filters" in result.err


def test_unknown_messages_are_refused_before_anything_is_done(mwl, refused):
    """A slip of the pen does not replay half of it."""
    refused.knows(MENDED)

    result = mwl("hl7", "replay", "2", "99", "nobody")

    assert (result.code, result.out) == (1, "")
    assert "99, nobody" in result.err
    assert listed(mwl) == ["SPS1"]


def test_nothing_to_replay_is_said(mwl, refused):
    """And is no failure."""
    result = mwl("hl7", "replay", "--accession", "ACC99")

    assert (result.code, result.out, result.err) == (0, "", "0 replayed: none\n")


def test_a_wrong_profile_is_told_before_anything_is_done(mwl, refused):
    """Nothing is replayed with half a set."""
    refused.profile.write_text("profile: ours\nnonsense: 1\n")

    result = mwl("hl7", "replay", "2")

    assert (result.code, result.out) == (78, "")
    assert "ours.yaml:2" in result.err


def test_what_was_done_before_the_database_went_away_is_told(mwl, refused, monkeypatch):
    """It stays done; the exit code says why there is no more."""
    from mwl.hl7.intake import Intake

    refused.knows(MENDED)
    whole = Intake.replay

    async def once(self, key, raw, peer, **how):
        if key == 3:
            raise Unavailable("the database cannot answer now")
        return await whole(self, key, raw, peer, **how)

    monkeypatch.setattr(Intake, "replay", once)

    result = mwl("hl7", "replay", "--outcome", "AE")

    assert result.code == 69
    assert rows(result) == [["2", "C2", "AE", "AA"]]
    assert "the database cannot answer now" in result.err
