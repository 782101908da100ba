"""What is asked and said while the keyring keeps us waiting, or gives nothing.

Each of these may be asked for from anywhere, a sync under way for one: the answer is a future of
their own, since Textual's would go to the screen that was in front when they were opened.
"""

import asyncio
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Static

from amp_console.connections import checked_keys
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Dialog
from amp_console.console.texts import BAD, said, with_key
from amp_console.console.widgets.fields import Field
from amp_console.console.widgets.key_input import KeyInput
from amp_console.values import Credentials

T = TypeVar("T")

WAITING = "Waiting for your keyring… it is asking for your password in another window."
IN_MEMORY = "They are kept in memory alone, and are gone when you quit."
AGAIN, UNTIL_QUIT = "again", "until-quit"


class KeyringDialog(Dialog[T], Generic[T]):
    """A dialog whose answer can be awaited anywhere; None where it was closed without one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", "Close", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._answer: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._is_closing = False

    async def asked(self, services: Services) -> T | None:
        """Show the dialog, and wait for its answer."""
        services.show(self)
        try:
            return await self._answer
        finally:
            self.give(None)

    def give(self, answer: T | None) -> None:
        """Answer, and close as soon as nothing is in front."""
        if not self._answer.done():
            self._answer.set_result(answer)
        self._close_when_answered()

    def on_screen_resume(self) -> None:
        """Close, if the answer came while something else was in front."""
        self._close_when_answered()

    def on_unmount(self) -> None:
        """Whoever waits, waits no more."""
        if not self._answer.done():
            self._answer.set_result(None)

    def action_give_up(self) -> None:
        """Close without an answer."""
        self.give(None)

    def _close_when_answered(self) -> None:
        if self._answer.done() and self.is_active and not self._is_closing:
            self._is_closing = True
            self.dismiss(None)


class WaitingDialog(KeyringDialog[bool]):
    """Shown while the keyring does not answer. True: the operator waits no longer."""

    TITLE_TEXT = "Keyring"

    def box(self) -> ComposeResult:
        """Why one waits, and the way out."""
        yield Static(WAITING)
        with Horizontal(classes="buttons"):
            yield Button(with_key("Stop waiting", "esc"), id="stop", compact=True)

    def on_mount(self) -> None:
        """Enter stops."""
        self.query_one("#stop").focus()

    def on_button_pressed(self) -> None:
        """Stop waiting."""
        self.give(True)

    def action_give_up(self) -> None:
        """Esc stops waiting, too."""
        self.give(True)


class KeyringQuestion(KeyringDialog[str]):
    """Says what the keyring did not do, and asks how to go on: AGAIN, UNTIL_QUIT or None."""

    TITLE_TEXT = "Keyring"

    def __init__(self, what: str, *, can_try_again: bool = True) -> None:
        super().__init__()
        self._what = what
        self._can_try_again = can_try_again

    def box(self) -> ComposeResult:
        """What happened, and the answers."""
        yield Static(said(self._what))
        with Horizontal(classes="buttons"):
            yield Button(with_key("Cancel", "esc"), id="cancel", compact=True)
            yield Button("Use for this session", id=UNTIL_QUIT, compact=True)
            if self._can_try_again:
                yield Button("Try again", id=AGAIN, variant="primary", compact=True)

    def on_mount(self) -> None:
        """Enter tries again, or else does nothing."""
        self.query_one(f"#{AGAIN}" if self._can_try_again else "#cancel").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.give(None if event.button.id == "cancel" else event.button.id)


class KeysDialog(KeyringDialog[Credentials]):
    """Asks for both keys of a connection, to be kept in memory alone."""

    TITLE_TEXT = "Keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, why: str) -> None:
        super().__init__()
        self._why = why
        self._is_told = False

    def box(self) -> ComposeResult:
        """Why they are asked for, and two masked lines."""
        yield Static(said(self._why, "\n", IN_MEMORY))
        yield Static("")
        yield Field("API Key", KeyInput(id="api-key"))
        yield Field("Secret Key", KeyInput(id="secret-key"))
        yield Static(id="mistake")
        with Horizontal(classes="buttons"):
            yield Button(with_key("Cancel", "esc"), id="cancel", compact=True)
            yield Button("Use for this session", id="use", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Type the first key."""
        self.query_one("#api-key").focus()

    def on_key_input_both_pasted(self, event: KeyInput.BothPasted) -> None:
        """Fill both."""
        self.query_one("#api-key", KeyInput).value = event.api_key.reveal()
        self.query_one("#secret-key", KeyInput).value = event.secret_key.reveal()
        self.query_one("#use").focus()

    def on_input_submitted(self, event: KeyInput.Submitted) -> None:
        """Go on to the second key, and then use both."""
        if event.input.id == "api-key":
            self.query_one("#secret-key").focus()
        else:
            self._use()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id == "use":
            self._use()
        else:
            self.give(None)

    def on_input_changed(self) -> None:
        """Take a mistake back as soon as it is corrected."""
        if self._is_told:
            self._checked()

    def _use(self) -> None:
        keys = self._checked()
        if keys is not None:
            self.give(keys)

    def _checked(self) -> Credentials | None:
        """The keys as entered; None where something is wrong with them, which is told."""
        api_key, secret_key = (item.value for item in self.query(KeyInput))
        keys, wrong = None, ""
        try:
            keys = checked_keys(api_key, secret_key)
        except ValueError as error:
            wrong = str(error)
        self._is_told = bool(wrong)
        self.query_one("#mistake", Static).update(said((wrong, BAD)))
        return keys
