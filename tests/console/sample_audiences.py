"""A ledger with four audiences: synced, pending, rejected and without a cohort."""

import asyncio
import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from textual.pilot import Pilot

from amp_console.connections import Connection
from amp_console.console.widgets.grid import Grid
from amp_console.simulator import Simulator, World
from amp_console.values import IdType, now_in_microseconds
from tests.console.harness import ConsoleHarness
from tests.sync.workspace import Workspace, event

HOSTILE = "[red]trial [/foo] é😀 שלום \x1b[2J\u202e " + "long " * 60
SHOPPERS, LAPSED = "high_value_shoppers", "recently_lapsed"
GHOSTS, FRESH = "trial_day_7", "newsletter"


def sync(workspace: Workspace) -> None:
    """A whole sync in a separate thread: the console's loop is already running."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(workspace.sync())).result()


Preparation = Callable[[Workspace], object]
"""Changes the ledger of a connection before the console opens."""


def connect_with_audiences(harness: ConsoleHarness, *more: Preparation) -> Connection:
    """Add a connection whose ledger has four audiences; `more` then changes it.

    Shoppers have 3 pending additions and 1 pending removal; lapsed is in sync; Amplitude does not
    know 2 users of the trial; the newsletter has no cohort.
    """
    connection = harness.connect()
    files = _copy(_sample(), harness, connection)
    if more:
        with harness.workspace(connection) as workspace:
            workspace.files = files
            for item in more:
                item(workspace)
    return connection


class Sample(NamedTuple):
    """A ledger with the four audiences, created once per process: its files and its cohorts."""

    home: Path
    ledger: Path
    world: World


@cache
def _sample() -> Sample:
    home = Path(tempfile.mkdtemp(prefix="amp-console-sample-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with Simulator() as simulator:
        harness = ConsoleHarness(home, simulator)
        connection = harness.connect()
        with harness.workspace(connection) as workspace:
            moment = now_in_microseconds()  # one for all, however long the sync takes
            workspace.timing = replace(workspace.timing, now=lambda: moment)
            _import_audiences(workspace)
    return Sample(home, harness.environment.folders.ledger(connection.id), simulator.world)


def _import_audiences(workspace: Workspace) -> None:
    workspace.read(event(f"s{n}", True, audience=SHOPPERS) for n in range(20))
    workspace.read(event(f"l{n}", True, audience=LAPSED) for n in range(7))
    trial = ["t1", "t2", "t3", "ghost-1", "ghost-2"]
    workspace.read(event(user, True, audience=GHOSTS) for user in trial)
    sync(workspace)
    workspace.read(event(f"new{n}", True, 60, audience=SHOPPERS) for n in range(3))
    workspace.read([event("s0", False, 60, audience=SHOPPERS)])
    workspace.read(event(f"n{n}", True, audience=FRESH) for n in range(12))


def _copy(sample: Sample, harness: ConsoleHarness, connection: Connection) -> int:
    """Copy the sample's files into the harness and its cohorts into the simulator; count files."""
    ledger = harness.environment.folders.ledger(connection.id)
    shutil.copy(sample.ledger, ledger)
    with closing(sqlite3.connect(ledger)) as db, db:
        homes = (str(sample.home), str(harness.home))
        db.execute(
            "UPDATE source SET path = replace(path, ?1, ?2), name = replace(name, ?1, ?2)", homes
        )
    for cohort in sample.world.cohorts():
        users = [str(user.user_id) for user in sample.world.users(cohort.id)]
        found = harness.simulator.world.resolve(users, IdType.USER_ID).found
        made = harness.simulator.world.create_cohort(cohort.name, cohort.owners[0], found)
        assert made.id == cohort.id  # the first cohorts of a world always have the same ids
    files = list(sample.home.glob("events-*.ndjson"))
    for file in files:
        shutil.copy2(file, harness.home)
    return len(files)


def hostile_audience(workspace: Workspace) -> None:
    """Import an audience, identifiers and a refusal that contain terminal control sequences."""
    users = [HOSTILE, f"ghost-{HOSTILE}", "ghost-[/bold]"]
    workspace.read(event(user, True, audience=HOSTILE) for user in users)
    sync(workspace)


def broken_events(workspace: Workspace) -> None:
    """Three events that can't be used."""
    workspace.read([event(None, True), event("  ", True)])


def select(pilot: Pilot[None], name: str) -> None:
    """Move home's cursor to the audience with this name."""
    grid = pilot.app.screen.query_one("#list", Grid)
    rows = [grid.rows.get(index) for index in range(len(grid.rows))]
    assert grid.go_to(next(row.key for row in rows if row and row.cells[0].text == name))
