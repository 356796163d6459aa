"""``mwl mapping check``: every mistake in the profiles, at its line, before a broker sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mwl.cli import options
from mwl.cli.exits import BAD_CONFIGURATION, FINDINGS
from mwl.cli.output import print_json, printable
from mwl.errors import BadDocument, Problem, Severity

if TYPE_CHECKING:
    from mwl.broker.profiles import Checked
    from mwl.config import Configuration
    from mwl.mapping.loader import Folder

_SIDES = ("devices", "systems")


@click.command()
@click.argument("names", metavar="[PROFILE]...", nargs=-1)
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@options.json_option
@options.config_option
def check(names: Sequence[str], *, strict: bool, as_json: bool) -> None:
    """Check all profiles of both sides as one set; of each PROFILE named, tell only what concerns it.

    PROFILE is a name, or a file: a draft beside the folder is checked as if it stood there.  Every
    mistake is told at its line, those under `devices` and `systems` of the configuration included.
    Where none stops them, the examples are run that device profiles carry.

    Ends with 1 where anything is wrong, with 78 where the configuration itself is.

    \b
    Examples:
      mwl mapping check
      mwl mapping check our-ct
      mwl mapping check drafts/our-ct.yaml --strict
    """
    from mwl import broker, config
    from mwl.broker.profiles import ordered

    examined = config.examine(options.config_path())
    meant = _meant(names, examined.sound)
    checked = broker.check(examined.sound, devices=meant.drafts("devices"), systems=meant.drafts("systems"))
    mistakes = () if names else examined.mistakes
    found = ordered([*mistakes, *_hollow(names), *checked.problems, *_failed_examples(checked, meant)])
    problems = [each for each in found if meant.concerns(each)]
    _show(problems, as_json=as_json)
    if mistakes:
        raise click.exceptions.Exit(BAD_CONFIGURATION)
    if any(strict or each.severity is Severity.ERROR for each in problems):
        raise click.exceptions.Exit(FINDINGS)


@dataclass(frozen=True, slots=True)
class _Meant:
    """What was named, of all that there is."""

    files: Mapping[str, str]  # those of profiles to their sides
    named: frozenset[str] | None  # of these files; None: all
    profiles: tuple[str, ...]  # of devices
    beside: Mapping[str, str]  # drafts to their sides

    def drafts(self, side: str) -> list[Path]:
        return [Path(file) for file, of in self.beside.items() if of == side]

    def concerns(self, problem: Problem) -> bool:
        """Tell whether a problem is to be told; what stands in no profile may be due to any."""
        return self.named is None or problem.file in self.named or problem.file not in self.files


def _meant(names: Sequence[str], configuration: Configuration) -> _Meant:
    from mwl.config import profile_folders
    from mwl.mapping.loader import lineage, read_folder

    folders = profile_folders(configuration.mappings)
    beside = {str(Path(text)): _side(Path(text)) for text in names if _is_draft(text, folders)}
    known = {
        side: read_folder(folders, side, drafts=[Path(file) for file in beside if beside[file] == side])
        for side in _SIDES
    }
    files = {
        **{each.file: side for side in _SIDES for each in known[side].problems},
        **{each.file: side for side in _SIDES for each in known[side].written.values()},
        **beside,
    }
    named = {file for file in files if any(_is_of(file, text) for text in names)}
    profiles: list[str] = []
    for side, name in (pair for text in names for pair in _profiles(text, files, known)):
        chain = lineage(name, known[side].written) if known[side].rooted(name) else (name,)
        named |= {known[side].written[each].file for each in chain}
        profiles += [name] if side == "devices" else []
    return _Meant(files, frozenset(named) if names else None, tuple(dict.fromkeys(profiles)), beside)


def _is_draft(text: str, folders: Sequence[Path]) -> bool:
    """Tell whether *text* names a file that stands in none of the folders."""
    path = Path(text)
    kept = (folder.resolve() / side for folder in folders for side in _SIDES)
    return path.is_file() and path.resolve().parent not in kept


def _is_of(file: str, text: str) -> bool:
    """Tell whether *text* is a file, or what it is called: one that cannot be read has no other name."""
    return Path(file).stem == text or Path(file).resolve() == Path(text).resolve()


def _profiles(text: str, files: Mapping[str, str], known: Mapping[str, Folder]) -> list[tuple[str, str]]:
    """Return side and name of the profiles meant: those of a file, or of a name on either side."""
    every = [(side, each) for side in _SIDES for each in known[side].written.values()]
    if Path(text).is_file():
        at = Path(text).resolve()
        return [(side, each.name) for side, each in every if Path(each.file).resolve() == at]
    found = [(side, each.name) for side, each in every if text in (each.name, f"{side}/{each.name}")]
    if not found and not any(_is_of(file, text) for file in files):
        from mwl.yamldoc import suggestion

        hint = suggestion(text, [each.name for _, each in every])
        raise click.BadParameter(f"there is no profile and no file {text!r}{hint}", param_hint="PROFILE")
    return found


def _side(path: Path) -> str:
    """Return which side a draft is of: whose keys it holds more of."""
    from mwl import yamldoc
    from mwl.mapping.devices.profile import Profile
    from mwl.mapping.systems.system_form import SystemForm

    try:
        written = [each.data for each in yamldoc.load(path) if isinstance(each.data, dict)]
    except BadDocument:
        return path.resolve().parent.name if path.resolve().parent.name in _SIDES else "devices"
    keys = {key for data in written for key in data}
    models: dict[str, Any] = {"devices": Profile, "systems": SystemForm}
    known = {
        side: {field.alias or name for name, field in model.model_fields.items()}
        for side, model in models.items()
    }
    return max(_SIDES, key=lambda side: len(keys & known[side]))


def _hollow(names: Sequence[str]) -> Iterator[Problem]:
    """Yield a mistake for each file named that holds nothing; in a folder one of comments may stand."""
    from mwl import yamldoc

    for name in dict.fromkeys(names):
        try:
            empty = Path(name).is_file() and all(each.data is None for each in yamldoc.load(Path(name)))
        except BadDocument:  # told with the others
            continue
        if empty:
            yield Problem(str(Path(name)), 1, 1, "no profile in it")


def _failed_examples(checked: Checked, meant: _Meant) -> Iterator[Problem]:
    from mwl.workbench.examples import run

    known = checked.device_set
    wanted = known.names if meant.named is None else meant.profiles
    if sound := [name for name in wanted if name not in known.wrong]:
        for result in run(known, sound):
            yield from result.mistakes


def _show(problems: Sequence[Problem], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "file": each.file,
                    "line": each.line,
                    "column": each.column,
                    "severity": each.severity,
                    "code": each.code,
                    "message": each.message,
                }
                for each in problems
            ]
        )
    else:
        for each in problems:
            click.echo(printable(each))
    counted = Counter(each.severity for each in problems)
    click.echo(
        f"errors: {counted[Severity.ERROR]}, warnings: {counted[Severity.WARNING]}",
        err=True,
    )
