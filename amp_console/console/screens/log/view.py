"""The log: what any process did with the ledger, and the notifications of consoles."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from amp_console.console.background import in_thread
from amp_console.console.dialogs.export import ExportRequest, export_to
from amp_console.console.dialogs.text_view import TextView
from amp_console.console.routes import MainScreen
from amp_console.console.screens.actions import Need
from amp_console.console.screens.base import FILTER, BaseScreen
from amp_console.console.screens.log.kinds import KINDS, KindBar, LogGroup
from amp_console.console.screens.log.rows import COLUMNS, NAMES, by, line, route, row
from amp_console.console.texts import MUTED, lines, safe_text
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.list_pane import ListPane, ListSource
from amp_console.console.words import at
from amp_console.ledger.db import EVERY
from amp_console.ledger.event_log import (
    LogEntry,
    LogFilter,
    LogKind,
    log_counts,
    log_page,
    newest_log_id,
)
from amp_console.ledger.operators import has_several_operators
from amp_console.sync.queries.log_export import write_log

MAX_COPIED = 10_000  # lines
MAX_LENGTH = 4_000  # characters of a line shown in full
EMPTY = """\
Nothing has happened yet.

Imports, runs, comparisons, live sessions, changed settings and backups are listed here, also those
of other processes, and everything that the console tells you."""


class LogScreen(BaseScreen):
    """Everything done and posted, the newest first; new lines appear while it is open."""

    NAME = "Log"
    BELONGS_TO = MainScreen.EVENTS
    HELP = """\
Everything done with this connection, newest first: imports with their counts, runs, comparisons,
repairs, live sessions, changed settings and keys, and backups, from this console and from other
processes, and the notifications of consoles. The log is kept when the console quits.

Enter opens the run, comparison or audience of a line, or shows the whole line. v shows only one
kind of line. / filters by text, or by who did it. Y copies and E exports all lines shown; if lines
are marked, Y copies only those. w shows any line in full."""
    CSS_PATH = "view.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "kind(1)", "Kind", id="log.kind"),
        Binding("V", "kind(-1)", "Previous kind", show=False, id="log.previous_kind"),
        Binding("w", "whole", "Whole line", show=False, id="log.whole"),
        Binding("y", "copy", "Copy", id="copy"),
        Binding("Y", "copy_all", "Copy all", id="log.copy_all"),
        Binding("E", "export", "Export", id="log.export"),
        FILTER,
    ]
    NEEDS = dict.fromkeys(("whole", "copy", "copy_all", "export"), (Need.ROW,))
    NO_ROW = "The log is empty."

    def __init__(self) -> None:
        super().__init__()
        self._revision: object = None
        self._count = 0  # notifications shown
        self._is_shared = False

    def body(self) -> ComposeResult:
        yield KindBar()
        yield ListPane(
            self._source,
            ("entry", "entries"),
            id="log",
            grid_id="lines",
            opens="Open",
            glyphs=self.services.glyphs,
            empty=EMPTY,
            columns=COLUMNS,
        )
        with VerticalScroll(id="whole", classes="panel", can_focus=False):
            yield Static(id="whole-text")

    @property
    def _lines(self) -> ListPane[LogFilter, LogEntry]:
        return self.query_one("#log", ListPane)

    @property
    def _grid(self) -> Grid:
        return self.query_one("#lines", Grid)

    def on_mount(self) -> None:
        """Also show messages that are posted while the log is open."""
        self.set_interval(self.services.environment.tick_seconds, self._check_messages)

    def _check_messages(self) -> None:
        if self.services.notifications.count != self._count:
            self.reload()

    # Reading.

    async def load(self) -> None:
        """Read new lines, and clear the notification, which would only repeat one."""
        services = self.services
        services.notifications.shown.clear()
        self._count = services.notifications.count
        newest, session = 0, services.session
        if session is not None:
            if await session.dead_runs():
                await session.screen_ledger.aend_dead_runs()
            newest = await session.read(newest_log_id)
            self._is_shared = await session.read(has_several_operators)
        unsaved = services.messages.unsaved
        last = unsaved[-1].id if unsaved else 0
        self._revision = (session, newest, self._is_shared, len(unsaved), last)
        at_top = self._grid.key if self._grid.cursor == 0 else None
        await self._lines.load()
        if at_top is not None and self._grid.key == at_top:  # not moved in the meantime
            self._grid.cursor = 0  # follow new lines
        self._show_whole()

    def _source(self, text: str) -> ListSource[LogFilter, LogEntry]:
        """The lines of the chosen kinds that contain the text."""
        bar, glyphs = self.query_one(KindBar), self.services.glyphs
        group = bar.group
        query = LogFilter(text=text, kinds=KINDS[group])

        async def count() -> int:
            counts = await self._counts(query)
            bar.show(counts)
            return sum(counts.get(kind, 0) for kind in query.kinds or LogKind)

        return ListSource(
            query,
            "Log" if group is LogGroup.ALL else f"Log {glyphs.dot} {group.value.lower()}",
            COLUMNS,
            count,
            lambda offset, limit: self._read(query, offset, limit),
            lambda entry: row(
                entry, glyphs, self.services.clock.age_now, is_shared=self._is_shared
            ),
            revision=self._revision,
        )

    async def _counts(self, query: LogFilter) -> dict[LogKind, int]:
        """How many lines of each kind contain the text."""
        session = self.services.session
        counts = {} if session is None else await session.read(log_counts, query)
        of_any_kind = LogFilter(text=query.text)
        if waiting := len(self._unsaved(of_any_kind)):
            counts[LogKind.MESSAGE] = counts.get(LogKind.MESSAGE, 0) + waiting
        return counts

    async def _read(self, query: LogFilter, offset: int, limit: int) -> Sequence[LogEntry]:
        """Read some lines: messages that are not in the ledger yet are the newest ones."""
        unsaved, session = self._unsaved(query), self.services.session
        found = unsaved[offset : offset + limit]
        if session is not None and len(found) < limit:
            rest = max(0, offset - len(unsaved)), limit - len(found)
            found += await session.read(log_page, query, *rest)
        return found

    def _unsaved(self, query: LogFilter) -> list[LogEntry]:
        if query.kinds and LogKind.MESSAGE not in query.kinds:
            return []
        text = query.text.casefold()
        unsaved = [*self.services.messages.unsaved]
        return [entry for entry in reversed(unsaved) if text in entry.text.casefold()]

    def apply_filter(self, needle: str) -> None:  # noqa: ARG002  # the list reads its own filter
        self.loader.start("lines", self._lines.load)

    def on_kind_bar_group_chosen(self, event: KindBar.GroupChosen) -> None:
        """Show only the chosen kinds."""
        self.query_one(KindBar).choose(event.group)
        self._grid.cursor = 0
        self.loader.start("lines", self._lines.load)

    # The line under the cursor.

    def on_grid_moved(self) -> None:
        self._show_whole()
        self.action_keys.refresh()

    def _show_whole(self) -> None:
        """Show the line under the cursor in full, if there is room."""
        entry = self._lines.current
        text = self.query_one("#whole-text", Static)
        if entry is None:
            text.update("")
            return
        dot = self.services.glyphs.separator
        who = by(entry, is_shared=self._is_shared)
        about = dot.join(filter(None, (at(entry.at), NAMES[entry.kind], who)))
        text.update(lines(safe_text((about, MUTED)), safe_text(entry.text, max_length=MAX_LENGTH)))

    def on_grid_opened(self) -> None:
        """Open what a line is about, or show it in full."""
        entry = self._lines.current
        target = None if entry is None else route(entry)
        if target is not None:
            self.services.navigate(target)
        else:
            self.action_whole()

    def action_whole(self) -> None:
        """Show the line in a box, where it can be scrolled and copied."""
        entry = self._lines.current
        if entry is not None:
            title = f"Log {self.services.glyphs.dot} {at(entry.at)}"
            self.app.push_screen(TextView(title, entry.text))

    # Actions.

    def action_filter(self) -> None:
        self._lines.open_filter()

    def action_kind(self, steps: int) -> None:
        """Show only the next kind of line; after the last one, all."""
        bar = self.query_one(KindBar)
        bar.post_message(KindBar.GroupChosen(bar.after(steps)))

    def action_copy(self) -> None:
        """Copy the line under the cursor."""
        entry = self._lines.current
        if entry is not None:
            self.services.clipboard.copy(line(entry, is_shared=self._is_shared))

    def action_copy_all(self) -> None:
        """Copy the marked lines, or all lines shown."""
        self.run_worker(self._copy_all())

    async def _copy_all(self) -> None:
        found = self._lines.marked or await self._all_shown(MAX_COPIED)
        newest_first = sorted(found, key=lambda entry: (entry.at, entry.id), reverse=True)
        self.services.clipboard.copy(
            "\n".join(line(entry, is_shared=self._is_shared) for entry in newest_first)
        )

    def action_export(self) -> None:
        """Write all lines shown to a file."""
        question = "Save as CSV, or as .ndjson (replaces an existing file):"
        self.run_worker(
            export_to(
                self.services, "Export the log", question, "amp-console-log.csv", self._export
            )
        )

    async def _export(self, request: ExportRequest) -> int:
        found = await self._all_shown(EVERY)
        return await in_thread(write_log, request.path, found, exact=request.exact)

    async def _all_shown(self, limit: int) -> Sequence[LogEntry]:
        query = self._source(self._lines.filter_text).query
        return await self._read(query, 0, limit)
