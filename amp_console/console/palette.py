"""The command palette, with a workaround for a fault of Textual's."""

from contextlib import suppress

from textual.command import CommandPalette


class Palette(CommandPalette):
    """Textual's own, which a page key does not end the console in.

    Between new commands and the next layout the list knows no lines, and paging in it fails.
    """

    def _action_command_list(self, action: str) -> None:
        with suppress(LookupError):
            super()._action_command_list(action)
