"""``mwl steps arrive|ready|complete|discontinue|cancel|reopen``: a person moves scheduled steps.

By the same table as orders and devices; the system that ordered is told, and the history says who and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mwl.cli import options
from mwl.cli.by_hand import by_option, person, reason_option, reporting
from mwl.lifecycle import StepEvent

if TYPE_CHECKING:
    from mwl.store import Transaction
    from mwl.store.by_hand import Moved


def _command(name: str, event: StepEvent, example: str, text: str) -> click.Command:
    @click.command(name, help=text, epilog=f"Example: mwl steps {name} {example}")
    @click.argument("steps", metavar="STEP...", nargs=-1, required=True, type=int)
    @reason_option
    @by_option
    @options.config_option
    def command(steps: tuple[int, ...], reason: str, by: str | None) -> None:
        _move(steps, event, reason, by)

    return command


def _move(steps: tuple[int, ...], event: StepEvent, reason: str, by: str | None) -> None:
    from mwl.store import by_hand

    told, who = options.configuration().told, person(by)
    report = reporting(who)

    def work(tx: Transaction) -> list[Moved]:
        moved = by_hand.move(tx, steps, event, by=who, reason=reason, told=told)
        report(tx, [each.step_key for each in moved], "")
        return moved

    moved = options.opened_store().write_now(work)
    for each in moved:
        click.echo(f"step {each.step_key} is {each.after}")


_ALL_OR_NONE = "All of the STEPs (numbers in the list) change, or none where one cannot."

arrive = _command(
    "arrive", StepEvent.ARRIVE, '17 --reason "signed in at the desk"',
    f"Say that the patient has come.\n\nA SCHEDULED step becomes ARRIVED.  {_ALL_OR_NONE}",
)  # fmt: skip
ready = _command(
    "ready", StepEvent.MAKE_READY, '17 --reason "prepared, in the waiting room"',
    f"Say that the exam can begin.\n\nA step that waits becomes READY.  {_ALL_OR_NONE}",
)  # fmt: skip
complete = _command(
    "complete", StepEvent.COMPLETE, '17 --reason "done, the device reports nothing"',
    f"Say that the exam was done.\n\nThe steps leave the worklist as COMPLETED.  {_ALL_OR_NONE}",
)  # fmt: skip
discontinue = _command(
    "discontinue", StepEvent.DISCONTINUE, '17 --reason "patient refused"',
    f"Say that the exam was broken off.\n\nThe steps leave the worklist as DISCONTINUED.  {_ALL_OR_NONE}",
)  # fmt: skip
cancel = _command(
    "cancel", StepEvent.CANCEL, '17 18 --reason "ordered twice" --by anna',
    "Say that there will be no exam.\n\nThe steps leave the worklist as CANCELED; one whose exam has begun "
    f"cannot.  {_ALL_OR_NONE}",
)  # fmt: skip
reopen = _command(
    "reopen", StepEvent.REOPEN, '17 --reason "images are useless, to be repeated"',
    "Put steps back on the worklist.\n\n"
    "They become SCHEDULED, also from COMPLETED; what is on hold is released.  "
    f"While a performed step of theirs is IN PROGRESS they cannot.  {_ALL_OR_NONE}",
)  # fmt: skip
