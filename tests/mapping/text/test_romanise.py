"""Names and text for devices that lack their characters: equal forms first, then Latin letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwl.mapping.text.charset import DEFAULT, CharacterSet, Unfit, parse_terms
from mwl.mapping.text.romanise import GROUPS, Policy, fit_name, fit_text, read_name, transliterate
from mwl.model import name_value, person_name
from mwl.names.kana import hepburn

LATIN_1 = parse_terms("ISO_IR 100")
LATIN_2 = parse_terms("ISO_IR 101")
KANJI = parse_terms("\\ISO 2022 IR 87")
HANGUL = parse_terms("\\ISO 2022 IR 149")
SETS = (DEFAULT, LATIN_1, LATIN_2, KANJI, HANGUL, parse_terms("\\ISO 2022 IR 58"), parse_terms("ISO_IR 13"))

SCRIPTS = st.text(
    st.one_of(
        st.sampled_from("aZ9 -^=\\?é\u0308ŁЖΩגกﾔｱﾞーぁんッ漢山髙々張张한글＾＝＼½⁶µμ≠\x1b\x00\u3000\n😀"),
        st.characters(),
    ),
    max_size=12,
)
NAMES = st.dictionaries(st.sampled_from(GROUPS), SCRIPTS.map(lambda text: text.replace("=", "")))


def fitted(name: str, charset: CharacterSet = LATIN_1) -> str:
    return person_name(fit_name(name_value(name), charset)[0])


def test_f40_a_chinese_name_reaches_a_latin_console_in_pinyin() -> None:
    """王^小明 for a device with ISO_IR 100 is WANG^XIAOMING, and the note quotes no name."""
    name, notes = fit_name({"Alphabetic": "王^小明"}, LATIN_1)

    assert name == {"Alphabetic": "WANG^XIAOMING"}
    assert LATIN_1.encode(person_name(name)) == b"WANG^XIAOMING"
    assert notes == ["alphabetic group made of Chinese readings"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("曾^单", "ZENG^DAN"),
        ("单^曾", "SHAN^CENG"),
        ("仇^解", "QIU^JIE"),
        ("解^华", "XIE^HUA"),
        ("任^区", "REN^QU"),
        ("区^查", "OU^CHA"),
        ("查^朴", "ZHA^PU"),
        ("朴^仇", "PIAO^CHOU"),
        ("尉迟^恭", "YUCHI^GONG"),
        ("万俟^卨", "MOQI^XIE"),
        ("欧阳^修", "OUYANG^XIU"),
        ("歐陽^修", "OUYANG^XIU"),
        ("司马^相如", "SIMA^XIANGRU"),
        ("诸葛^亮", "ZHUGE^LIANG"),
        ("吕^女", "LYU^NYU"),
        ("王小明", "WANG XIAOMING"),
        ("王 小明", "WANG XIAOMING"),
        ("欧阳修", "OUYANG XIU"),
        ("张^伟^^Dr", "ZHANG^WEI^^Dr"),
        ("=王^小明", "WANG^XIAOMING"),
    ],
)
def test_surnames_have_their_own_readings(name: str, expected: str) -> None:
    """The family component is read as a surname, the given name is not."""
    assert fitted(name) == expected


def test_a_name_that_fits_is_left_untouched() -> None:
    """F41: nothing happens to MÜLLER^Jürgen under ISO_IR 100, nor to any name under UTF-8."""
    name = {"Alphabetic": "MÜLLER^Jürgen"}

    assert fit_name(name, LATIN_1) == (name, [])
    assert fit_name({"Ideographic": "王^小明"}, parse_terms("UTF-8")) == ({"Ideographic": "王^小明"}, [])


def test_a55_groups_that_do_not_fit_are_dropped() -> None:
    """The alphabetic group stands for the others where they cannot be written."""
    name, notes = fit_name(name_value("Yamada^Tarou=山田^太郎=やまだ^たろう"), LATIN_1)

    assert name == {"Alphabetic": "Yamada^Tarou"}
    assert notes == [
        "ideographic group dropped, not in ISO_IR 100",
        "phonetic group dropped, not in ISO_IR 100",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("山田^太郎==やまだ^たろう", "YAMADA^TAROU"),
        ("=山田^太郎=ヤマダ^タロウ", "YAMADA^TAROU"),
        ("=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ", "YAMADA^TAROU"),
        ("洪^吉洞==홍^길동", "HONG^GILDONG"),
        ("王^小明=WANG^Xiaoming", "WANG^Xiaoming"),
    ],
)
def test_another_group_gives_the_reading(name: str, expected: str) -> None:
    """Ideographs are not read at all when a group says how the name sounds."""
    assert fitted(name) == expected


@pytest.mark.parametrize("name", ["沢田^一", "佐々木^希", "山田^太郎", "林^健太郎", "山田太郎", "=山田^太郎"])
def test_japanese_names_are_never_read_as_chinese(name: str) -> None:
    """Without a reading the name is dropped: nobody is called by another person's name."""
    result, notes = fit_name(name_value(name), LATIN_1)

    assert result == {}
    assert notes[-1] == "no alphabetic group: ideographs without a known reading"


@pytest.mark.parametrize("charset", [KANJI, HANGUL], ids=str)
def test_devices_of_japan_and_korea_get_no_pinyin(charset: CharacterSet) -> None:
    """A reader of kanji or hanja takes 镕 for neither; its Chinese reading would tell him nothing."""
    assert fit_name({"Alphabetic": "镕"}, charset)[0] == {}


@pytest.mark.parametrize(
    ("name", "expected"), [("陈方^安生", "CHENFANG^ANSHENG"), ("司马^相如", "SIMA^XIANGRU")]
)
def test_a_simplified_character_settles_that_a_name_is_chinese(name: str, expected: str) -> None:
    """The shape of a name counts only while its characters leave the question open."""
    assert fitted(name) == expected


def test_a_profile_may_say_that_names_are_chinese() -> None:
    """P22: what cannot be decided from the name is read when an engineer decides it."""
    assert read_name("陳林^美麗") == "CHENLIN^MEILI"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Łódź^Ewa", "Lodz^Ewa"),
        ("Müller^Łukasz", "Müller^Lukasz"),
        ("Иванов^Иван", "Ivanov^Ivan"),
        ("ЩУКИН^Щ", "SHCHUKIN^SHCH"),
        ("Παπαδόπουλος^Γ", "Papadopoylos^G"),
        ("홍^길동", "HONG^GILDONG"),
        ("やまだ^しょうた", "YAMADA^SHOUTA"),
        ("Smith＾John＝x＼y", "Smith John x y"),
    ],
)
def test_f_x15_other_scripts_are_transliterated(name: str, expected: str) -> None:
    """Letters lose what Latin-1 lacks; a script without case comes out in capitals."""
    assert fitted(name) == expected


def test_f_x16_a_variant_kanji_gives_way_to_the_common_one() -> None:
    """髙橋 for a device with JIS X 0208 is 高橋."""
    name, notes = fit_name({"Ideographic": "髙橋^﨑"}, KANJI)

    assert name == {"Ideographic": "高橋^崎"}
    assert notes == ["ideographic group: equal characters used, for \\ISO 2022 IR 87"]


def test_f44_half_width_kana_become_full_width() -> None:
    """ﾔﾏﾀﾞ for a device with JIS X 0208 is ヤマダ."""
    assert fitted("ﾔﾏﾀﾞ^ﾀﾛｳ", KANJI) == "ヤマダ^タロウ"


def test_f_x23_a_decomposed_accent_is_composed() -> None:
    """M, U, combining diaeresis fits Latin-1 as MÜ."""
    assert fitted("MU\u0308LLER") == "MÜLLER"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(Policy.DROP_GROUP, {"Phonetic": "Wang"}), ("question", {"Alphabetic": "?^??", "Phonetic": "Wang"})],
)
def test_the_profile_chooses_what_happens_to_a_name(policy: str, expected: dict[str, str]) -> None:
    """P31: dropping and question marks are done where asked for."""
    name, notes = fit_name({"Alphabetic": "王^小明", "Phonetic": "Wang"}, LATIN_1, policy)

    assert name == expected
    assert len(notes) == 1


def test_the_profile_may_refuse_what_does_not_fit() -> None:
    """P31: under skip_item the caller learns it by Unfit, but equal characters still serve."""
    with pytest.raises(Unfit):
        fit_name({"Alphabetic": "王"}, LATIN_1, "skip_item")
    with pytest.raises(Unfit):
        fit_text("王", LATIN_1, "skip_item")

    assert fit_text("MU\u0308LLER", LATIN_1, "skip_item")[0] == "MÜLLER"


def test_an_unknown_policy_is_an_error_even_for_text_that_fits() -> None:
    """A misspelt policy does not wait for the first foreign name."""
    with pytest.raises(ValueError, match="unknown"):
        fit_text("plain", LATIN_1, "unknown")
    with pytest.raises(ValueError, match="unknown"):
        fit_name({"Alphabetic": "plain"}, LATIN_1, "unknown")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("transliterate", "XiongBu CT, naive"), ("drop_group", ""), ("question", "??CT, na?ve")],
)
def test_the_profile_chooses_what_happens_to_text(policy: str, expected: str) -> None:
    """P31 for attributes without groups."""
    text, notes = fit_text("胸部CT, naïve", LATIN_2, policy)

    assert text == expected
    assert len(notes) == 1


def test_japanese_text_loses_its_kanji_and_says_so() -> None:
    """With kana beside them ideographs are Japanese, and have no reading."""
    text, notes = fit_text("胸部CT テスト", LATIN_1)

    assert text == "CT tesuto"
    assert "ideographs" in notes[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 µg", "5 ug"),
        ("5 μg", "5 ug"),
        ("2½ mg", "2 1/2 mg"),
        ("10⁶/l", "10 6/l"),
        ("①2", "1 2"),
        ("1·5", "1.5"),
        ("≥3 ≤4 ≠5", ">=3 <=4 <>5"),
        ("０１２", "012"),
        ("β-Blocker, TNFα", "beta-Blocker, TNFalpha"),
        ("μικρό", "mikro"),
    ],
)
def test_numbers_and_units_keep_their_meaning(text: str, expected: str) -> None:
    """A microgram stays one, a fraction does not join the number before it."""
    assert transliterate(text) == expected


@pytest.mark.parametrize(
    ("kana", "expected"),
    [
        ("たろう", "tarou"),
        ("きょうこ", "kyouko"),
        ("ジャック", "jakku"),
        ("マッチ", "matchi"),
        ("ティナ", "tina"),
        ("ウィリアム", "wiriamu"),
        ("ﾊｯﾄﾘ", "hattori"),
        ("じゅんいち", "junichi"),
        ("っ", ""),
        ("ゃ", "ya"),
    ],
)
def test_kana_that_share_a_syllable_are_read_together(kana: str, expected: str) -> None:
    """Hepburn joins small kana to their neighbours."""
    assert hepburn(kana) == expected


@given(
    text=SCRIPTS,
    charset=st.sampled_from(SETS),
    policy=st.sampled_from(["transliterate", "drop_group", "question"]),
)
def test_fitted_text_fits(text: str, charset: CharacterSet, policy: str) -> None:
    """What comes back can be written, with a note exactly when it is not what went in."""
    result, notes = fit_text(text, charset, policy)

    assert charset.fits(result)
    assert result.count("\\") == text.count("\\") or policy == "drop_group"
    assert bool(notes) is not charset.fits(text)


@given(
    name=NAMES,
    charset=st.sampled_from(SETS),
    policy=st.sampled_from(["transliterate", "drop_group", "question"]),
)
def test_fitted_names_fit(name: dict[str, str], charset: CharacterSet, policy: str) -> None:
    """A fitted name can be written and read back group by group; it never gains a component."""
    result, notes = fit_name(name, charset, policy)
    text = person_name(result)

    assert charset.fits(text, name=True)
    assert name_value(text) == {group: part for group, part in result.items() if part}
    assert text.count("^") <= person_name(name).count("^")
    assert bool(notes) is not charset.fits(person_name(name), name=True)


def test_f40_no_question_mark_is_ever_transliterated_into_being() -> None:
    """A name of any script is sent without "?"."""
    for name in ("王^小明", "Łódź", "😀^é", "ᚠ^𐍈", "\ue000^x"):
        assert "?" not in fitted(name, DEFAULT)
