"""The figures `/metrics` shows: labels are bounded (AE titles, systems), and never a patient."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

messages_received = Counter("mwl_hl7_messages_total", "HL7 messages received", ["system", "outcome"])
message_seconds = Histogram("mwl_hl7_message_seconds", "From frame to acknowledgement", buckets=_SECONDS)
associations_open = Gauge("mwl_dicom_associations_open", "DICOM associations open now")
associations_total = Counter("mwl_dicom_associations_total", "DICOM associations by outcome", ["outcome"])
contexts_refused = Counter(
    "mwl_dicom_contexts_refused_total", "Presentation contexts refused, by reason", ["reason"]
)
limits_struck = Counter("mwl_dicom_limits_total", "Limits of the DICOM side that struck", ["limit"])
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
