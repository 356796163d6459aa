"""Text of the program's own, in which nobody should stand: logs, profiles, settings.

Whoever is on record is looked for in it all the same, and replaced by the pseudonym that messages have, too.
Everything else stays: a log of pseudonyms would tell nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from mwl.config.model import Settings
from mwl.config.shipped import shipped
from mwl.store import Store, Transaction, identities
from mwl.workbench.pseudonyms import UID, WORD, Pseudonyms

_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_DAY = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_EPOCH = re.compile(r" (1\.\d+e\+09)$", re.MULTILINE)  # no other figure is as large
_SHORTEST, _SHORTEST_NUMBER = 3, 4  # "of" and "12" are everybody's

Page = Callable[[Transaction, int], tuple[list[str], int | None]]


class Scrubber:
    """Replaces in a text who is on record; made for the texts that it is to be used on."""

    def __init__(
        self,
        store: Store,
        names: Pseudonyms,
        texts: Iterable[str],
        heard: Iterable[str],
        kept: Iterable[str] = (),
    ) -> None:
        """*heard* are identities from elsewhere than the tables: of messages that were refused.

        Words that are *kept* are what the site calls its systems and devices.
        """
        self._names = names
        searched = [_plain(text) for text in texts]
        present = {word.lower() for text in searched for word in WORD.findall(text)}
        uids = {uid for text in searched for uid in UID.findall(text)}
        known = {word for text in heard for word in _words(text)} & present
        self._uids: set[str] = set()
        for page in (identities.of_patients, identities.of_orders, identities.of_exams):
            for text in _pages(store, page):
                known.update(present.intersection(_words(text)))
                self._uids.update(uids.intersection(UID.findall(text)))
        self._known = known - _vocabulary() - {word.lower() for text in kept for word in WORD.findall(text)}

    def text(self, text: str) -> str:
        """Return *text* with who is on record replaced, and its days moved."""
        text = UID.sub(lambda found: self._uid(found[0]), _plain(text))
        text = WORD.sub(lambda found: self._word(found[0]), text)
        return _DAY.sub(lambda found: self._names.dates(found[0]), text)

    def log(self, text: str) -> str:
        """Return lines of a log; what is below INFO, where patients may be named, is left out."""
        return "".join(f"{line}\n" for line in map(self._line, text.splitlines()) if line is not None)

    def figures(self, text: str) -> str:
        """Return metrics; instants among them are moved like dates."""
        return _EPOCH.sub(self._instant, self.text(text))

    def _word(self, word: str) -> str:
        return self._names.word(word) if word.lower() in self._known else word

    def _uid(self, uid: str) -> str:
        return self._names.uid(uid) if uid in self._uids else uid

    def _line(self, line: str) -> str | None:
        try:
            fields = json.loads(line)
        except ValueError:
            return None if " debug " in line.lower() else self.text(line)
        if isinstance(fields, dict) and fields.get("level") == "debug":
            return None
        return json.dumps(self._value(fields), ensure_ascii=False)

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._value(each) for each in value]
            case dict():
                return {name: self._value(each) for name, each in value.items()}
        return value

    def _instant(self, found: re.Match[str]) -> str:
        return f" {float(found[1]) - self._names.shift.total_seconds():.9e}"


def _plain(text: str) -> str:
    """Return *text* with what JSON has escaped as it is read."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _words(text: str) -> Iterator[str]:
    for word in WORD.findall(UID.sub(" ", _plain(text))):  # a UID is one word
        shortest = _SHORTEST_NUMBER if word.isdecimal() else _SHORTEST if word.isascii() else 1
        if len(word) >= shortest:
            yield word.lower()


def _pages(store: Store, page: Page) -> Iterator[str]:
    behind: int | None = 0
    while behind is not None:
        texts, behind = store.read_now(partial(_page, page=page, behind=behind))
        yield from texts


def _page(tx: Transaction, *, page: Page, behind: int) -> tuple[list[str], int | None]:
    return page(tx, behind)


def _vocabulary() -> set[str]:
    """Return the words of the languages of settings and profiles, and of the documents of patients."""
    folder = shipped("mappings")
    schemas = [
        Settings.model_json_schema(),
        *(json.loads((folder / f"{side}.schema.json").read_text("utf-8")) for side in ("device", "system")),
    ]
    found = {"alphabetic", "ideographic", "phonetic", "value"}
    while schemas:
        match schemas.pop():
            case dict() as inner:
                found |= {word.lower() for key in inner for word in WORD.findall(key)}
                schemas += inner.values()
            case list() as inner:
                schemas += inner
    return found
