"""Alerts of a live session: one when a problem starts, and one when it is over."""

import math

import msgspec
import pytest

from amp_console.ledger.runs import AudienceCounts
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.live.alerts import AlertLimits, Alerts, limits_for
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveAudience, LivePhase, LiveSnapshot, WaitReason

LIMITS = AlertLimits(lag=60, silence=600, error_share=0.05, least=100)


def snapshot(
    elapsed: float = 0.0,
    *,
    lag: float = 0.0,
    read: int = 0,
    invalid: int = 0,
    rejected: int = 0,
    waits_for: str = "",
) -> LiveSnapshot:
    counts = AudienceCounts(rejected=rejected)
    phase = LivePhase.WAITING if waits_for else LivePhase.LIVE
    audience = LiveAudience(1, "k", "K", 18, lag, counts, "", phase, waits_for=waits_for)
    return LiveSnapshot(1, elapsed, ReadCounts(read, read - invalid, 0, invalid), 0.0, (audience,))


def alerts_of(*snapshots: LiveSnapshot) -> list[list[str]]:
    """The first two words of every alert, by snapshot."""
    alerts = Alerts(LIMITS)
    return [
        [" ".join(alert.text.split()[:2]) for alert in alerts.observe(snapshot)]
        for snapshot in snapshots
    ]


def test_the_options_of_a_session_say_how_long_silence_may_last() -> None:
    snapshots = [snapshot(elapsed=elapsed) for elapsed in (599, 601, 86_400)]
    for silence, count in ((600.0, 1), (math.inf, 0)):
        alerts = Alerts(limits_for(LiveOptions(silence=silence)))
        assert sum(len(alerts.observe(item)) for item in snapshots) == count


def test_lag_is_alerted_once_and_when_it_is_over() -> None:
    snapshots = [snapshot(lag=lag) for lag in (59, 61, 70, 10, 61)]
    assert alerts_of(*snapshots) == [[], ["The oldest"], [], ["The cohorts"], ["The oldest"]]


def test_audiences_that_wait_for_the_operator_do_not_lag_and_are_named_once() -> None:
    alerts = Alerts(LIMITS)
    broken = snapshot(lag=999, waits_for=WaitReason.BROKEN)
    assert [alert.text for alert in alerts.observe(broken)] == [
        "Waiting for you: “K” 18 (broken link). These changes stay pending."
    ]
    assert alerts.observe(broken) == []
    (alert,) = alerts.observe(snapshot())
    assert (alert.text, alert.is_over) == ("No audience is waiting for you now.", True)


@pytest.mark.parametrize("reason", [WaitReason.PAUSED, WaitReason.OFF])
def test_what_an_operator_chose_needs_no_alert(reason: WaitReason) -> None:
    assert alerts_of(snapshot(lag=999, waits_for=reason), snapshot()) == [[], []]


def test_the_alert_about_lag_names_the_audience_and_its_trouble() -> None:
    limits = limits_for(LiveOptions(flush_seconds=120.0))
    late = snapshot(lag=181)
    (audience,) = late.audiences
    limited = msgspec.structs.replace(
        audience, phase=LivePhase.DELAYED, state="Amplitude limits the rate. It asked to wait."
    )
    (alert,) = Alerts(limits).observe(msgspec.structs.replace(late, audiences=(limited,)))
    assert alert.text == (
        "The oldest change of “K” has been pending for 181 s: Amplitude limits the rate. "
        "It is kept and will be delivered."
    )


def test_an_open_window_is_no_lag() -> None:
    alerts = Alerts(limits_for(LiveOptions(flush_seconds=120.0)))
    assert alerts.observe(snapshot(lag=121)) == []


def test_a_backup_that_is_not_made_is_alerted_once_and_when_it_is_over() -> None:
    backed_up = snapshot()
    failed = msgspec.structs.replace(backed_up, backup_trouble="The ledger was not backed up.")
    assert alerts_of(backed_up, failed, failed, backed_up) == [
        [],
        ["The ledger"],
        [],
        ["The ledger"],
    ]


def test_silence_is_alerted_once_and_when_it_is_over() -> None:
    snapshots = [
        snapshot(0, read=1),
        snapshot(600, read=1),
        snapshot(602, read=1),
        snapshot(700, read=1),
        snapshot(701, read=2),
    ]
    assert alerts_of(*snapshots) == [[], [], ["No events"], [], ["Events are"]]


def test_a_share_of_errors_is_alerted_when_there_are_events_enough_to_say_so() -> None:
    snapshots = [
        snapshot(read=50, invalid=50),
        snapshot(read=200, invalid=50, rejected=3),
        snapshot(read=320, invalid=50, rejected=20),
        snapshot(read=500, invalid=52, rejected=20),
    ]
    assert alerts_of(*snapshots) == [[], ["26% of"], [], ["The share"]]
