"""Bringing the site's files back to what they were in an earlier set of profiles.

What an earlier set said may be wrong today: the configuration names other profiles, the shipped ones
have changed.  So it is bound aside first, and nothing is written where that fails.  All files are
written beside their places before the first is put in place: a full disk changes nothing, and whoever
reads meanwhile sees the old file or the new one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mwl.broker.profiles import Checked, check
from mwl.config import Configuration
from mwl.errors import Problem, Refusal, Refused
from mwl.store.profile_sets import SiteFile

_NAME = re.compile(r"((devices|systems)/|tables/([^/\0.][^/\0]*/)*)[^/\0]+\.(yaml|csv)")
_TEMPORARY = ".mwl-new"  # an ending that no reader looks for
_USUAL_MODE = 0o644


def changes(before: Mapping[str, SiteFile], after: Mapping[str, SiteFile]) -> list[str]:
    """Return the names of the files in which two sets differ."""
    names = sorted({*before, *after})
    return [name for name in names if _fingerprint(before, name) != _fingerprint(after, name)]


def unified(before: Mapping[str, SiteFile], after: Mapping[str, SiteFile]) -> Iterator[str]:
    """Yield the lines of a unified diff between two sets; a file whose text was not kept is named."""
    for name in changes(before, after):
        old, new = before.get(name), after.get(name)
        if (old and old.text is None) or (new and new.text is None):
            yield f"{name}: differs (too large to be kept, or not UTF-8)"
            continue
        was, is_now = _lines(old), _lines(new)
        heads = (f"a/{name}" if old else "/dev/null", f"b/{name}" if new else "/dev/null")
        yield from difflib.unified_diff(was, is_now, *heads, lineterm="")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback would do to the files of a folder."""

    folder: Path
    written: Mapping[str, str]  # files that get another text
    removed: tuple[str, ...]
    left: tuple[str, ...]  # differ, and stay: their text was not kept

    def __bool__(self) -> bool:
        return bool(self.written or self.removed)


def plan(folder: Path, present: Mapping[str, SiteFile], wanted: Mapping[str, SiteFile]) -> Plan:
    """Return what makes *wanted* of the *present* files."""
    different = [name for name in changes(present, wanted) if _NAME.fullmatch(name)]
    written = {name: kept.text for name in different if (kept := wanted.get(name)) and kept.text is not None}
    removed = [name for name in different if name not in wanted]
    left = [name for name in different if name not in written and name not in removed]
    return Plan(folder, written, tuple(removed), tuple(left))


def judged(configuration: Configuration, planned: Plan) -> Checked:
    """Bind the profiles as they would be; problems name the files by their places in the folder."""
    with tempfile.TemporaryDirectory(prefix="mwl-") as aside:
        there = Path(aside)
        for name in (*_kept(planned), *planned.written):
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            text = planned.written.get(name)
            raw = (planned.folder / name).read_bytes() if text is None else text.encode()
            (there / name).write_bytes(raw)
        checked = check(configuration.model_copy(update={"mappings": there}))
    named = tuple(_named(problem, aside, planned.folder) for problem in checked.problems)
    return dataclasses.replace(checked, problems=named)


def carry_out(planned: Plan) -> None:
    """Write and remove the files; raise `Refused`, with everything as it was, where one cannot be written."""
    new: dict[Path, Path] = {}
    try:
        for name, text in planned.written.items():
            path = planned.folder / name
            new[path] = _beside(path, text)
    except OSError as error:
        for temporary in new.values():
            temporary.unlink(missing_ok=True)
        raise Refused(
            Refusal.FINAL, f"the files cannot be written, nothing was changed: {error.strerror}"
        ) from None
    for path, temporary in new.items():
        temporary.replace(path)
    for name in planned.removed:
        (planned.folder / name).unlink(missing_ok=True)
    for folder in {path.parent for path in new}:
        _flush(folder)


def _kept(planned: Plan) -> Sequence[str]:
    """Return the names of present files that stay as they are."""
    from mwl.broker.history import site_paths

    gone = {*planned.removed, *planned.written}
    return [name for name in site_paths(planned.folder) if name not in gone]


def _beside(path: Path, text: str) -> Path:
    """Write *text* to a file beside *path*, safe against a power cut; return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else _USUAL_MODE
    handle, name = tempfile.mkstemp(_TEMPORARY, f".{path.name}.", path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _flush(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems know no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _lines(file: SiteFile | None) -> list[str]:
    return (file.text or "").splitlines() if file else []


def _fingerprint(files: Mapping[str, SiteFile], name: str) -> str | None:
    return files[name].sha256 if name in files else None


def _named(problem: Problem, aside: str, folder: Path) -> Problem:
    if not problem.file.startswith(aside):
        return problem
    return dataclasses.replace(problem, file=str(folder) + problem.file.removeprefix(aside))
