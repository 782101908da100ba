"""What a live session prints while it reads files that were large at its start."""

import msgspec

from amp_console.cli.session_log import backlog, details, figures_line, live_document
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.live.progress import LiveSnapshot
from amp_console.sync.sources.protocols import SourceStatus


def test_a_backlog_shows_its_progress_until_it_is_read() -> None:
    sources = (
        SourceStatus("/logs/large.log", position=100_000_000, size=400_000_000),
        SourceStatus("/logs/small.log", position=10, size=500_000),
        SourceStatus("/logs/read.log", position=400_000_000, size=400_000_000),
        SourceStatus("stdin", position=7),
    )
    now = LiveSnapshot(1, 0.0, ReadCounts(), 0.0, (), sources)
    assert backlog(now) == ["/logs/large.log: 25% of 400 MB read"]
    assert details(now) == ["/logs/large.log: 25% of 400 MB read"]


def test_few_backlogs_are_shown_at_once() -> None:
    sources = tuple(SourceStatus(f"{n}.log", position=0, size=2_000_000) for n in range(50))
    assert len(backlog(LiveSnapshot(1, 0.0, ReadCounts(), 0.0, (), sources))) == 3


def test_events_that_are_invalid_are_counted_in_the_line() -> None:
    some = LiveSnapshot(1, 0.0, ReadCounts(read=5, valid=3, invalid=2), 0.0, (), ())
    assert "5 read (nothing new)  2 invalid  pending" in figures_line(some)
    none = LiveSnapshot(1, 0.0, ReadCounts(read=3, valid=3), 0.0, (), ())
    assert "invalid" not in figures_line(none)


def test_the_lag_of_most_changes_says_whether_waits_are_left_out() -> None:
    now = LiveSnapshot(1, 0.0, ReadCounts(), 0.5, (), ())
    assert "(95%: 0.5 s)" in figures_line(now)
    assert not live_document(now).lag_95_omits_waits
    omitted = msgspec.structs.replace(now, omits_waits=True)
    assert "(95%: 0.5 s, not counting waits for you)" in figures_line(omitted)
    assert live_document(omitted).lag_95_omits_waits
