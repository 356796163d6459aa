"""An explanation as JSON: what `explain_view` prints for people, whole and with names.

The structure is documented in the field engineer's guide; keys are added, never renamed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mwl.mapping import paths
from mwl.workbench import provenance
from mwl.workbench.explain import Failure
from mwl.workbench.hints import hints
from mwl.workbench.keys import asked_values

if TYPE_CHECKING:
    from mwl.mapping.trace import Note
    from mwl.store.callers import Caller
    from mwl.store.funnel import Count
    from mwl.store.journal import Entry
    from mwl.store.queries import CapturedQuery
    from mwl.workbench.explain import Doubt, Explanation, Told
    from mwl.workbench.funnel import FoundValue, Funnel, Loosened
    from mwl.workbench.keys import Key
    from mwl.workbench.responses import Response
    from mwl.workbench.verdict import Fate
    from mwl.workbench.whereabouts import Whereabouts

Plain = dict[str, Any]


def plain(explanation: Explanation, conclusion: Iterable[str]) -> Plain:
    """Return *explanation*, whose *conclusion* is in sentences, as JSON holds it."""
    result, peer = explanation.result, explanation.peer
    return {
        "sent": explanation.sent,
        "conclusion": list(conclusion),
        "hints": [{"kind": each.kind, "text": each.text} for each in hints(explanation)],
        "now": explanation.facts.now.isoformat(timespec="seconds"),
        "device": _device(explanation),
        "caller": {
            "ae": peer.ae,
            "last_query": _captured(peer.last) if peer.last else None,
            "refused": [_caller(each) for each in peer.refusals],
            "alike": [_caller(each) for each in peer.alike],
        },
        "captured": explanation.captured.key if explanation.captured else None,
        "failure": _failure(result) if isinstance(result, Failure) else None,
        **(_told(explanation.told) if explanation.told else {}),
        "sought": _whereabouts(explanation.whereabouts) if explanation.whereabouts else None,
        "steps": [fate(each) for each in explanation.fates],
    }


# ── who asks ──


def _device(explanation: Explanation) -> Plain | None:
    device = explanation.device
    if device is None:
        return None
    return {
        "entry": device.label,
        "origin": device.written,
        "profile": device.profile.name,
        "recognised": device.recognised or None,
        "status": device.profile.status,
        "digest": device.profile.digest,
        "files": [{"profile": name, "file": file} for name, file in device.files],
        "notes": device.profile.notes,
    }


def _captured(query: CapturedQuery) -> Plain:
    names = (
        "key", "last_at", "count", "address", "called_ae", "implementation_uid", "implementation_version",
        "status", "matched", "sent", "left_out_count", "profile", "profile_digest", "microseconds",
    )  # fmt: skip
    contexts = [each.abstract_syntax for each in query.association.contexts]
    return {**{name: getattr(query, name) for name in names}, "contexts": contexts}


def _caller(caller: Caller) -> Plain:
    names = ("calling_ae", "called_ae", "address", "reason", "first_seen", "last_seen", "count")
    return {name: getattr(caller, name) for name in names}


def _failure(failure: Failure) -> Plain:
    code = None if failure.status is None else f"{failure.status:04X}"
    return {"status": code, "text": failure.text, "attribute": failure.attribute}


# ── what matches ──


def _told(told: Told) -> Plain:
    asked = told.asked
    return {
        "query": {
            "sent": asked_values(asked.keys),
            "matched": asked_values(asked.matched),
            "returned": [name for name, _, _ in provenance.values(asked.requested)],
            "unsupported": [paths.show(path) for path in asked.understood.unsupported],
            "tolerated": [note(each) for each in told.tolerated],
            "rewritten": [note(each) for each in told.rewritten],
        },
        "funnel": _funnel(told.funnel),
        "result": {
            "matched": len(told.matched),
            "overflow": told.overflow,
            "limit": asked.profile.limit.max,
            "pending": f"{asked.pending:04X}",
            "sent": len(told.sent),
            "left_out": [left_out(each) for each in told.responses if each.composed is None],
            "arranged": [note(each) for each in told.arranged],
            "doubts": [_doubt(each) for each in told.doubts],
        },
        "responses": [_response(each) for each in told.sent],
    }


def _doubt(doubt: Doubt) -> Plain:
    report, entry = doubt.report, doubt.entry
    return {
        "entry": None if entry is None else entry + 1,
        "path": report.path,
        "text": report.message,
        "operation": report.operation,
        "origin": report.origin,
        "serious": report.serious,
    }


def _funnel(funnel: Funnel) -> Plain:
    return {
        "on_record": _count(funnel.on_record),
        "keys": [{**_key(each.key), "left": _count(each.count)} for each in funnel.left],
        "matching": _count(funnel.matching),
        "held": _count(funnel.held),
        "loosened": [_loosened(each) for each in funnel.loosened],
        "modalities_today": _found(funnel.modalities_today),
        "newest": [
            {"step": each.step, "start": each.start, "accession": each.accession, "days_off": each.days}
            for each in funnel.newest
        ],
        "newest_match_but_for_the_day": funnel.newest_fit,
    }


def _loosened(each: Loosened) -> Plain:
    return {
        "keys": [key.name for key in each.keys],
        "wider_by_days": each.wider or None,
        "matching": _count(each.count),
        "found": {key.name: _found(values) for key, values in zip(each.keys, each.found, strict=False)},
    }


def _found(values: Iterable[FoundValue]) -> list[Plain]:
    return [{"value": each.value, "steps": each.steps} for each in values]


def _count(count: Count) -> Plain:
    return {"number": count.number, "at_least": count.at_least}


def _key(key: Key) -> Plain:
    return {"name": key.name, "wanted": key.wanted, "origin": key.origin, "operation": key.operation}


def note(change: Note) -> Plain:
    """Return a note of the trace."""
    return {
        "stage": change.stage,
        "operation": change.operation,
        "origin": change.origin,
        "path": change.path,
        "before": change.before,
        "after": change.after,
        "text": change.text,
    }


# ── what is sent ──


def left_out(each: Response) -> Plain:
    """Return an entry that is not sent, and why."""
    return {
        "steps": each.steps,
        "reason": each.reason,
        "path": each.path,
        "origin": each.origin,
        "on_purpose": each.intended,
    }


def _response(each: Response) -> Plain:
    composed = each.composed
    if composed is None:
        return left_out(each)
    why, origin = provenance.charset(each.notes)
    return {
        "steps": each.steps,
        "charset": {"terms": composed.charset.terms, "why": why, "origin": origin},
        "values": [
            {
                "path": value.name,
                "element": value.element,
                "source": value.source,
                "stored": value.stored,
                "changes": [note(change) for change in value.changes],
            }
            for value in provenance.returned(each.item, composed.document, each.notes)
        ],
        "dropped": [
            {"path": lost.name, "stored": lost.stored, "by": note(lost.change)}
            for lost in provenance.dropped(each.notes)
        ],
    }


# ── the steps named ──


def _whereabouts(found: Whereabouts) -> Plain:
    sought = found.sought
    return {
        "patient": sought.patient,
        "accession": sought.accession,
        "step": sought.step,
        "more": found.more,
        "messages": [_message(each) for each in found.messages],
        "patients": [
            {
                "patient_id": each.patient_id,
                "issuer": each.issuer,
                "merged_into": each.merged_into.patient_id if each.merged_into else None,
            }
            for each in found.patients
        ],
    }


def _message(entry: Entry) -> Plain:
    names = ("key", "last_at", "system", "kind", "control_id", "outcome", "error")
    return {name: getattr(entry, name) for name in names}


def fate(each: Fate) -> Plain:
    """Return a step that was named, and what became of it."""
    item, response = each.item, each.response
    return {
        "step": item.ref.key,
        "verdict": each.verdict,
        "patient": item.patient,
        "procedure": item.procedure,
        "scheduled_step": item.step,
        "system": item.system,
        "held": item.held,
        "misses": [{**_key(miss.key), "found": miss.found} for miss in each.misses],
        "left_out": left_out(response) if response and response.composed is None else None,
        "history": [asdict(entry) for entry in each.history],
        "links": asdict(each.links),
    }
