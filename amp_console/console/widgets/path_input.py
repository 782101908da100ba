"""An input for a path, completed with Tab."""

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from amp_console.console.background import in_thread
from amp_console.console.lifecycle import deferred
from amp_console.console.paths import PathListing, completed, listing


class PathInput(Input):
    """A path. Tab completes it as far as it is unambiguous; otherwise it moves to the next field.

    It also moves on while a suggested path is unchanged.

    It posts `FilesListed` whenever it has found the files for the current text.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", show=False)]

    @dataclass
    class FilesListed(Message):
        """The files that the text names, and the entries that could complete it."""

        input: "PathInput"
        listing: PathListing

        @property
        def control(self) -> "PathInput":
            return self.input

    def __init__(
        self,
        value: str = "",
        *,
        placeholder: str = "",
        is_selected: bool = False,
        id: str | None = None,  # noqa: A002  # Textual's word
    ) -> None:
        """`is_selected`: the next letter replaces the suggested path instead of extending it.

        A path that was typed is extended, even after the focus has come back.
        """
        super().__init__(value, placeholder=placeholder, select_on_focus=is_selected, id=id)
        self.listing = PathListing((), (), "")
        self._listed = ""  # the text of the current listing
        self._put_forward = value

    def on_mount(self) -> None:
        self.refresh_listing()

    def on_input_changed(self) -> None:
        self.select_on_focus = self.select_on_focus and self.value == self._put_forward
        self.refresh_listing()

    def refresh_listing(self) -> None:
        """List the files in the background: a network disk may take long."""
        self.run_worker(deferred(self._refresh), group="listing", exclusive=True)

    async def _refresh(self) -> None:
        self.post_message(self.FilesListed(self, await self.read_listing()))

    async def read_listing(self) -> PathListing:
        """Return the files for the current text."""
        text = self.value
        self.listing, self._listed = await in_thread(listing, text), text
        return self.listing

    async def action_complete(self) -> None:
        if self._listed != self.value:  # Tab came right after the last letter
            await self.read_listing()
        is_unchanged = bool(self.value) and self.value == self._put_forward
        longer = self.value if is_unchanged else completed(self.value, self.listing.entries)
        if longer == self.value:
            self.screen.focus_next()
        else:
            self.enter(longer)

    def enter(self, path: str) -> None:
        """Set the path, with the cursor at its end."""
        self.value = path
        self.cursor_position = len(path)
