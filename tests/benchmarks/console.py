"""How quick the console is, measured from outside: in a pseudo-terminal, as an operator sees it.

    python tests/benchmarks/console.py [--rounds 7] [--events 1000000] [--live]

Measured are, in this order:

- first paint of `amp-console demo`: from the start of the process until its frame is seen;
- key to repaint on the audiences, while nothing happens, at 80×24 and 120×36: from writing `j` or
  `k` to the terminal until the cursor is seen on another row (median and 95th percentile of 100);
- opening a ledger of 500 audiences and 100,000 rejected users against an empty one: from the start
  of the process until its first row, or the empty state, is seen;
- processor time while nothing happens: of 20 s with that large ledger open;
- key to repaint while `--events` events are imported and 60,000 users are synced to a simulated
  Amplitude in a process of its own;
- key to repaint in the live view, which follows a file that grows by 1,000 events a second into 20
  audiences, a minute long: half of that with Amplitude gone, then back.

The terminal's own emulation (pyte) is part of every figure: some milliseconds for a repaint.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from amp_console.connections import Connection, Limits
from amp_console.ledger import Db, open_ledger
from amp_console.simulator import Audience, Behavior, Reset, Rule, Scenario, Simulator, write_file
from tests.benchmarks.live import Stream
from tests.benchmarks.rows import show_row
from tests.console.harness import ConsoleHarness
from tests.console.terminal import Terminal
from tests.sync.workspace import event

COMMAND = str(Path(sys.executable).parent / "amp-console")
LIVE = "in the live view, at 1,000 events a second"
CURSOR = "│▸"  # of a list; the place bar also marks one


def first_paint() -> float:
    """Return the seconds until the frame of the demo is seen."""
    with Terminal([COMMAND, "demo"]) as terminal:
        terminal.until_shown("Audiences", "Sync")
        seconds = time.perf_counter() - terminal.started
        terminal.type("ctrl+q", "y")
        terminal.ended()
    return seconds


def repaints(terminal: Terminal, count: int) -> list[float]:
    """Return the seconds from each key to its repaint."""
    found = []
    for number in range(count):
        found.append(repaint(terminal, "j" if number % 4 < 2 else "k"))
        pause(terminal, 0.03)
    return found


def repaint(terminal: Terminal, key: str) -> float:
    """Return the seconds from one key to its repaint."""
    before = row_of_cursor(terminal)
    begun = time.perf_counter()
    terminal.type(key)
    terminal.until(lambda: row_of_cursor(terminal) not in {before, 0})
    return time.perf_counter() - begun


def row_of_cursor(terminal: Terminal) -> int:
    """The line the cursor is seen on, 0 while it is painted."""
    lines = terminal.picture.splitlines()
    return next((number for number, line in enumerate(lines) if CURSOR in line), 0)


def pause(terminal: Terminal, seconds: float) -> None:
    """Let the console go on, and take in what it paints."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        terminal.read(left)


def prepared(
    folder: Path, simulator: Simulator, limits: Limits | None = None
) -> tuple[ConsoleHarness, Connection]:
    """A home with one connection to a simulator."""
    harness = ConsoleHarness(folder, simulator)
    return harness, harness.connect(limits=limits or Limits())


def large(db: Db) -> None:
    """500 audiences, and 100,000 rejected users in half of them."""
    for n in range(1, 501):
        db.execute(
            "INSERT INTO audience (id, space_id, computation_id, key, cohort_id, link) "
            "VALUES (?, 'spa', ?, ?, ?, 'created')",
            (n, f"aud_{n}", f"audience_{n:03}", f"cohort{n}"),
        )
    db.execute("INSERT INTO run (id, started_at) VALUES (1, 1)")
    for n in range(1, 251):
        db.execute(
            "INSERT INTO request (id, run_id, audience_id, kind, id_type, operation, size, "
            "first_n, last_n, sent_at, state) VALUES (?, 1, ?, 'membership', 1, 'add', 400, 0, 0, "
            "1, 'confirmed')",
            (n, n),
        )
        db.execute(
            "INSERT INTO rejection (id, request_id, operation, code, reason, at) VALUES "
            "(?, ?, 'add', 'unknown_to_amplitude', 'Amplitude did not know this User ID', 1)",
            (n, n),
        )
    db.executemany(
        "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered, request_id, rejection_id) VALUES (?, 1, ?, 1, 1, 1, 1, 1, 0, ?, ?)",
        [(1 + n % 250, f"user-{n}", 1 + n % 250, 1 + n % 250) for n in range(100_000)],
    )


def opened(harness: ConsoleHarness, shown: str) -> float:
    """Return the seconds until a text of home is seen."""
    with Terminal([COMMAND], environment=os.environ | harness.environ) as terminal:
        terminal.until_shown(shown)
        seconds = time.perf_counter() - terminal.started
        terminal.type("ctrl+q", "y")
        terminal.ended()
    return seconds


def idle_share(harness: ConsoleHarness) -> float:
    """Return the share of one processor that an open console takes, over 20 s."""
    with Terminal([COMMAND], environment=os.environ | harness.environ) as terminal:
        terminal.until_shown("audience_001")
        pause(terminal, 3)
        before = used(terminal.process.pid)
        pause(terminal, 20)
        return (used(terminal.process.pid) - before) / 20


def used(pid: int) -> float:
    """Return the processor seconds a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def under_load(folder: Path, simulator: Simulator, events: int) -> tuple[list[float], float]:
    """Return repaint times while importing and syncing, and how long the import took."""
    harness, connection = prepared(folder, simulator, Limits(first_batch=500, largest_batch=500))
    simulator.behavior = Behavior(latency=0.2)
    with harness.workspace(connection) as workspace:
        for key in ("first", "second", "third"):
            workspace.read(event(f"{key}{n}", True, audience=key) for n in range(20_000))
    scenario = Scenario(events=events, users=events, audiences=(Audience.named("Load"),))
    write_file(folder / "events.ndjson", scenario)
    with Terminal([COMMAND], environment=os.environ | harness.environ) as terminal:
        terminal.until_shown("third")
        terminal.type("S")
        terminal.until_shown("at least")
        pause(terminal, 0.5)  # a key that comes at once counts as a repeat
        terminal.type("y")
        terminal.until_shown("╭─ Sync · ")
        for left in ("╭─ Sync · ", "Before you send"):  # back to the audiences
            if left in terminal.picture:
                terminal.type("escape")
                terminal.until(partial(terminal.is_gone, left))
                pause(terminal, 0.3)
        terminal.type("i")
        terminal.until_shown("Import events")
        terminal.type(str(folder / "events.ndjson"), "enter")
        begun = time.perf_counter()
        terminal.until_shown("importing")
        pause(terminal, 0.3)
        terminal.type("escape")
        terminal.until(lambda: "Import events" not in terminal.picture)
        found: list[float] = []
        while "importing" in terminal.picture:
            found += repaints(terminal, 4)
        seconds = time.perf_counter() - begun
        terminal.type("ctrl+q", "y")
        pause(terminal, 1)
    return found, seconds


def live(folder: Path, simulator: Simulator, seconds: float, rate: int) -> list[float]:
    """Return repaint times in the live view while events come, and Amplitude goes and comes."""
    simulator.behavior = Behavior(latency=0.2)
    harness, _ = prepared(folder, simulator)
    stream, file = Stream(20), folder / "live.ndjson"
    file.touch()
    over = threading.Event()

    def write() -> None:
        begun, sent = time.monotonic(), 0
        with file.open("a") as growing:
            while not over.wait(0.1):
                due = int((time.monotonic() - begun) * rate) - sent
                growing.write("".join(f"{item}\n" for item in stream.make(due)))
                growing.flush()
                sent += due

    writer = threading.Thread(target=write)
    with Terminal([COMMAND], environment=os.environ | harness.environ) as terminal:
        terminal.until_shown("No audience yet.")
        terminal.type("4")
        terminal.until_shown("No live session.")
        terminal.type("n")
        terminal.until_shown("Folder, file or bucket to follow")
        terminal.type(str(file), "tab", "space", "f2")  # and create cohorts
        writer.start()
        terminal.until_shown("20 audiences")
        pause(terminal, 8)
        found: list[float] = []
        for trouble in ([Rule(Reset())], []):
            simulator.faults.set(trouble)
            end = time.perf_counter() + seconds / 2
            while time.perf_counter() < end:
                found += repaints(terminal, 4)
        over.set()
        writer.join()
        terminal.type("c")
        terminal.until_shown("End the session")
        pause(terminal, 0.5)
        terminal.type("y")
        terminal.until_shown("ended")
        terminal.type("ctrl+q", "y")
        terminal.ended()
    for key, members in stream.members.items():
        assert simulator.world.members(simulator.world.cohort_named(key).id) == members, key
    return found


def median_of(rounds: int, measure: Callable[[], float]) -> float:
    """The median of some rounds."""
    return statistics.median(measure() for _ in range(rounds))


def told(what: str, times: list[float], goal: int) -> None:
    """Print the median and the 95th percentile in milliseconds; `goal` is what that is to be."""
    ordered = sorted(times)
    high = ordered[max(0, round(len(ordered) * 0.95) - 1)] * 1000
    show_row(
        f"key to repaint, {what}",
        f"{statistics.median(times) * 1000:.0f} ms (95%: {high:.0f} ms)",
        f"{len(times)} keys",
        f"95%: {goal} ms",
    )


def main() -> None:
    """Measure everything, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--live", action="store_true", help="measure the live view only")
    options = parser.parse_args()
    if options.live:
        with tempfile.TemporaryDirectory() as name, Simulator() as simulator:
            told(LIVE, live(Path(name), simulator, 60, 1_000), 60)
        return
    print(f"first paint of the demo: {median_of(options.rounds, first_paint):.2f} s (under 0.9)")
    with tempfile.TemporaryDirectory() as name, Simulator() as simulator:
        folder = Path(name)
        empty, _ = prepared(folder / "empty", simulator)
        full, connection = prepared(folder / "full", simulator)
        with open_ledger(full.environment.folders.ledger(connection.id)) as ledger:
            ledger.write(large)
        nothing = median_of(options.rounds, lambda: opened(empty, "No audience yet."))
        much = median_of(options.rounds, lambda: opened(full, "audience_001"))
        print(f"opening an empty ledger {nothing:.2f} s, a large one {much:.2f} s (within 0.3)")
        print(f"processor while nothing happens: {idle_share(full) * 100:.1f}% (at most 1)")
        for size in ((80, 24), (120, 36)):
            with Terminal([COMMAND], size=size, environment=os.environ | full.environ) as terminal:
                terminal.until_shown("audience_001")
                pause(terminal, 2)
                told(f"idle, {size[0]}×{size[1]}", repaints(terminal, 100), 40)
        times, seconds = under_load(folder / "load", simulator, options.events)
        told(f"in {seconds:.0f} s of import and sync", times, 60)
        told(LIVE, live(folder / "live", simulator, 60, 1_000), 60)


if __name__ == "__main__":
    main()
