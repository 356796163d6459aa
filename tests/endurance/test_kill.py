"""A broker that is killed or stopped under load keeps every promise it made.

Hundreds of kills are run by hand: ``python tests/endurance/kill.py --kills 300 --database postgresql``.
"""

from __future__ import annotations

import random
import signal

from endurance.campaign import ANSWERED, DOUBTED, kill_often

KILLS = 5
STOPS = 3
DEATHS = 3  # as many as there are workers: one is left to die, however soon after the others


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


def test_workers_may_die_and_reload_under_load(postgres_stage, campaign):
    """The others serve meanwhile, and a reload does not disturb what is under way; SIGTERM ends them all."""
    stage, chosen = postgres_stage, random.Random(3)
    serving = stage.broker(workers=DEATHS)
    serving.start()
    with campaign(stage, serving.address) as exams:
        for _ in range(DEATHS):
            stage.moments.any(chosen)
            serving.process.send_signal(signal.SIGHUP)
            stage.moments.any(chosen)
            serving.kill_worker(chosen.choice(serving.workers()))
    code = serving.stop()
    report = exams.report(DEATHS, [serving])

    assert code == 0
    assert [each for each in report.wrong if "worker ended" not in each] == []
    assert len(report.errors) == DEATHS
    assert report.counts[ANSWERED] > DEATHS
