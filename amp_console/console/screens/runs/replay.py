"""A finished run, played back from its request log. It sends nothing."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from amp_console.console import run_view
from amp_console.console.glyphs import Glyphs, sparkline
from amp_console.console.lifecycle import is_open
from amp_console.console.replay import AudienceMoment, Bucket, Replay
from amp_console.console.routes import MainScreen
from amp_console.console.run_lines import RunLine
from amp_console.console.run_view import RunView
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.runs.rows import FULL_REQUESTS, LEGEND, full_request_row, outcome
from amp_console.console.texts import ACCENT, BAD, MUTED, STRONG, TONE, WARN, Part, lines, safe_text
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.widgets.grid.widget import RowsState
from amp_console.console.words import SECOND, stopwatch
from amp_console.ledger.requests import requests_page
from amp_console.ledger.runs import Run
from amp_console.sync.queries.run_details import run_details
from amp_console.text import blank_if_zero, local_time, plural

FRAME_SECONDS = 0.1  # between two frames
SPEEDS = (1, 10, 60, 600)
STEPS = 20  # seek steps from the start to the end
MAX_REQUESTS = 20_000  # that are played back; a live session may have sent more
MARGIN = 14  # columns of the chart's labels and the panel's frame
AUDIENCES = (
    Column("Audience", 14, flex=2),
    Column("", 20, rank=3),
    Column("Delivered", 13, right=True),
    Column("Requests", 8, right=True, rank=2),
    Column("Rejected", 8, right=True, rank=1),
    Column("", 28, flex=2),
)
NOTHING_SENT = "This run sent no request: there is nothing to play back."
NOTHING_YET = "No request yet."


class ReplayScreen(BaseScreen):
    """Plays back a run, request by request, at any speed."""

    NAME = "Play back"
    BELONGS_TO = MainScreen.RUNS
    HELP = """\
What a finished run did, from its request log. Nothing is sent, and nothing changes.

Space plays and pauses, + and - change the speed, the left and right arrows move back and forward in
time, and 0 starts again. The chart shows users delivered over time, failed requests and waits. The
log records each request and its answer. Why an audience waited is taken from the answer before the
wait."""
    CSS_PATH = "replay.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "play", "Play / pause", key_display="space", id="playback.play"),
        Binding("plus,equals_sign", "speed(1)", "Faster", key_display="+", id="playback.faster"),
        Binding("minus", "speed(-1)", "Slower", key_display="-", id="playback.slower"),
        Binding("left", "seek(-1)", "Earlier", key_display="←", priority=True, id="playback.back"),
        Binding("right", "seek(1)", "Later", key_display="→", priority=True, id="playback.forth"),
        Binding("0", "restart", "From the start", id="playback.restart"),
    ]

    def __init__(self, run_id: int) -> None:
        super().__init__()
        self._run_id = run_id
        self._run: Run | None = None
        self._replay: Replay | None = None
        self._view: RunView | None = None  # how it ended
        self._moment = 0  # microseconds since 1970, within the run
        self._speed = 1  # the index of one of SPEEDS
        self._is_playing = True
        self._drawn_at = 0.0  # monotonic seconds

    def body(self) -> ComposeResult:
        glyphs = self.services.glyphs
        with Vertical(id="chart", classes="panel"):
            yield Static(id="headline")
            yield Static(id="lines")
            yield Grid(AUDIENCES, glyphs=glyphs, id="bars")
        with Vertical(id="sent", classes="panel") as panel:
            panel.border_title = "Requests"
            yield Grid(FULL_REQUESTS, empty=NOTHING_SENT, glyphs=glyphs, id="log")

    def on_mount(self) -> None:
        self._drawn_at = self.services.timing.monotonic()
        self.set_interval(FRAME_SECONDS, self._advance)

    async def load(self) -> None:
        """Read the run and its requests once: a finished run does not change."""
        if self._replay is not None:
            return
        dead = await self.session.dead_runs()
        details = await self.session.read(run_details, self._run_id, dead)
        run = details.run if details is not None else None
        if details is None or run is None or run.ended_at is None:
            for grid in self.query(Grid):
                grid.show_notice(RowsState.UNKNOWN, "")
            self.query_one("#headline", Static).update(
                safe_text((f"Run {self._run_id} is under way, or does not exist.", MUTED))
            )
            return
        found = await self.session.read(requests_page, run.id, 0, MAX_REQUESTS)
        self._view = run_view.past(details, run.ended_at)
        self._run, self._replay = run, Replay(found, run.started_at, run.ended_at)
        self._moment = self._replay.started_at
        self._draw()

    # Time.

    def _advance(self) -> None:
        """Advance by the time since the last frame, at the chosen speed."""
        now = self.services.timing.monotonic()
        passed, self._drawn_at = now - self._drawn_at, now
        if self._replay is not None and self._is_playing and self.is_current:
            self._go_to(self._moment + round(passed * SPEEDS[self._speed] * SECOND))

    def _go_to(self, moment: int) -> None:
        assert self._replay is not None
        self._moment = max(self._replay.started_at, min(moment, self._replay.ended_at))
        if self._moment == self._replay.ended_at:
            self._is_playing = False
        self._draw()

    def disabled_reason(self, action: str) -> str | None:
        if action in {"play", "speed", "seek", "restart"} and self._replay is None:
            return "The run is still loading, or has not finished."
        return super().disabled_reason(action)

    def action_play(self) -> None:
        """Play or pause, or play again from the start."""
        if self._replay is not None and self._moment == self._replay.ended_at:
            self._moment = self._replay.started_at
        self._is_playing = not self._is_playing
        self._draw()

    def action_speed(self, by: int) -> None:
        """Play faster or slower."""
        self._speed = max(0, min(self._speed + by, len(SPEEDS) - 1))
        self._draw()

    def action_seek(self, by: int) -> None:
        """Move back or forward in time."""
        if self._replay is not None:
            self._go_to(self._moment + by * self._replay.duration // STEPS)

    def action_restart(self) -> None:
        """Go back to the start."""
        if self._replay is not None:
            self._moment, self._is_playing = self._replay.started_at, True
            self._draw()

    # Drawing.

    def on_resize(self) -> None:
        """Fit the chart to the new width."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        replay, run, glyphs = self._replay, self._run, self.services.glyphs
        if replay is None or run is None or not is_open(self):
            return
        room = max(10, self.size.width - MARGIN)
        self.query_one("#chart").border_title = safe_text(
            f"Playback of run {run.id} {glyphs.dot} {local_time(replay.started_at)}"
        )
        self.query_one("#headline", Static).update(self._headline(replay, run))
        self.query_one("#lines", Static).update(
            chart(replay.buckets(room), self._share(replay), replay.duration, glyphs)
        )
        bars = self.query_one("#bars", Grid)
        rows = [
            _audience_row(item, self._line(item, replay), glyphs)
            for item in replay.audiences(self._moment)
        ]
        bars.show(rows)
        bars.styles.height = min(len(rows), max(3, self.size.height // 4)) + 1
        sent = replay.sent_until(self._moment)
        log = self.query_one("#log", Grid)
        log.empty = NOTHING_YET if replay.requests else NOTHING_SENT
        log.show([full_request_row(item, glyphs) for item in sent])
        log.cursor = 0
        legend = "" if all(item.is_counted for item in sent) else f" {glyphs.dot} {LEGEND}"
        count = f"{len(sent):,} of {len(replay.requests):,}{legend}"
        self.query_one("#sent").border_subtitle = safe_text(count)

    def _share(self, replay: Replay) -> float:
        return (self._moment - replay.started_at) / replay.duration

    def _line(self, item: AudienceMoment, replay: Replay) -> RunLine | None:
        """How the run ended for an audience; None before its end."""
        lines_ = self._view.lines if self._view and self._moment == replay.ended_at else ()
        return next((line for line in lines_ if line.audience_id == item.audience_id), None)

    def _headline(self, replay: Replay, run: Run) -> Content:
        passed = stopwatch((self._moment - replay.started_at) / SECOND)
        parts: list[Part] = [
            (" PLAYBACK ", f"bold reverse {ACCENT}"),
            "  ",
            (self._state(replay), STRONG),
            f" at {SPEEDS[self._speed]}x   {passed} of {stopwatch(replay.duration / SECOND)}",
        ]
        if len(replay.requests) < run.requests:
            missing = plural(run.requests - len(replay.requests), "older request")
            parts.append((f"   {missing} of this run are no longer in its log.", WARN))
        return lines(safe_text(*parts), self._ending(replay))

    def _state(self, replay: Replay) -> str:
        if self._moment >= replay.ended_at:
            return "finished"
        return "playing" if self._is_playing else "paused"

    def _ending(self, replay: Replay) -> Content:
        """Say what is being played back; at the end, how the run ended and why."""
        view, glyphs = self._view, self.services.glyphs
        if view is None or self._moment < replay.ended_at:
            return safe_text(("What this run sent, from its log. Nothing is sent now.", MUTED))
        said = [view.says[0]]
        if not replay.requests:  # no row below says why
            said += [f"{line.name}: {line.doing}" for line in view.lines if line.tone == "warn"]
        words = f"The run ended: {outcome(view, glyphs)}."
        return safe_text(
            (words, f"{STRONG} {TONE[view.tone]}"),
            f" {' '.join(said)} ",
            ("Nothing was sent by playing it back.", MUTED),
            max_length=600,
        )


def chart(buckets: list[Bucket], share: float, duration: int, glyphs: Glyphs) -> Content:
    """Users delivered, failed requests and waits over `duration` microseconds.

    `share` is how much was played, from 0.0 to 1.0; the rest is gray.
    """
    now = min(len(buckets), round(share * len(buckets)))
    spark = sparkline(glyphs, [item.users for item in buckets])
    failures = "".join(glyphs.bad if item.failures else " " for item in buckets)
    waits = "".join(glyphs.empty if item.waits else " " for item in buckets)
    rows = (
        ("delivered ", spark, ACCENT),
        ("failed    ", failures, BAD),
        ("waits     ", waits, WARN),
    )
    length = len(buckets)
    start, end = stopwatch(0), stopwatch(duration / SECOND)
    axis = f"{'':10}{start}{' ' * (length - len(start) - len(end))}{end}"
    return lines(
        *(
            safe_text((label, MUTED), (text[:now], style), (text[now:], MUTED), max_length=length)
            for label, text, style in rows
        ),
        safe_text((axis, MUTED)),
    )


def _audience_row(item: AudienceMoment, end: RunLine | None, glyphs: Glyphs) -> Row:
    return Row(
        item.audience_id,
        (
            Cell(item.name),
            Cell("", "accent", share=item.done / item.total if item.total else None),
            Cell(f"{item.done - item.rejected:,}/{item.total:,}" if item.total else glyphs.dash),
            Cell(f"{item.requests:,}"),
            Cell(blank_if_zero(item.rejected), "bad"),
            Cell(end.doing, end.tone) if end else Cell(item.doing, "dim"),
        ),
    )
