"""Progress on stderr: a bar at a terminal, a line now and then where nobody watches."""

import shutil
import sys
import time
from types import TracebackType
from typing import Any, Self

import click

from amp_console.cli.output import say
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.ingest.report import ImportProgress
from amp_console.text import clean, plural

SELDOM = 10.0  # seconds between two lines
BAR = 20  # columns
BESIDE = 26  # columns for the percentage, the time left and the gaps


class ProgressMeter:
    """Shows how far something is; `update` may be called as often as one likes."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: Any = None
        self._shown = time.monotonic()
        self._text = ""
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def show_import(self, now: ImportProgress) -> None:
        """Show the reading of a source, in bytes of it."""
        self.update(now.position, now.size, f"{clean(now.source, 30)}: {now.tally.read:,} events")

    def show_run(self, now: RunSnapshot) -> None:
        """Show a run, in users, with the first audience that is at work."""
        busy = [audience for audience in now.audiences if not audience.is_over]
        text = f"{clean(busy[0].name, 30)}: {clean(busy[0].state)}" if busy else "done"
        if busy and busy[0].wait_until is not None:
            text += f" in {max(0, busy[0].wait_until - now.elapsed):.0f} s"
        self.update(now.done, now.total, f"{text}, {plural(now.done, 'user')}")

    def update(self, done: int, total: int | None, text: str) -> None:
        """Show `done` of `total`, whatever unit they are in."""
        self._text = text
        if sys.stderr.isatty():
            self._draw(done, total)
        elif time.monotonic() - self._shown >= SELDOM:
            self._shown = time.monotonic()
            say(f"{self._label}: {text}", err=True)

    def _draw(self, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = click.progressbar(
                length=1 if total == 0 else total,
                label=self._label,
                file=sys.stderr,
                width=BAR,
                item_show_func=lambda _: self._text,
            )
        self._bar.length = 1 if total == 0 else total  # else it would not be drawn at all
        # What does not fit on the line would be drawn below it, again and again.
        room = shutil.get_terminal_size().columns - len(self._label) - BAR - BESIDE
        self._text = clean(self._text, max(1, room))
        self._bar.update(done - self._done, self._text)
        self._done = done
