"""What an operator is alerted to in a live session: once when it begins, and when it is over."""

import msgspec

from amp_console.ledger.runs import AudienceCounts
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.live.alerts import AlertLimits, Alerts
from amp_console.sync.live.progress import LiveAudience, LivePhase, LiveSnapshot

LIMITS = AlertLimits(lag=60, silence=600, error_share=0.05, least=100)


def snapshot(
    elapsed: float = 0.0,
    *,
    lag: float = 0.0,
    read: int = 0,
    invalid: int = 0,
    rejected: int = 0,
    waits: bool = False,
) -> LiveSnapshot:
    counts = AudienceCounts(rejected=rejected)
    phase = LivePhase.WAITING if waits else LivePhase.LIVE
    audience = LiveAudience(1, "k", "K", 1, lag, counts, "", phase)
    return LiveSnapshot(1, elapsed, ReadCounts(read, read - invalid, 0, invalid), 0.0, (audience,))


def alerts_of(*snapshots: LiveSnapshot) -> list[list[str]]:
    """The first two words of every alert, by snapshot."""
    alerts = Alerts(LIMITS)
    return [
        [" ".join(alert.text.split()[:2]) for alert in alerts.observe(snapshot)]
        for snapshot in snapshots
    ]


def test_lag_is_alerted_once_and_when_it_is_over() -> None:
    snapshots = [snapshot(lag=lag) for lag in (59, 61, 70, 10, 61)]
    assert alerts_of(*snapshots) == [[], ["The oldest"], [], ["The cohorts"], ["The oldest"]]


def test_audiences_that_wait_for_the_operator_do_not_lag() -> None:
    assert alerts_of(snapshot(lag=999, waits=True)) == [[]]


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
