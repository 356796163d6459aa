"""System profiles: how an information system's messages are read, and what it is told.

Nothing about HL7's fields is known here or in any module below: where a value stands, what a code means
and what an order asks for is said by the profile's lines (``mappings/systems``).  A set of profiles is
loaded and checked whole; a bound profile is frozen, and reads and words without looking at a file again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeGuard

from mwl.errors import BadDocument, Problem
from mwl.mapping.facts import SiteFacts
from mwl.mapping.loader import Blame, Effective, Folder, digest, fill, read_folder, resolve, unrooted
from mwl.mapping.systems.hl7paths import Hl7Path
from mwl.mapping.systems.lookup import TableFiles
from mwl.mapping.systems.order_reader import OrderReader
from mwl.mapping.systems.patient_reader import PatientReader
from mwl.mapping.systems.schedule_reader import ScheduleReader
from mwl.mapping.systems.source import Source
from mwl.mapping.systems.status_template import OutgoingMessage, StatusFacts, StatusTemplate
from mwl.mapping.systems.system_compiler import Compiled, compile_system, mistakes
from mwl.mapping.systems.system_form import (
    AcceptForm,
    AcknowledgeForm,
    Handling,
    Kind,
    schema_text,
)
from mwl.mapping.trace import Trace
from mwl.model import Incoming, OrderMessage

__all__ = ["SystemProfile", "SystemProfiles", "examine_systems", "load_systems", "schema_text"]

FOLDER: Final = "systems"
_HEADER: Final = frozenset({"profile", "extends", "notes"})  # `status` is what a system is told: inherited

UNSUPPORTED_TYPE, UNSUPPORTED_EVENT = 200, 201  # HL7 table 0357 (D-19)


@dataclass(frozen=True, slots=True)
class SystemProfile:
    """One profile at work."""

    name: str
    digest: str  # of everything it says, tables included
    default_charset: str  # of messages without MSH-18; "": found out from the bytes
    aliases: Mapping[str, str]  # MSH-18 as sent to the character set meant
    messages: Mapping[str, Handling]
    reader: OrderReader
    templates: Mapping[str, StatusTemplate]
    accept: AcceptForm
    acknowledge: AcknowledgeForm
    patients: PatientReader | None  # None: such messages are not taken
    schedules: ScheduleReader | None

    def kind(self, message_type: str) -> Kind | None:
        """Return what is done with messages of a type ("ORM^O01"); None where they are refused (D-14)."""
        code, _, rest = message_type.partition("^")
        event = rest.partition("^")[0]
        wanted = (f"{code}^{event}" if event else code, f"{code}^*", "*")
        action = next((self.messages[each] for each in wanted if each in self.messages), None)
        return None if action == "refuse" else action

    def refusal_code(self, message_type: str) -> int:
        """Return why `kind` refuses: 200 for a type, 201 for an event of a type it knows."""
        code = message_type.partition("^")[0]
        known = {each.partition("^")[0] for each in self.messages}
        return UNSUPPORTED_EVENT if code in known else UNSUPPORTED_TYPE

    def read(
        self,
        kind: Kind,
        source: Source,
        system: str,
        site: SiteFacts,
        sent_at: dt.datetime | None,
        trace: Trace | None = None,
    ) -> Incoming | None:
        """Return what *source*, a message of *kind*, asks for; None where that is to be ignored.

        See `read_order`.
        """
        match kind:
            case "order":
                return self.read_order(source, system, site, sent_at, trace)
            case "schedule" if self.schedules:
                return self.schedules.read(source, system, site, sent_at, trace)
            case "patient" | "arrival" | "merge" if self.patients:
                return self.patients.read(kind, source, system, site, sent_at, trace)
        return None

    def read_order(
        self,
        source: Source,
        system: str,
        site: SiteFacts,
        sent_at: dt.datetime | None,
        trace: Trace | None = None,
    ) -> OrderMessage:
        """Return what the order message *source* of *system* asks for.

        *sent_at* is MSH-7, aware.  A *trace* hears of every attribute: section, origin in the profile,
        target, value, and where in the message it stood.  Raises `Unacceptable` with every mistake.
        """
        return self.reader.read(source, system, site, sent_at, trace)

    def places(self, tags: Collection[str]) -> tuple[tuple[Hl7Path, ...], tuple[Hl7Path, ...]]:
        """Return the paths its lines read these attributes from, and those that stand in where these fail."""
        levels = [self.reader.patient, self.reader.procedure, self.reader.step]
        if self.schedules:
            levels += [*self.schedules.order, self.schedules.procedure, self.schedules.step]
        leaves = [leaf for level in levels for leaf in level.leaves(tags)]
        read = (path for leaf in leaves for path in leaf.paths)
        otherwise = (path for leaf in leaves for path in leaf.stand_ins)
        return tuple(filter(_absolute, read)), tuple(filter(_absolute, otherwise))

    def status_message(self, kind: str, facts: StatusFacts) -> OutgoingMessage:
        """Return the message that tells *facts*; `KeyError` where *kind* ("ORM^O01") has no template."""
        return self.templates[kind].fill(facts)


def _absolute(path: object) -> TypeGuard[Hl7Path]:
    return isinstance(path, Hl7Path)


class SystemProfiles:
    """The system profiles of some folders, and what is wrong with them."""

    def __init__(self, folder: Folder, files: TableFiles) -> None:
        """Look at every profile; mistakes are in `problems`, names that cannot be bound in `wrong`."""
        self._written = folder.written
        self._files = files
        self._compiled: dict[str, Compiled] = {}
        self.wrong = set(folder.unread)
        problems = dict.fromkeys(folder.problems)  # a mistake is inherited, and told once
        for name, each in folder.written.items():
            found = self._mistakes(name) if folder.rooted(name) else mistakes(unrooted(each), files)
            if found or not folder.rooted(name):
                self.wrong.add(name)
            problems |= dict.fromkeys(found)
        for each in folder.misnamed:
            problems |= dict.fromkeys(mistakes(unrooted(each), files))
        self.problems = tuple(problems)

    @property
    def names(self) -> list[str]:
        """The profiles there are."""
        return sorted(self._written)

    @property
    def digest(self) -> str:
        """A fingerprint of all profiles."""
        return digest({name: self.digest_of(name) for name in self._written})

    def digest_of(self, name: str) -> str:
        """Return a fingerprint of all that a profile says, tables included; `KeyError` for an unknown one."""
        found = self._compiled.get(name)
        return found.digest if found else self._effective(name).digest

    def bind(self, name: str, blame: Blame | None = None) -> SystemProfile:
        """Return a profile ready to work.

        *blame* names the line that asks for it, for variables it lacks.  Raises `KeyError` where there is
        none of this name, `BadDocument` where it waits for a variable.
        """
        if name not in self._compiled:
            self._compiled[name] = compile_system(fill(self._effective(name), {}, blame), self._files)
        found = self._compiled[name]
        charset = found.form.accept.charset
        return SystemProfile(
            name, found.digest, charset.default, charset.aliases, found.form.accept.messages,
            found.reader, found.templates, found.form.accept, found.form.acknowledge,
            found.patients, found.schedules,
        )  # fmt: skip

    def effective(self, name: str) -> Effective:
        """Return a profile with all it extends and its variables' defaults; `KeyError` for an unknown one."""
        return fill(self._effective(name), None)

    def _effective(self, name: str) -> Effective:
        if name not in self._written:
            raise KeyError(name)
        return resolve(name, self._written, header=_HEADER)

    def _mistakes(self, name: str) -> Sequence[Problem]:
        try:
            profile = self.effective(name)
            if profile.unfilled:  # meant to be extended: not all of its lines can be worked out yet
                return mistakes(profile, self._files)
            self._compiled[name] = compile_system(profile, self._files)
        except BadDocument as error:
            return error.problems
        return ()


def load_systems(folders: Sequence[Path], drafts: Sequence[Path] = ()) -> SystemProfiles:
    """Load ``systems/*.yaml`` and the tables of *folders*, the nearest first.

    *drafts* are files beside the folders; a profile in one stands in for its namesake there.  Raises
    `BadDocument` with every mistake in any of them.
    """
    found = examine_systems(folders, drafts)
    if found.problems:
        raise BadDocument(found.problems)
    return found


def examine_systems(folders: Sequence[Path], drafts: Sequence[Path] = ()) -> SystemProfiles:
    """Do as `load_systems`, and return a set that is sound but for what is `wrong`."""
    return SystemProfiles(read_folder(folders, FOLDER, drafts=drafts), TableFiles(folders))
