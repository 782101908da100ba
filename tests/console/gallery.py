"""Every main screen of the console, painted from the demo: the same bytes each time.

The demo is seeded with a fixed seed and a clock that does not advance; then the console goes from
screen to screen, and each is painted in both sizes and themes.
"""

import asyncio
import os
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import NamedTuple

from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input, TextArea

from amp_console.console import LaunchOptions
from amp_console.console.app import ConsoleApp
from amp_console.console.appearance import DARK, LIGHT
from amp_console.console.jobs.live import LiveJob, paths
from amp_console.console.jobs.speed import Speed
from amp_console.console.widgets.grid import Grid
from amp_console.demo import SimulatedSession
from amp_console.demo.dataset import (
    ABANDONERS,
    CHURN,
    LAPSED,
    NEWSLETTER,
    SHOPPERS,
    TRIAL,
    AudienceDefinition,
)
from amp_console.ledger import Db
from amp_console.ledger.audiences import all_audiences, find_audience
from amp_console.ledger.outcomes import NO_COHORT, PAUSED
from amp_console.ledger.runs import AudienceCounts, RunKind, RunStatus, begin_run, end_run
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, Behavior, Call, Rule
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import (
    LiveAudience,
    LiveChange,
    LivePhase,
    LiveSnapshot,
    WaitReason,
)
from amp_console.sync.sources.protocols import SourceStatus
from amp_console.sync.timing import Timing
from tests.console.harness import console, picture, services, until, until_shown
from tests.console.headless import rendered

NOW = 1_795_608_000_000_000  # 2026-11-25T12:00:00Z, microseconds since 1970
HOME = Path("/tmp")  # noqa: S108  # its length is seen in pictures, so it must not differ
READING = {  # groups of workers; others may wait for an answer
    "ask", "counts", "detail", "events", "lines", "listing", "load", "look", "page", "people",
    "requests", "states", "users", "views",
}  # fmt: skip
SAMPLE = "amp-console-pictures-0000000"


ROOT = Path(__file__).parent.parent.parent


class View(NamedTuple):
    """One size of the console: columns and lines, and the names and folder of its pictures."""

    size: tuple[int, int]
    prefix: str
    folder: Path

    def kept(self) -> dict[str, str]:
        """The stored pictures of this size, in all themes, as SVG by name."""
        return {
            file.stem: file.read_text(encoding="utf-8")
            for theme in THEMES
            for file in self.folder.glob(f"*-{self.prefix}{theme}.svg")
        }


WIDE = View((120, 36), "", ROOT / "screenshots")
NARROW = View((80, 24), "80x24-", ROOT / "tests/console/snapshots")
THEMES = {"dark": DARK, "light": LIGHT}


class Moment:
    """A monotonic clock that only advances on request."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def _for_ever(_: float) -> None:
    await asyncio.Event().wait()


@contextmanager
def _stage() -> Iterator[SimulatedSession]:
    """The prepared demo, at a frozen moment, in UTC."""
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    timing = Timing(now=lambda: NOW, monotonic=Moment(), sleep=_for_ever, rng=random.Random(1))
    home = HOME / f"{SAMPLE[:-7]}{os.getpid():07}"
    try:
        with SimulatedSession(fast=True, has_traffic=False, timing=timing, home=home) as demo:
            demo.open()
            demo.wait()
            with chdir(_logs(demo)):
                yield demo
    finally:
        os.environ.pop("TZ")
        if zone is not None:
            os.environ["TZ"] = zone
        time.tzset()


def _logs(demo: SimulatedSession) -> Path:
    """The folder of event files, all of the same age."""
    assert demo.home is not None
    folder = demo.home / "segment-logs"
    for file in folder.iterdir():
        os.utime(file, (NOW / 1e6, NOW / 1e6))
    return folder


def paint() -> dict[View, dict[str, str]]:
    """Take the console through all its screens; return the pictures of each size by name."""
    with _stage() as demo:
        return asyncio.run(_paint(demo))


async def _paint(demo: SimulatedSession) -> dict[View, dict[str, str]]:
    app = ConsoleApp(demo.environment, LaunchOptions(theme=DARK))
    pictures: dict[View, dict[str, str]] = {WIDE: {}, NARROW: {}}
    async with app.run_test(size=WIDE.size, notifications=False) as pilot:
        looks = [(WIDE, "dark"), (NARROW, "dark"), (NARROW, "light"), (WIDE, "light")]
        async for screen in _led(pilot, demo):
            for view, name in looks:
                await _resize(pilot, view)
                app.theme = THEMES[name]
                pictures[view][f"{screen}-{view.prefix}{name}"] = await _painted(pilot, demo)
            looks.reverse()  # the next screen begins in the theme that this one ended in
        if app.services.jobs.sync is not None:
            app.services.jobs.sync.give_up()
            await app.services.jobs.sync.finished()
        await app.services.sessions.close()
    return pictures


async def _resize(pilot: Pilot[None], view: View) -> None:
    if pilot.app.size != view.size:
        await pilot.resize_terminal(*view.size)
        await pilot.pause()


async def _painted(pilot: Pilot[None], demo: SimulatedSession) -> str:
    app = pilot.app
    await until(pilot, lambda: not any(w.is_running for w in app.workers if w.group in READING))
    for field in app.screen.query(Input):
        field.cursor_blink = False
    for area in app.screen.query(TextArea):  # `cursor_blink` would keep a line painted without it
        area._pause_blink(visible=area.has_focus)
    before: list[Strip] = []
    while before != (now := rendered(app)):  # including colors
        before = now
        await pilot.pause(0.02)
    svg = re.sub(r"terminal-\d+", "terminal-picture", app.export_screenshot(title="amp-console"))
    port = demo.connection.base_url or ""
    assert demo.home is not None
    svg = svg.replace(port, "http://127.0.0.1:50000").replace(demo.home.name, SAMPLE)
    return re.sub(r"^ +$|[ \t]+$", "", svg, flags=re.MULTILINE).rstrip() + "\n"


async def _led(pilot: Pilot[None], demo: SimulatedSession) -> AsyncIterator[str]:
    """Go from screen to screen; yields the name of each once it is shown."""
    await until_shown(pilot, "Newsletter", "12,120", "11,774")
    _list(pilot).go_to(await _id_of(pilot, SHOPPERS.key))
    await pilot.press("u")
    await until_shown(pilot, "fewer in Amplitude", "(read just now)")
    yield "audiences"
    await _visit(pilot, "e", "Cohort owner")
    yield "settings"
    await _visit(pilot, "escape", "Newsletter")
    await _visit(pilot, "l", "Beta testers")
    yield "link"
    await _visit(pilot, "escape", "11,774")
    await _visit(pilot, "S", "creates a cohort")
    yield "plan"
    await _visit(pilot, "escape", "11,774")
    async for name in _errors(pilot, demo):
        yield name
    await _visit(pilot, "3", "incomplete")
    yield "runs"
    await pilot.press("j", "j")
    await _visit(pilot, "enter", "run 6", "earlier runs rejected")
    yield "run"
    await _visit(pilot, "5", "Demo")
    yield "connections"
    await _visit(pilot, "n", "Secret Key")
    yield "connection-form"
    await _visit(pilot, "escape", "Demo")
    await _visit(pilot, "1", "11,774")
    await _visit(pilot, "m", "$.userId")
    yield "mapping"
    await _visit(pilot, "escape", "11,774")
    async for name in _of_sources(pilot):
        yield name
    await _visit(pilot, "1", "11,774")
    await _visit(pilot, "i", "Import")
    yield "import"
    await _visit(pilot, "escape", "11,774")
    await _visit(pilot, "question_mark", "Help · Audiences")
    yield "help"
    await _visit(pilot, "escape", "11,774")
    await _visit(pilot, "exclamation_mark", "Rate limit")
    yield "trouble"
    await _visit(pilot, "escape", "11,774")
    services(pilot).notifications.post("Copied (also in /home/ana/copied.txt)")
    services(pilot).notifications.post(
        "The connection is read-only: no one is made pending again.", "warning"
    )
    services(pilot).notifications.post(
        "Amplitude could not be reached. Check the network, then try again.", "error"
    )
    await _run(pilot, lambda _: 0)  # after the messages are written
    await _visit(pilot, "6", "could not be reached")
    await until(pilot, lambda: "could not be reached" in str(pilot.app.screen.query(Grid)[0].row))
    yield "events"
    await _visit(pilot, "1", "11,774")
    async for name in _reconcile(pilot, demo):
        yield name
    await _follow(pilot)
    await _visit(pilot, "4", "» live", "trial.gz", "Deliveries")  # so all have their lines
    _list(pilot).go_to(await _id_of(pilot, SHOPPERS.key))
    await until_shown(pilot, "Deliveries", "189")
    yield "live"
    services(pilot).jobs.live = None
    await _run(pilot, _forget_session)
    await _visit(pilot, "1", "11,774")
    await _hold_a_sync(pilot, demo)
    yield "sync"


async def _of_sources(pilot: Pilot[None]) -> AsyncIterator[str]:
    await _visit(pilot, "7", "warehouse", "SQLite")
    await _visit(pilot, "j", "FROM subscribers", "0 entering, 0 leaving")
    yield "sources"
    await _visit(pilot, "e", "Query of Newsletter", "FROM subscribers")
    await _visit(pilot, "f5", "12,137 people", "the first 10 rows")
    yield "query"
    await _visit(pilot, "escape", "warehouse", "SQLite")


async def _follow(pilot: Pilot[None]) -> None:
    """A live session in its state after a minute; a real one would keep changing."""
    app = console(pilot)
    assert app.services.session is not None
    work = LiveJob(
        app.services.session,
        paths(),
        LiveOptions(),
        app.services.timing,
        app.services.publish,
    )
    run_id = await _run(pilot, _add_session)
    ids = {item.key: item.id for item in await app.services.session.read(all_audiences)}
    for second in range(60):
        read, delivered_until = second * (150 + second % 7 * 25), second // 5 * 5
        work.history.append(_moment(run_id, ids, second, read, delivered_until))
    work.snapshot = work.history[-1]
    app.services.jobs.live = work


async def _run(pilot: Pilot[None], change: Callable[[Db], int]) -> int:
    """Change the ledger, after all queued writes."""
    session = services(pilot).session
    assert session is not None
    return await session.ledger.awrite(change)


_WAITS: dict[str, str] = {
    WaitReason.BROKEN: WaitReason.BROKEN,
    NO_COHORT: WaitReason.NO_COHORT,
    PAUSED: WaitReason.PAUSED,
}
SENT = [(190, "add")] * 6 + [(142, "remove")] * 2 + [(189, "add")] * 3
"""The session's requests, one every five seconds; two users of the last one are skipped."""


def _add_session(db: Db) -> int:
    """Save the session's run with its requests for the shoppers; return the run's ID."""
    begun = NOW - 59_000_000
    run_id = begin_run(db, ReadCounts(), begun, "", RunKind.LIVE)
    end_run(db, run_id, RunStatus.DELIVERED, "", NOW)
    audience_id = find_audience(db, SHOPPERS.key).id
    for at, (size, operation) in enumerate(SENT, 1):
        sent_at = begun + at * 5_000_000
        skipped = 2 if at == len(SENT) else 0
        db.execute(
            "INSERT INTO request (run_id, audience_id, kind, id_type, operation, size, first_n, "
            "last_n, sent_at, settled_at, state, status, skipped) "
            "VALUES (?, ?, 'membership', 1, ?, ?, 1, 1, ?, ?, 'confirmed', 200, ?)",
            (run_id, audience_id, operation, size, sent_at, sent_at + 400_000, skipped),
        )
    return run_id


def _forget_session(db: Db) -> int:
    """Delete the session's run, which is the last one."""
    db.execute("DELETE FROM request WHERE run_id = (SELECT max(id) FROM run)")
    return db.execute("DELETE FROM run WHERE id = (SELECT max(id) FROM run)").rowcount


def _moment(
    run_id: int, ids: Mapping[str, int], second: int, read: int, delivered_until: int
) -> LiveSnapshot:
    done = 31 * delivered_until
    minutes = tuple(3 + (n * n * 7) % 61 if n > 5 else 0 for n in range(30))
    fewer = tuple(n // 3 for n in minutes)
    return LiveSnapshot(
        run_id=run_id,
        elapsed=float(second),
        tally=ReadCounts(read, read - read // 50, read // 50, 0),
        lag_95=5.2,
        updated=read // 4,
        audiences=(
            _audience(ids, ABANDONERS),
            _audience(ids, CHURN),
            _audience(
                ids, SHOPPERS, 214, 3.4, AudienceCounts(done, done // 6, 2, second // 5),
                entered=minutes, left=fewer,
            ),
            _audience(
                ids, NEWSLETTER, 8_041, 58.0, state=NO_COHORT, entered=minutes, left=fewer
            ),
            _audience(
                ids, LAPSED, 31, 12.0, AudienceCounts(done // 4, done // 9, 0, second // 8), PAUSED,
                entered=fewer, left=minutes,
            ),
            _audience(ids, TRIAL, 18, state=WaitReason.BROKEN),
        ),
        sources=_sources(second, read),
        latest=tuple(
            LiveChange(
                20 - n,
                NOW - n * 700_000,
                SHOPPERS.name,
                f"user-{4_711 + 37 * n % 900}",
                n % 4 != 2,
            )
            for n in range(20)
        ),
        now=float(second),
    )  # fmt: skip


def _audience(
    ids: Mapping[str, int],
    known: AudienceDefinition,
    queue: int = 0,
    lag: float = 0.0,
    counts: AudienceCounts = AudienceCounts(),  # noqa: B008  # it is frozen
    state: str = "",
    *,
    entered: tuple[int, ...] = (),
    left: tuple[int, ...] = (),
) -> LiveAudience:
    """An audience of the session, by default without changes."""
    return LiveAudience(
        ids[known.key], known.key, known.name, queue, lag, counts, state,
        phase=LivePhase.WAITING if state else LivePhase.LIVE, is_paused=state == PAUSED,
        waits_for=_WAITS.get(state, ""),
        entered=entered, left=left,
    )  # fmt: skip


def _sources(second: int, read: int) -> tuple[SourceStatus, ...]:
    folder = f"{HOME}/{SAMPLE}/segment-logs"
    ago = float(second)
    cut = "The gzip file is incomplete: its end is missing."
    return (
        SourceStatus(f"{folder}/trial.gz", 310, ago - 41, 88_120, 88_120, cut),
        SourceStatus(
            f"{folder}/high-value-shoppers.ndjson", read * 2 // 3, ago, 9_120_400, 9_120_400
        ),
        SourceStatus(f"{folder}/newsletter.ndjson", read // 3, ago - 3, 3_980_112, 3_981_000),
    )


async def _reconcile(pilot: Pilot[None], demo: SimulatedSession) -> AsyncIterator[str]:
    assert demo.simulator is not None
    demo.simulator.behavior = Behavior(job_polls=0)  # no time passes while an export is prepared
    _list(pilot).go_to(await _id_of(pilot, LAPSED.key))
    await _visit(pilot, "r", "Not compared yet.")
    yield "reconcile-first"
    await _visit(pilot, "r", "in both", "1 of 500 downloads used")
    yield "reconcile"
    await _visit(pilot, "p", "Add 212 and remove 37")
    yield "reconcile-choice"
    await _visit(pilot, "enter", "Send 2 requests")
    yield "reconcile-confirm"
    await _visit(pilot, "escape", "in both")
    await _visit(pilot, "1", "11,774")
    await pilot.press("a")
    await _visit(pilot, "r", "Compare all 4")
    await _visit(pilot, "r", "Compare 4 audiences?")
    await _visit(pilot, "y", "has ended.", "5 of 500 downloads used")
    detail = pilot.app.screen.query_one("#one")  # hidden by the notification in a small window
    await until(pilot, lambda: ("Next panel" in picture(pilot)) is detail.display)
    yield "reconcile-all"
    await pilot.press("1")


async def _errors(pilot: Pilot[None], demo: SimulatedSession) -> AsyncIterator[str]:
    await _visit(pilot, "2", "All reasons", "ghost-")
    yield "errors"
    await pilot.press("j", "enter")
    await until(pilot, lambda: pilot.app.screen.query_one("#users", Grid).has_focus)
    await _visit(pilot, "enter", "why ")
    yield "rejected-user"
    await _visit(pilot, "enter", "memberships")
    yield "request"
    await _visit(pilot, "escape", "why ")
    await _visit(pilot, "escape", "All reasons")
    await _visit(pilot, "v", "not JSON")
    yield "invalid-events"
    await _visit(pilot, "v", "All reasons")
    await _visit(pilot, "R", "pending again")
    yield "retry"
    await _visit(pilot, "escape", "All reasons")
    session = services(pilot).session
    assert session is not None
    someone = await session.read(_someone)
    await pilot.press("f", *someone)
    await _visit(pilot, "enter", "creates one and")
    yield "person"


def _someone(db: Db) -> str:
    """A shopper of the first hour."""
    row_id = find_audience(db, SHOPPERS.key).id
    query = "SELECT id FROM member WHERE audience_id = ? AND delivered = 1 ORDER BY n LIMIT 1"
    return str(db.execute(query, (row_id,)).fetchone()[0])


async def _hold_a_sync(pilot: Pilot[None], demo: SimulatedSession) -> None:
    """Sync the newsletter until it meets a rate limit, and stop there."""
    assert demo.simulator is not None
    _list(pilot).go_to(await _id_of(pilot, NEWSLETTER.key))
    limit = Rule(Answer(429, retry_after="12"), frozenset({Call.MEMBERSHIP}), every=6)
    demo.simulator.faults.set([limit])
    await _visit(pilot, "s", "creates a cohort")
    await pilot.press("y")
    await until_shown(pilot, "trying again in 12 s")
    work = services(pilot).jobs.sync
    assert work is not None
    assert work.snapshot is not None
    # How many steps were seen, and thus the time left, differs between runs.
    work.speeds = [Speed() for _ in work.speeds]
    for speed, progress in zip(work.speeds, work.snapshot.audiences, strict=True):
        speed.record(0.0, progress.done)
    moment = demo.environment.timing.monotonic
    assert isinstance(moment, Moment)
    moment.seconds = 7.0
    await until_shown(pilot, "trying again in 5 s")


def _list(pilot: Pilot[None]) -> Grid:
    return pilot.app.screen.query_one("#list", Grid)


async def _id_of(pilot: Pilot[None], key: str) -> int:
    session = services(pilot).session
    assert session is not None
    return (await session.read(find_audience, key)).id


async def _visit(pilot: Pilot[None], key: str, *shown: str) -> None:
    """Press a key, and wait until these texts are visible."""
    await pilot.press(key)
    await until_shown(pilot, *shown)
