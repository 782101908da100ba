"""Progress on stderr: a bar at a terminal, otherwise a line every ten seconds."""

import shutil
import sys
import time
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
    """Shows the progress of an operation; `update` may be called at any rate."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: Any = None
        self._shown = time.monotonic()
        self._text = ""
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def show_import(self, now: ImportProgress) -> None:
        """Show the import of a source, in bytes."""
        name, events = clean(now.source, 30), f"{now.tally.read:,} events"
        text = f"{name}: {events}"
        if now.objects:  # more useful than the address, which may be cut off
            text = f"{plural(now.objects, 'object')}, {events}: {name}"
        self.update(now.position, now.size, text)

    def show_run(self, now: RunSnapshot) -> None:
        """Show a run, in users, with the first audience in progress."""
        busy = [audience for audience in now.audiences if not audience.is_over]
        text = f"{clean(busy[0].name, 30)}: {clean(busy[0].state)}" if busy else "done"
        if busy and busy[0].wait_until is not None:
            text += f" in {max(0, busy[0].wait_until - now.elapsed):.0f} s"
        self.update(now.done, now.total, f"{text}, {plural(now.done, 'user')}")

    def update(self, done: int, total: int | None, text: str) -> None:
        """Show `done` of `total`, in any unit."""
        self._text = text
        if sys.stderr.isatty():
            self._draw(done, total)
        elif time.monotonic() - self._shown >= SELDOM:
            self._shown = time.monotonic()
            say(f"{self._label}: {text}", err=True)

    def _draw(self, done: int, total: int | None) -> None:
        length = 1 if total == 0 else total  # a length of 0 draws nothing
        if self._bar is None:
            # Without a length, click needs an iterable that has none.
            self._bar = click.progressbar(
                iter(int, 1) if length is None else None,
                length=length,
                label=self._label,
                file=sys.stderr,
                width=BAR,
                item_show_func=lambda _: self._text,
            )
        self._bar.length = length
        # Text that does not fit would be drawn on the next line with every update.
        columns = shutil.get_terminal_size().columns - len(self._label) - BAR - BESIDE
        self._text = clean(self._text, max(1, columns))
        if done == self._done:  # the text may change before the count does
            self._bar.current_item = self._text
            self._bar.render_progress()
            return
        self._bar.update(done - self._done, self._text)
        self._done = done
