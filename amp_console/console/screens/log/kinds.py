"""The kinds of entries in the log: a line to choose one, with counts."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from amp_console.console.texts import MUTED, STRONG, safe_text
from amp_console.ledger.event_log import LogKind

GAP = "   "  # between two groups


class LogGroup(enum.Enum):
    """Groups of kinds that are shown together."""

    ALL = "All"
    IMPORTS = "Imports"
    RUNS = "Runs"
    LIVE = "Live"
    SETTINGS = "Settings"
    BACKUPS = "Backups"
    MESSAGES = "Messages"


KINDS = {
    LogGroup.ALL: (),
    LogGroup.IMPORTS: (LogKind.IMPORT,),
    LogGroup.RUNS: (
        LogKind.SYNC,
        LogKind.COMPARE,
        LogKind.REPAIR,
        LogKind.RETRY,
        LogKind.FORGET,
    ),
    LogGroup.LIVE: (LogKind.LIVE,),
    LogGroup.SETTINGS: (LogKind.SETTINGS, LogKind.LINK, LogKind.KEYS),
    LogGroup.BACKUPS: (LogKind.BACKUP, LogKind.PRUNE),
    LogGroup.MESSAGES: (LogKind.MESSAGE,),
}
"""The kinds of each group; empty means all."""


def count_of(group: LogGroup, counts: Mapping[LogKind, int]) -> int:
    """The number of a group's entries, given those of each kind."""
    kinds = KINDS[group] or tuple(LogKind)
    return sum(counts.get(kind, 0) for kind in kinds)


class KindBar(Widget):
    """The groups in a line, with the chosen one bold and underlined. A click chooses another."""

    DEFAULT_CSS = """
    KindBar { height: 1; padding: 0 2; }
    """

    @dataclass
    class GroupChosen(Message):
        """The operator chose a group."""

        group: LogGroup

    def __init__(self) -> None:
        super().__init__()
        self.group = LogGroup.ALL
        self._counts: Mapping[LogKind, int] = {}

    def show(self, counts: Mapping[LogKind, int]) -> None:
        """Show how many entries each group has; groups without entries are left out."""
        self._counts = counts
        self.refresh()

    def choose(self, group: LogGroup) -> None:
        """Mark a group as the chosen one."""
        self.group = group
        self.refresh()

    def after(self, steps: int) -> LogGroup:
        """The group `steps` to the right of the chosen one; the first follows the last."""
        shown = self._shown()
        return shown[(shown.index(self.group) + steps) % len(shown)]

    def render(self) -> Content:
        """Draw the groups with their counts."""
        return Content(GAP).join(self._label(group) for group in self._shown())

    def on_click(self, event: events.Click) -> None:
        """Choose the group that was clicked."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        left = 0
        for group in self._shown():
            right = left + self._label(group).cell_length
            if left <= offset.x < right:
                self.post_message(self.GroupChosen(group))
            left = right + len(GAP)

    def _shown(self) -> list[LogGroup]:
        """The groups that can be chosen."""
        return [
            group
            for group in LogGroup
            if group in {LogGroup.ALL, self.group} or count_of(group, self._counts)
        ]

    def _label(self, group: LogGroup) -> Content:
        name, count = group.value, f" {count_of(group, self._counts):,}"
        if group is self.group:
            return safe_text((name, f"{STRONG} underline"), (count, STRONG))
        return safe_text(name, (count, MUTED))
