"""Chinese characters in Latin letters, with the readings that surnames have.

pypinyin reads 曾 as *ceng* and 单 as *dan*; as surnames they are Zeng and Shan.  The tables here hold
surnames written with characters of several readings, and the double surnames, which pypinyin cannot
tell from a surname and a given name (F40).  They apply to the family component of a person name
alone: in 张^单 nothing is special.
"""

from __future__ import annotations

SINGLE = {
    "曾": "zeng", "仇": "qiu", "单": "shan", "單": "shan", "解": "xie", "任": "ren", "华": "hua",
    "華": "hua", "查": "zha", "区": "ou", "區": "ou", "朴": "piao", "盖": "ge", "蓋": "ge", "翟": "zhai",
    "乐": "yue", "樂": "yue", "缪": "miao", "繆": "miao", "召": "shao", "覃": "qin", "洗": "xian",
    "员": "yun", "員": "yun", "种": "chong", "祭": "zhai", "折": "she", "黑": "he", "繁": "po",
    "卜": "bu", "薄": "bo", "秘": "bi", "句": "gou", "佴": "nai", "乜": "nie", "贲": "ben", "賁": "ben",
    "都": "du", "阚": "kan", "闞": "kan", "炅": "gui", "葛": "ge", "尉": "wei", "宓": "mi", "应": "ying",
    "應": "ying", "那": "na", "纪": "ji", "紀": "ji", "盛": "sheng", "燕": "yan", "石": "shi", "车": "che",
    "車": "che", "长": "zhang", "長": "zhang",
}  # fmt: skip

DOUBLE = {
    "万俟": "moqi", "萬俟": "moqi", "尉迟": "yuchi", "尉遲": "yuchi", "欧阳": "ouyang", "歐陽": "ouyang",
    "司马": "sima", "司馬": "sima", "诸葛": "zhuge", "諸葛": "zhuge", "上官": "shangguan",
    "夏侯": "xiahou", "闻人": "wenren", "聞人": "wenren", "东方": "dongfang", "東方": "dongfang",
    "赫连": "helian", "赫連": "helian", "皇甫": "huangfu", "澹台": "tantai", "澹臺": "tantai",
    "公冶": "gongye", "宗政": "zongzheng", "濮阳": "puyang", "濮陽": "puyang", "淳于": "chunyu",
    "单于": "chanyu", "單于": "chanyu", "太叔": "taishu", "申屠": "shentu", "公孙": "gongsun",
    "公孫": "gongsun", "仲孙": "zhongsun", "仲孫": "zhongsun", "轩辕": "xuanyuan", "軒轅": "xuanyuan",
    "令狐": "linghu", "钟离": "zhongli", "鍾離": "zhongli", "宇文": "yuwen", "长孙": "zhangsun",
    "長孫": "zhangsun", "慕容": "murong", "鲜于": "xianyu", "鮮于": "xianyu", "司徒": "situ",
    "司空": "sikong", "端木": "duanmu", "南宫": "nangong", "南宮": "nangong", "呼延": "huyan",
    "独孤": "dugu", "獨孤": "dugu", "拓跋": "tuoba", "百里": "baili", "东郭": "dongguo",
    "東郭": "dongguo", "西门": "ximen", "西門": "ximen", "羊舌": "yangshe", "梁丘": "liangqiu",
    "左丘": "zuoqiu", "乐正": "yuezheng", "樂正": "yuezheng", "漆雕": "qidiao", "公西": "gongxi",
    "颛孙": "zhuansun", "顓孫": "zhuansun", "巫马": "wuma", "巫馬": "wuma", "亓官": "qiguan",
}  # fmt: skip


def syllables(han: str) -> list[str]:
    """Return the readings of *han*, lower-case, without tones; ü is ``yu`` (GB/T 28039-2011)."""
    from anyascii import anyascii
    from pypinyin import lazy_pinyin

    read = lazy_pinyin(han, errors=lambda unknown: anyascii(unknown).lower())
    return [syllable.replace("v", "yu") for syllable in read if syllable]


def surname(han: str) -> tuple[str, str]:
    """Return the reading of the surname that *han* begins with, and the characters behind it."""
    if han[:2] in DOUBLE:
        return DOUBLE[han[:2]], han[2:]
    return SINGLE.get(han[0]) or "".join(syllables(han[0])), han[1:]
