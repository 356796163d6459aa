"""A broker that is killed or stopped under load keeps every promise it made.

Hundreds of kills are run by hand: ``python tests/endurance/kill.py --kills 300 --database postgresql``.
"""

from __future__ import annotations

import random

from endurance.campaign import ANSWERED, DOUBTED, kill_often

KILLS = 5
STOPS = 3


def test_nothing_acknowledged_is_lost_when_the_broker_is_killed(stage, campaign):
    """SIGKILL under orders, queries and performed steps: all is there once, and told once in order."""
    serving = stage.broker()
    exams = campaign(stage, serving.address)

    report = kill_often(serving, exams, kills=KILLS, seed=1)

    assert report.wrong == []
    assert report.counts[ANSWERED] > KILLS
    assert report.counts[DOUBTED] > 0
    assert report.findings.repeated <= KILLS  # one status was under way, and its answer may have been lost


def test_a_broker_that_is_stopped_ends_what_it_has_begun(stage, campaign):
    """SIGTERM under load: no client hears more than a closed connection, no status is sent twice."""
    serving, chosen = stage.broker(), random.Random(2)
    serving.start()
    codes = []
    with campaign(stage, serving.address) as exams:
        for _ in range(STOPS):
            stage.moments.any(chosen)
            codes.append(serving.stop())
            serving.start()
    serving.stop()
    report = exams.report(STOPS, [serving])

    assert codes == [0] * STOPS
    assert report.wrong == []
    assert report.counts[ANSWERED] > STOPS
    assert report.findings.repeated == 0
