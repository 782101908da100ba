"""A line for a path, completed with Tab."""

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from amp_console.console.background import aside
from amp_console.console.lifecycle import deferred
from amp_console.console.paths import PathListing, completed, listing


class PathInput(Input):
    """A path. Tab completes it as far as it is unambiguous, else moves on as in other fields.

    It moves on from a path that was put forward, as long as that is unchanged.

    It posts `FilesListed` whenever it knows the files for what is typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", show=False)]

    @dataclass
    class FilesListed(Message):
        """The files that the text names, and the entries it could go on with."""

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
        """`is_selected`: the next letter replaces what is put forward, instead of extending it."""
        super().__init__(value, placeholder=placeholder, select_on_focus=is_selected, id=id)
        self.listing = PathListing((), (), "")
        self._listed = ""  # the text that the listing is of
        self._put_forward = value

    def on_mount(self) -> None:
        self.refresh_listing()

    def on_input_changed(self) -> None:
        self.refresh_listing()

    def refresh_listing(self) -> None:
        """List the files beside the screen: a network disk may take long."""
        self.run_worker(deferred(self._refresh), group="listing", exclusive=True)

    async def _refresh(self) -> None:
        self.post_message(self.FilesListed(self, await self.read_listing()))

    async def read_listing(self) -> PathListing:
        """Return the files for what is typed now."""
        text = self.value
        self.listing, self._listed = await aside(listing, text), text
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
        """Put in a path, with the cursor after it."""
        self.value = path
        self.cursor_position = len(path)
