"""Two brokers behind HAProxy: that one of them ends costs each client one connection, and nothing else."""

from __future__ import annotations

import time

import pytest

from endurance import proxy
from endurance.campaign import ANSWERED, ASKED
from foreign.dicom.presence import missing

GONE_ON = 100  # successes after the end of one


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_client_notices_one_broken_connection_at_most(postgres_stage, campaign, tmp_path, how):
    """The configuration is the one in the operator's guide; clients that were at the other notice nothing."""
    if not proxy.PROGRAM.exists():
        missing("haproxy", "Debian: haproxy")
    brokers = [postgres_stage.broker(), postgres_stage.broker()]
    for each in brokers:
        each.begin()
    for each in brokers:
        each.ready()
    moments = postgres_stage.moments

    with (
        proxy.in_front_of(brokers, tmp_path) as addresses,
        campaign(postgres_stage, addresses.__getitem__) as exams,
    ):
        moments.wait(ANSWERED, GONE_ON)
        moments.wait(ASKED, 1)
        begins = time.monotonic()
        getattr(brokers[0], how)()
        ended = time.monotonic()
        moments.wait(ANSWERED, GONE_ON)
    broken = [client.broken for clients in exams.clients for client in clients]
    brokers[1].stop()
    report = exams.report(1, brokers)

    assert report.wrong == []
    assert [] in broken
    assert max(sum(opened < begins for opened in each) for each in broken) == 1
    # A connection that is made while a process dies may be taken by it still.
    assert max(sum(opened > ended for opened in each) for each in broken) == 0
