"""The command line as a whole: help, versions, exit codes, places of options."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import click
import pytest

from mwl import __version__
from mwl.cli import COMMANDS, cli, exits, hl7
from mwl.errors import BadDocument, MwlError, Refusal, Refused, SchemaTooNew, Unavailable

HEAVY = (
    "pynetdicom",
    "pydicom",
    "sqlalchemy",
    "alembic",
    "starlette",
    "uvicorn",
    "pydantic",
    "yaml",
    "hl7apy",
    "rich",
)


def leaves(group: click.Group = cli, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Return every command that can be run, by its words."""
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        words = (*path, name)
        found |= leaves(command, words) if isinstance(command, click.Group) else {words: command}
    return found


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_command(mwl, option):
    """Both spellings show each command with its line."""
    result = mwl(option)

    assert result.code == 0
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in result.out
        assert line in result.out


def test_help_imports_none_of_the_heavy_libraries():
    """What makes `mwl --help` quick: database, network and models are imported by the commands alone."""
    script = f"import sys; from mwl.cli import run; run(['--help']); print([m for m in {HEAVY!r} if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_moving_a_step_imports_nothing_that_serves(tmp_path):
    """A person who cancels a step does not wait for the whole broker."""
    (tmp_path / "mwl.yaml").write_text("database: sqlite:///none.db\n", "utf-8")
    command = ["steps", "cancel", "1", "--reason", "x", "--config", "mwl.yaml"]
    serving = ("pynetdicom", "pydicom", "starlette", "uvicorn", "hl7apy", "mwl.broker.running")
    script = f"import sys; from mwl.cli import run; run({command!r}); print([m for m in {serving!r} if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path
    )

    assert "database" in done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_the_packages(mwl):
    """One place holds it."""
    assert mwl("--version").out == f"mwl {__version__}\n"


def test_the_program_can_be_run_as_a_module():
    """`python -m mwl` is `mwl`, exit code included."""
    done = subprocess.run(
        [sys.executable, "-m", "mwl", "nonsense"], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr


@pytest.mark.parametrize("words", leaves(), ids=" ".join)
def test_every_command_has_help_with_an_example(mwl, words):
    """An example is worth more than a list of options."""
    result = mwl(*words, "-h")

    assert result.code == 0
    assert f"Example: mwl {' '.join(words)}" in " ".join(result.out.split()) or "Examples:" in result.out


@pytest.mark.parametrize("table", [COMMANDS, hl7.COMMANDS])
def test_every_line_of_the_list_leads_to_a_module(table):
    """A command that is listed can be run."""
    for place, _ in table.values():
        assert importlib.util.find_spec(place.partition(":")[0])


@pytest.mark.parametrize(
    "words",
    [words for words in leaves() if words[-1] in ("list", "find", "current", "show", "check")],
    ids=" ".join,
)
def test_every_list_takes_json(words):
    """What a person reads as a table a program reads as JSON."""
    assert "--json" in [option for parameter in leaves()[words].params for option in parameter.opts]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadDocument([]), 78),
        (SchemaTooNew("x"), 78),
        (Unavailable("x"), 69),
        (type("CannotBegin", (Unavailable,), {})("x"), 69),
        (Refused(Refusal.UNKNOWN, "x"), 1),
        (MwlError("x"), 1),
        (type("Busy", (MwlError,), {"temporary": True})("x"), 75),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error, code):
    """The one table, and what stands for kinds it does not name."""
    assert exits.exit_code(error) == code


def test_wrong_usage_ends_with_2(mwl):
    """An unknown option is the caller's mistake."""
    result = mwl("steps", "list", "--nonsense")

    assert (result.code, result.out) == (2, "")
    assert "No such option" in result.err


def test_every_mistake_of_a_configuration_is_shown(mwl, tmp_path):
    """One line a mistake on stderr, nothing on stdout, exit 78."""
    (tmp_path / "mwl.yaml").write_text("databse: x\nweb: {listen: y}\n")

    result = mwl("db", "current")

    assert (result.code, result.out) == (78, "")
    assert result.err.splitlines() == [
        "mwl.yaml:1:1: error: unknown key 'databse': did you mean 'database'?",
        "mwl.yaml:2:15: error: listen: write host:port, for example 127.0.0.1:11112 or [::1]:11112",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("--config", "other.yaml", "db", "current"),
        ("db", "-c", "other.yaml", "current"),
        ("db", "current", "--config", "other.yaml"),
        ("hl7", "--config", "other.yaml", "list"),
        ("mapping", "--config", "other.yaml", "history"),
    ],
    ids=" ".join,
)
def test_the_configuration_may_be_named_at_any_level(mwl, tmp_path, words):
    """`mwl --config x serve` and `mwl serve --config x` are the same."""
    (tmp_path / "other.yaml").write_text("nonsense: 1\n")

    assert "other.yaml:1:1" in mwl(*words).err


def test_a_wrong_log_level_is_a_wrong_configuration(mwl, monkeypatch):
    """It is named like any variable."""
    monkeypatch.setenv("MWL_LOG_LEVEL", "LOUD")

    result = mwl("db", "current")

    assert result.code == 78
    assert "$MWL_LOG_LEVEL" in result.err


def test_details_of_an_error_are_shown_without_control_characters(mwl, capsys):
    """The person at the terminal may read what a peer may not; the terminal obeys none of it."""
    exits.report(Unavailable("no answer", cause="a\x1b[2Jb"))

    assert capsys.readouterr().err == "mwl: no answer (cause: a\\x1b[2Jb)\n"


def test_a_closed_pipe_is_no_traceback(database, tmp_path):
    """`mwl steps list | head -0` ends quietly."""
    program = f"{sys.executable} -m mwl db current | true"

    done = subprocess.run(
        program,
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env=dict(os.environ),
    )

    assert done.stderr == ""
