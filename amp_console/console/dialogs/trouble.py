"""In the demo: trouble on request, to see how it is handled."""

from collections.abc import Hashable, Iterator
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from amp_console.console.dialogs.base import Dialog
from amp_console.console.environment import DemoSession
from amp_console.console.jobs.live import LiveJob
from amp_console.console.jobs.runs import SyncJob
from amp_console.console.jobs.under_way import under_way
from amp_console.console.run_view import live
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.sync.live.progress import LivePhase
from amp_console.text import first_sentence

ROOM_WHEN_EMPTY = 3  # lines, for the text of an empty list
COLUMNS = (Column("", 2), Column("Trouble", 30, flex=1), Column("Now", 4))
WHAT = """\
Make the simulated Amplitude fail on purpose, and watch how a sync or a live session handles it. \
It stays on until you turn it off."""
HANDLING_EVERY = 0.5  # seconds


def handling(sync: SyncJob | None, session: LiveJob | None) -> str:
    """How the current sync or live session handles trouble, or how the last sync ended."""
    if (session := under_way(session)) and not under_way(sync):
        return f"The live session now: {'; '.join(_delays(session)) or 'nothing delays it'}."
    if sync is None:
        return "Start a sync to see how trouble is handled."
    view = live(sync)
    if sync.is_over:
        which = "The last sync" if view.run_id is None else f"The last sync, run {view.run_id},"
        return " ".join((f"{which} has ended.", *view.says[:1]))
    lines = (f"{line.name}: {line.doing}" for line in view.lines if not line.is_over)
    return f"The sync now: {'; '.join(lines) or view.outcome}."


def _delays(session: LiveJob) -> Iterator[str]:
    """What delays a session's audiences, except waiting for the operator."""
    for item in session.snapshot.audiences if session.snapshot else ():
        if item.phase is LivePhase.DELAYED:
            yield f"{item.name}: {first_sentence(item.state)}"


class TroubleDialog(Dialog[None]):
    """The kinds of trouble, numbered; Enter or the number turns one on or off."""

    TITLE_TEXT = "Make trouble"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("exclamation_mark", "dismiss(None)", "Close", show=False)
    ]

    def __init__(self, demo: DemoSession) -> None:
        super().__init__()
        self._demo = demo

    def box(self) -> ComposeResult:
        """What the dialog is for, the list, and how to use it."""
        yield Static(safe_text(WHAT))
        yield Grid(COLUMNS, glyphs=self.services.glyphs, empty="The demo is still being prepared.")
        yield Static(
            safe_text(("Press a number or Enter to turn one on or off. Esc closes.", MUTED))
        )
        yield Static(id="description")
        yield Static(id="handling")

    def on_mount(self) -> None:
        """Show what is on, and how a sync handles it."""
        self._show()
        self._show_handling()
        self.set_interval(HANDLING_EVERY, self._show_handling)
        self.query_one(Grid).focus()

    def on_key(self, event: events.Key) -> None:
        """Turn the kind with this number on or off."""
        kinds = self._demo.troubles()
        if event.key.isdecimal() and 1 <= int(event.key) <= len(kinds):
            event.stop()
            self._toggle(kinds[int(event.key) - 1].name)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Turn the kind under the cursor on or off."""
        self._toggle(event.key)

    def _toggle(self, name: Hashable) -> None:
        text = self._demo.toggle(str(name))
        self.services.notifications.log(text)
        self.query_one("#description", Static).update(safe_text(text))
        self._show()

    def _show_handling(self) -> None:
        self.query_one("#handling", Static).update(
            safe_text(handling(self.services.jobs.sync, self.services.jobs.live))
        )

    def _show(self) -> None:
        rows = [
            Row(
                trouble.name,
                (
                    Cell(str(number), "accent"),
                    Cell(trouble.label),
                    Cell("on", "bad") if trouble.is_on else Cell("off", "dim"),
                ),
            )
            for number, trouble in enumerate(self._demo.troubles(), 1)
        ]
        grid = self.query_one(Grid)
        grid.styles.height = 1 + max(len(rows), ROOM_WHEN_EMPTY)
        grid.show(rows)
