"""``mwl mapping explain``: why a step is, or is not, on a device's worklist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mwl.cli import asking, options
from mwl.cli.exits import FINDINGS
from mwl.cli.output import print_json
from mwl.errors import Refusal, Refused


@click.command()
@click.argument("ae", callback=options.ae_title)
@click.argument("keys", metavar="[KEY[=VALUE]]...", nargs=-1)
@click.option(
    "--query",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Explain the identifier in this file: DICOM JSON, or a DICOM file (dump2dcm).",
)
@click.option("--captured", type=int, metavar="N", help="Explain this query of `mwl queries list`.")
@click.option("--last", is_flag=True, help="Explain the query that the device asked last.")
@click.option("--patient", default="", metavar="ID", help="Why are steps of this Patient ID not there?")
@click.option("--accession", default="", metavar="NUMBER", help="Why is this accession number not there?")
@click.option("--step", type=int, metavar="KEY", help="Why is this step of `mwl steps list` not there?")
@options.json_option
@options.config_option
def explain(
    ae: str,
    keys: Sequence[str],
    file: Path | None,
    captured: int | None,
    patient: str,
    accession: str,
    step: int | None,
    *,
    last: bool,
    as_json: bool,
) -> None:
    """Say why the device AE is, or is not, sent a step: which key, which line, which value.

    The query explained is the one named; without any, the last that the device asked, or one for
    everything where none is on record.  KEY is as in `mwl find`.  It is answered once more, with the
    profiles as the files say now, on the steps of now; a broker may run beside it, and hears nothing of it.

    Up to 10,000 steps are counted, and where documents must be read, of 5,000; "or more" says so.

    Ends with 0 where a step that is named is sent, or the list is not empty; else with 1.

    \b
    Examples:
      mwl mapping explain CT1 --last --accession ACC1002
      mwl mapping explain CT1 SPS.Modality=CT SPS.ScheduledProcedureStepStartDate=20260705
      mwl mapping explain CT1 --captured 17 --patient PID001 --json
    """
    from mwl.workbench.bench import Bench
    from mwl.workbench.explain import explain as explained
    from mwl.workbench.whereabouts import Sought

    if sum((bool(keys), file is not None, captured is not None, last)) > 1:
        raise click.UsageError("name one query: by keys, --query, --captured or --last")
    bench, store = Bench.open(options.configuration()), options.opened_store()
    query = None if keys or file else asking.recorded(store, ae, captured)
    if last and query is None:
        raise Refused(Refusal.UNKNOWN, f"no query of {ae} is on record")
    question, sought = asking.question(bench, ae, query, keys, file), Sought(patient, accession, step)
    explanation = store.read_now(
        lambda tx: explained(tx, bench, ae, question, captured=query, sought=sought or None)
    )
    from mwl.cli.explain_text import conclusion

    if as_json:
        from mwl.cli.explain_plain import plain

        print_json(plain(explanation, conclusion(explanation, bench.zone)))
    else:
        from mwl.cli.explain_view import print_explanation

        print_explanation(explanation, bench.zone)
    if not explanation.sent:
        raise click.exceptions.Exit(FINDINGS)
