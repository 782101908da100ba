"""The operator is stored with runs, leases and log entries, and shown if there are several."""

import pytest

from amp_console.ledger import Ledger, open_ledger
from amp_console.ledger.event_log import LogEntry, LogFilter, LogKind, add_log_entry, log_page
from amp_console.ledger.holders import holders
from amp_console.ledger.leases import busy_because, note_holder
from amp_console.ledger.operators import has_several_operators, this_user
from amp_console.ledger.postgres import schema
from amp_console.ledger.run_log import end_and_log_dead_runs, log_run_start
from amp_console.ledger.runs import RunKind, all_runs, begin_run, run
from amp_console.ledger.sources import ReadCounts
from tests.ledger.helpers import start
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only

ENTRY = LogEntry(5, LogKind.SETTINGS, "Settings changed.")


@pytest.mark.both_engines
def test_what_is_done_is_kept_with_the_name_of_who_did_it(ledger: Ledger) -> None:
    shoppers = start(ledger)
    opened = open_ledger(ledger.url, operator="ana")
    with opened as hers, hers.hold_run() as lock, hers.lease(shoppers.id):
        run_id = hers.write(begin_run, ReadCounts(), 1, lock)
        hers.write(log_run_start, run_id, RunKind.SYNC, [shoppers.id], 1)
        hers.write(note_holder, shoppers.id, 1, run_id)
        hers.write(add_log_entry, ENTRY)
        found = ledger.read(run, run_id)
        assert found is not None
        assert found.operator == "ana"
        assert [lease.operator for lease in ledger.read(holders, ledger.locks).leases] == ["ana"]
        assert {entry.operator for entry in ledger.read(log_page, LogFilter())} == {"ana"}
    assert not ledger.read(has_several_operators)
    ledger.write(add_log_entry, ENTRY)
    assert ledger.read(has_several_operators)


@pytest.mark.both_engines
def test_the_log_is_filtered_by_who_did_it(ledger: Ledger) -> None:
    ledger.write(add_log_entry, ENTRY)
    with open_ledger(ledger.url, operator="Ben of Acme") as his:
        his.write(add_log_entry, ENTRY)
    (found,) = ledger.read(log_page, LogFilter(text="of acme"))
    assert found.operator == "Ben of Acme"


@pytest.mark.both_engines
def test_a_dead_run_belongs_to_its_operator_whichever_process_logs_the_end(ledger: Ledger) -> None:
    with open_ledger(ledger.url, operator="ana") as hers, hers.hold_run() as lock:
        run_id = hers.write(begin_run, ReadCounts(), 1, lock)
    ledger.write(end_and_log_dead_runs, [run_id])
    (ended,) = ledger.read(log_page, LogFilter())
    assert ended.operator == "ana"
    assert [item.operator for item in ledger.read(all_runs)] == ["ana"]


@pytest.mark.both_engines
def test_another_operator_who_holds_an_audience_is_named(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_ledger(ledger.url, operator="ana") as hers:
        hers.write(note_holder, 1, 0)
        assert ledger.read(busy_because, 1).startswith("Another amp-console (ana, process ")
        assert hers.read(busy_because, 1).startswith("A run of this console")


@postgresql_only
def test_the_name_of_a_former_holder_is_gone_as_soon_as_the_lease_is_taken(ledger: Ledger) -> None:
    """Until the next one has said in which run, which takes as long as the server's next answer."""
    with open_ledger(ledger.url, operator="ana") as hers, hers.lease(1):
        hers.write(note_holder, 1, 0)
    with open_ledger(ledger.url, operator="ben") as his, his.lease(1):
        assert ledger.read(busy_because, 1).startswith("Another amp-console (ben, process ")


@pytest.mark.both_engines
def test_a_login_name_that_cannot_be_shown_is_escaped_and_kept(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ev\x1b[31mil\udcff")
    with open_ledger(ledger.url) as theirs:
        theirs.write(add_log_entry, ENTRY)
    (found,) = ledger.read(log_page, LogFilter())
    assert found.operator == this_user()
    assert found.operator.isprintable()


def test_a_user_without_an_account_is_called_by_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", unknown)
    monkeypatch.setattr("os.getuid", lambda: 10_001)
    monkeypatch.setattr("socket.gethostname", lambda: "3f2a")
    assert this_user() == "10001@3f2a"


@postgresql_only
def test_who_did_it_before_the_upgrade_is_not_known(
    empty_ledger: EmptyLedger,
    server_ledgers: PostgresqlLedgers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = empty_ledger().partition("?")[0] + "?schema=before_operators"
    steps = schema.MIGRATIONS
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", steps[: steps.index(schema._OPERATORS)])
        with open_ledger(url) as old:
            old.write(
                lambda db: db.execute(
                    "INSERT INTO run (started_at, ended_at, status) VALUES (1, 2, 'delivered')"
                )
            )
    with open_ledger(url) as migrated:
        migrated.write(add_log_entry, ENTRY)
        assert [item.operator for item in migrated.read(all_runs)] == [""]
        assert not migrated.read(has_several_operators)
    server_ledgers.server.execute("DROP SCHEMA before_operators CASCADE")
