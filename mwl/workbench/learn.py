"""A device profile drafted from what a device asks.

Theory of operation
-------------------
A draft is written for a person who goes on with it: each line says on what it rests.  It may be put
into use as it is, because it changes little.  What works is `extends` (the profile whose `match` names
the device, the one in use, or `generic`) and what the queries need: tolerances, and the transfer
syntaxes in the device's own order.  Where the profile below has them already the line repeats it, and
where it has them not the comment says what is new.  All other findings are notes, which no answer
depends on; what might help, and would change answers, stands in comments.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mwl.errors import BadDocument
from mwl.mapping.devices.device import DeviceProfile, DeviceProfiles, load_devices
from mwl.mapping.facts import Facts, SiteFacts
from mwl.mapping.loader import BASE
from mwl.workbench import observed, tolerances
from mwl.workbench.samples import Sample, asked

_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_LISTED = 60  # keys in one note: the worklist's own table has some seventy
_AS_PROPOSED = ["as_proposed_first"]
_REFUSED = "A900"


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted profile."""

    name: str
    extends: str
    text: str  # of its file


def free_name(ae: str, taken: Sequence[str]) -> str:
    """Return a name for the profile of *ae* that no other profile has."""
    plain = _NO_NAME.sub("-", ae.lower()).strip("-._") or "device"
    names = (plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def draft(
    ae: str, samples: Sequence[Sample], profiles: DeviceProfiles, site: SiteFacts, in_use: str = ""
) -> Draft:
    """Return a profile for the device *ae*, of which *samples* are known, one at least.

    *in_use* is the profile that the device has in the configuration, "" where it has none of its own.
    """
    return _Drafting(ae, samples, profiles, site, in_use).draft()


def load(text: str, name: str, folders: Sequence[Path], site: SiteFacts) -> DeviceProfile:
    """Return the drafted profile as the broker would load it; raise `BadDocument` where it would not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.yaml")
        path.write_text(text, "utf-8")
        return load_devices(folders, [path]).bind(name, {}, site)


class _Drafting:
    """One draft under construction."""

    def __init__(
        self, ae: str, samples: Sequence[Sample], profiles: DeviceProfiles, site: SiteFacts, in_use: str
    ) -> None:
        self._ae, self._samples, self._profiles, self._site = ae, samples, profiles, site
        self._name = free_name(ae, profiles.names)
        self._base, self._why = self._extended(in_use)
        self._below: dict[str, Any] = profiles.get(self._base).data

    def draft(self) -> Draft:
        lines = [
            *self._head(),
            *self._accept(),
            *self._wire(),
            "",
            "notes:",
            *self._notes(),
            *self._suggestions(),
        ]
        return Draft(self._name, self._base, "\n".join(lines) + "\n")

    # What it rests on.

    def _extended(self, in_use: str) -> tuple[str, str]:
        """Return the profile to extend, and why."""
        fitting: Counter[str] = Counter()
        for sample in self._samples:
            facts = Facts(
                self._ae,
                implementation_uid=sample.implementation_uid,
                implementation_version=sample.implementation_version,
            )
            fitting.update(self._profiles.matching(facts, sample.keys)[:1])
        for name, seen in fitting.most_common():
            if self._needs_nothing(name):
                return name, f"its `match` names such a device: {self._seen(seen)}"
        if in_use and in_use in self._profiles.names and self._needs_nothing(in_use):
            return in_use, "the profile that this device has"
        return BASE, "no profile's `match` names such a device"

    def _needs_nothing(self, name: str) -> bool:
        """Tell whether a profile works without variables that somebody must give."""
        try:
            self._profiles.bind(name, {}, self._site)
        except BadDocument:
            return False
        return True

    def _head(self) -> Iterator[str]:
        yield f"# Drafted from {self._origin()}."
        yield (
            "# Each line says on what it rests; none is proven.  `mwl mapping replay` shows what it changes."
        )
        yield f"profile: {_quoted(self._name)}"
        yield "status: hypothesis # drafted, and confirmed by nobody"
        yield f"extends: [{_quoted(self._base)}] # {self._why}"
        if self._base == BASE and (near := self._nearest()):
            yield f"# {near}"
        yield from self._match()

    def _origin(self) -> str:
        number = len(self._samples)
        times, first, last = asked(self._samples)
        if first is None or last is None:
            return "a query in a file" if number == 1 else f"{number} queries in files"
        queries = "1 query" if number == 1 else f"{number} queries"
        when = f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
        often = "once" if times == 1 else f"{times} times"
        return f"{queries} of {_plain(self._ae)}, asked {often} {when}"

    def _nearest(self) -> str:
        """Return the profiles whose implementation class UIDs are nearest to the device's, as a remark."""
        own = self._usual("implementation_uid")[0]
        found = [(_common(own, uid), name, uid) for name, uid in self._known_uids()]
        most = max((common for common, _, _ in found), default=0)
        if most < _VENDOR:
            return ""
        nearest = ", ".join(f"{name} ({uid})" for common, name, uid in found if common == most)
        return f"nearest by implementation class UID: {nearest}; this device's is {_plain(own)}"

    def _known_uids(self) -> Iterator[tuple[str, str]]:
        for name in self._profiles.names:
            match = self._profiles.written[name].data.get("match")
            alternatives = match.get("any", []) if isinstance(match, dict) else []
            for each in (match, *alternatives):
                uids = each.get("impl_uid", []) if isinstance(each, dict) else []
                for uid in [uids] if isinstance(uids, str) else uids:
                    yield name, str(uid)

    def _match(self) -> Iterator[str]:
        own, seen = self._usual("implementation_uid")
        lines = {"calling_ae": self._ae, "impl_uid": own}
        # What has wildcards in it, or is nothing, would recognise others.
        stated = {key: text for key, text in lines.items() if text and not set(text) & set("*?")}
        if stated:
            inner = ", ".join(f"{key}: {_quoted(text)}" for key, text in stated.items())
            yield f"match: {{{inner}}}" + (
                f" # the UID: {self._seen(seen)}" if own in stated.values() else ""
            )

    def _usual(self, field: str) -> tuple[str, int]:
        found = Counter(str(getattr(sample, field)) for sample in self._samples)
        return found.most_common(1)[0]

    # What its queries need.

    def _accept(self) -> Iterator[str]:
        below = self._below.get("accept", {})
        lines = list(self._tolerances(below))
        refused = sum(sample.status == _REFUSED for sample in self._samples)
        if refused:
            told = (
                f"{refused} of {len(self._samples)} queries were answered {_REFUSED}: a key of the wrong form"
            )
            lines.append(f"  # lenient: true # changes answers: such a key would match nothing.  {told}")
        if lines:
            yield ""
            yield "accept:" if any(not line.lstrip().startswith("#") for line in lines) else "# accept:"
            yield from lines

    def _tolerances(self, below: Any) -> Iterator[str]:
        opened = ""
        for need in tolerances.needs(self._samples):
            *outer, key = need.place
            found = below
            for each in need.place:
                found = found.get(each) if isinstance(found, dict) else None
            same = f"as {self._base} does" if found == need.value else f"new: {self._base} does not"
            if outer and outer[0] != opened:
                opened = outer[0]
                yield f"  {opened}:"
            indent = "    " if outer else "  "
            yield f"{indent}{key}: {need.value} # {need.why}: {self._seen(need.seen)}; {same}"

    def _wire(self) -> Iterator[str]:
        found = observed.transfer_syntaxes(self._samples)
        if not found:
            return
        names, seen = found[0]
        line = f"wire: {{ts: [{', '.join(names)}]}}"
        known = sum(number for _, number in found)
        below = self._below.get("wire", {}).get("ts", _AS_PROPOSED)
        told = f"proposed so: {self._seen(seen, known)}"
        if not names:
            yield "# It proposes no transfer syntax that a profile can name."
        elif below not in (_AS_PROPOSED, list(names)):
            yield f"# {line} # {told}; {self._base} prefers {', '.join(below)}"
        elif len(found) > 1:
            yield f"# {line} # {told}; in another order otherwise"
        else:
            yield f"{line} # {told}; what is proposed first is taken in any case"

    # What else is known.

    def _notes(self) -> Iterator[str]:
        uses = observed.keys(self._samples)
        for use in uses:
            if use.form:
                yield self._note(f"matches {use.path}: {use.form}", self._seen(use.seen))
        number = len(self._samples)
        for seen in sorted({use.seen for use in uses if not use.form}, reverse=True):
            named = [use.path for use in uses if not use.form and use.seen == seen]
            more = f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
            where = "seen in every query" if seen == number else self._seen(seen)
            yield self._note(f"asks for, without a value: {', '.join(named[:_LISTED])}{more}", where)
        for label, seen in observed.charsets(self._samples):
            said = f"declares the character set {label}" if label else "declares no character set"
            yield self._note(said, self._seen(seen))
        if poll := observed.poll(self._samples):
            yield self._note(
                f"asks the same every {_interval(poll.seconds)} or so",
                f"one query came {poll.count} times in {_interval(poll.span.total_seconds())}",
            )
        version, seen = self._usual("implementation_version")
        if version:
            yield self._note(f"calls itself {version}", self._seen(seen))

    def _note(self, text: str, rests_on: str) -> str:
        return f"  - {json.dumps(_plain(text), ensure_ascii=False)} # {rests_on}"

    def _suggestions(self) -> Iterator[str]:
        number, with_station = len(self._samples), observed.asks_for_station(self._samples)
        yield ""
        yield "# To try where its list is empty or too long; each changes what it gets:"
        if with_station:
            yield (
                "# ignore_keys: [SPS.ScheduledStationAETitle]"
                f" # its orders may carry another AE title; asked for in {with_station} of {number} queries"
            )
        if with_station < number:
            yield (
                "# default_key: {SPS.ScheduledStationAETitle: $calling_ae}"
                f" # no station: {self._seen(number - with_station)}"
            )
        yield from self._labels()

    def _labels(self) -> Iterator[str]:
        found = Counter((observed.label(each.keys), each.looks) for each in self._samples if each.looks)
        for (label, looks), seen in found.most_common():
            form = f"when_bytes_look: {looks}" + (f", as_label: {_quoted(label)}" if label else "")
            told = f"its text cannot be in the character set it declares: {self._seen(seen)}"
            yield f"# accept: {{charset_label: {{{form}}}}} # {told}"

    def _seen(self, seen: int, of: int | None = None) -> str:
        number = of or len(self._samples)
        return f"seen in {seen} of {number} {'query' if number == 1 else 'queries'}"


_VENDOR = 5
"""Parts that two implementation class UIDs share at least where one vendor made both:
1.2.840.113619.6 is GE's, 1.2.276.0.7230010 OFFIS'."""


def _common(one: str, other: str) -> int:
    parts = zip(one.split("."), other.rstrip("*.").split("."), strict=False)
    return next(
        (index for index, (a, b) in enumerate(parts) if a != b), min(one.count("."), other.count(".")) + 1
    )


def _quoted(text: str) -> str:
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(_plain(text), ensure_ascii=False)


def _plain(text: str) -> str:
    """Return *text* on one line: a peer wrote it, and it stands in a comment."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _interval(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
