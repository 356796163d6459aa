"""The figures `/metrics` shows: labels are bounded (AE titles, systems), and never a patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

Snapshot: TypeAlias = list[list[Any]]
"""All figures of a process at a moment, fit for JSON: name, help, kind, and samples (name, labels, value)."""

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

messages_received = Counter("mwl_hl7_messages_total", "HL7 messages received", ["system", "outcome"])
message_seconds = Histogram("mwl_hl7_message_seconds", "From frame to acknowledgement", buckets=_SECONDS)
associations_open = Gauge("mwl_dicom_associations_open", "DICOM associations open now")
associations_total = Counter("mwl_dicom_associations_total", "DICOM associations by outcome", ["outcome"])
contexts_refused = Counter(
    "mwl_dicom_contexts_refused_total", "Presentation contexts refused, by reason", ["reason"]
)
limits_struck = Counter("mwl_dicom_limits_total", "Limits of the DICOM side that struck", ["limit"])
hl7_limits_struck = Counter("mwl_hl7_limits_total", "Limits of the HL7 side that struck", ["limit"])
web_limits_struck = Counter("mwl_web_limits_total", "Limits of the HTTP side that struck", ["limit"])
queries_total = Counter(
    "mwl_worklist_queries_total", "Worklist queries by device and final status", ["device", "status"]
)
query_seconds = Histogram("mwl_worklist_query_seconds", "From C-FIND-RQ to final response", buckets=_SECONDS)
query_items = Counter("mwl_worklist_items_total", "Worklist items sent", ["device"])
items_left_out = Counter("mwl_worklist_items_left_out_total", "Items that could not be sent", ["device"])
queries_lost = Counter("mwl_capture_lost_total", "Queries that were not put on record, by reason", ["reason"])
shadow_queries = Counter(
    "mwl_shadow_queries_total", "Queries answered by a draft in the shadow, by outcome", ["device", "outcome"]
)
performed_total = Counter(
    "mwl_performed_requests_total", "MPPS requests by operation and status", ["operation", "status"]
)
commit_seconds = Histogram("mwl_store_commit_seconds", "Time of one group commit", buckets=_SECONDS)
commit_size = Histogram(
    "mwl_store_commit_changes", "Changes that shared one commit", buckets=(1, 2, 4, 8, 16, 32, 64)
)
store_seconds = Histogram("mwl_store_read_seconds", "Time of one read of the database", buckets=_SECONDS)
store_waiting = Gauge("mwl_store_waiting", "Changes that wait for the database")
part_up = Gauge("mwl_part_up", "1 while a part of the broker does its work, as readiness has it", ["part"])
certificate_ends = Gauge(
    "mwl_certificate_end_timestamp_seconds", "When the certificate of a listener, or for a peer, ends", ["of"]
)
steps_today = Gauge("mwl_steps_today", "Scheduled steps of the site's day, by state", ["state"])
performed_unlinked = Gauge(
    "mwl_performed_unlinked", "Performed steps of a month without a scheduled step, which nobody has settled"
)
synthetic_ok = Gauge(
    "mwl_synthetic_ok", "1 for each stage that the last synthetic order passed, 0 where it ended", ["stage"]
)
synthetic_seconds = Histogram(
    "mwl_synthetic_seconds", "Time of a synthetic order's whole way", buckets=_SECONDS
)
synthetic_total = Counter("mwl_synthetic_orders_total", "Synthetic orders by outcome", ["outcome"])
preflight_steps = Counter(
    "mwl_preflight_steps_total", "Steps held against the profiles of their devices, by outcome", ["outcome"]
)
preflight_doubts = Counter("mwl_preflight_doubts_total", "Doubts that were new, by device", ["device"])
reload_failed = Gauge(
    "mwl_reload_failed", "1 while the files last read could not be taken over, and the set before stays"
)
profile_set = Gauge("mwl_profile_set_info", "The set of profiles in use, by its fingerprint", ["digest"])
outbox_waiting = Gauge("mwl_outbox_waiting", "Outbox rows not yet delivered", ["destination"])
outbox_oldest = Gauge(
    "mwl_outbox_oldest_seconds", "Age of the oldest outbox row not yet delivered", ["destination"]
)
outbox_parked = Gauge("mwl_outbox_parked", "Outbox rows a person has to decide about", ["destination"])
outbox_sent = Counter("mwl_outbox_sent_total", "Outbox deliveries by outcome", ["destination", "outcome"])

audit_waiting = Gauge("mwl_audit_waiting", "Audit messages that wait to be sent")
audit_oldest = Gauge("mwl_audit_oldest_seconds", "Age of the oldest audit message that waits to be sent")
audit_sent = Counter("mwl_audit_sent_total", "Audit messages that the collector has taken")
audit_failed = Counter("mwl_audit_failed_total", "Attempts to send audit messages that failed")
audit_dropped = Counter("mwl_audit_dropped_total", "Audit messages that are lost, by reason", ["reason"])

watch_found = Gauge("mwl_watch_found", "What the clock finds that somebody should look at", ["what"])
watch_done = Counter("mwl_watch_done_total", "What was done by the clock", ["what"])
device_heard = Gauge("mwl_device_heard_timestamp_seconds", "When a device was heard last", ["device"])
system_heard = Gauge("mwl_system_heard_timestamp_seconds", "When a system sent something last", ["system"])


def renew(gauge: Gauge, values: Mapping[str, float]) -> None:
    """Set a gauge with one label to these *values*: who is not among them is no figure any more."""
    gauge.clear()
    for label, value in values.items():
        gauge.labels(label).set(value)


def exposition() -> tuple[bytes, str]:
    """Return all figures in Prometheus' text format, and its media type."""
    return generate_latest(), CONTENT_TYPE_LATEST


def snapshot() -> Snapshot:
    """Return all figures as they are now."""
    return [
        [
            family.name,
            family.documentation,
            family.type,
            [[one.name, one.labels, one.value] for one in family.samples],
        ]
        for family in REGISTRY.collect()
    ]


class _Workers:
    """The figures of several processes as one collection, each sample labelled with whose it is."""

    def __init__(self, by_worker: Mapping[str, Snapshot]) -> None:
        self._by_worker = by_worker

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for worker, figures in self._by_worker.items():
            for name, documentation, kind, samples in figures:
                family = families.setdefault(name, Metric(name, documentation, kind))
                for sample, labels, value in samples:
                    family.add_sample(sample, {**labels, "worker": worker}, value)
        return families.values()


def exposition_of(by_worker: Mapping[str, Snapshot]) -> tuple[bytes, str]:
    """Do as `exposition`, for several processes by their names: a sum would make a restart look like work."""
    return generate_latest(_Workers(by_worker)), CONTENT_TYPE_LATEST
