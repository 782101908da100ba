"""Using the keyring without blocking the console, and the dialogs for waiting.

A dialog says that the keyring has not answered yet, and lets the operator stop waiting.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from amp_console.connections import (
    Connection,
    KeysError,
    KeySource,
    KeysProblem,
    checked_keys,
    find_keys,
)
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Answer, Dialog, Question
from amp_console.console.texts import BAD, safe_text
from amp_console.console.widgets.button_row import ButtonRow
from amp_console.console.widgets.fields import Field
from amp_console.console.widgets.key_input import KeyInput
from amp_console.values import Credentials

T = TypeVar("T")

WAITING = "Waiting for your keyring. It is asking for your password in another window."
NOT_ITS_KEYS = (
    "The keys in the environment are not used for it: they are for the connection that amp-console "
    "is started with (--connection NAME), or for the only one."
)
IN_MEMORY = "They are kept in memory only, until you quit."
AGAIN, UNTIL_QUIT = "again", "until-quit"


class WaitingDialog(Dialog[bool]):
    """Shown while the keyring does not answer. Its answer is True to stop waiting."""

    TITLE_TEXT = "Keyring"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(True)", "Stop waiting", key_display="Esc", show=False),
    ]

    def box(self) -> ComposeResult:
        yield Static(WAITING)
        with ButtonRow():
            yield self.button_of("dismiss(True)", "stop")

    def on_mount(self) -> None:
        self.query_one("#stop").focus()


class KeyringQuestion(Question[str]):
    """Says how the keyring failed, and asks what to do: AGAIN, UNTIL_QUIT or None."""

    TITLE_TEXT = "Keyring"

    def __init__(self, what: str, *, can_try_again: bool = True) -> None:
        super().__init__()
        self._what = what
        self._can_try_again = can_try_again

    def answers(self) -> Sequence[Answer]:
        session = Answer(UNTIL_QUIT, "Use for this session", "u" if self._can_try_again else "y")
        again = Answer(AGAIN, "Try again", "y", "primary")
        return (again, session) if self._can_try_again else (session,)

    def text(self) -> ComposeResult:
        yield Static(safe_text(self._what))

    def give(self, name: str) -> None:
        self.dismiss(None if name == self.LEAVE else name)


class KeysDialog(Dialog[Credentials]):
    """Asks for both keys of a connection, which are kept in memory only."""

    TITLE_TEXT = "Keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2,ctrl+s", "use", "Use for this session", key_display="F2", show=False),
        Binding("escape", "dismiss(None)", "Cancel", key_display="Esc", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]

    def __init__(self, why: str) -> None:
        super().__init__()
        self._why = why
        self._has_mistake = False

    def box(self) -> ComposeResult:
        yield Static(safe_text(self._why, "\n", IN_MEMORY))
        yield Static("")
        yield Field("API Key", KeyInput(id="api-key"))
        yield Field("Secret Key", KeyInput(id="secret-key"))
        yield Static(id="mistake")
        with ButtonRow():
            yield self.button_of("dismiss(None)", "cancel")
            yield self.button_of("use", "use", "primary")

    @property
    def enter_does(self) -> str:
        """Enter in the second input uses both keys; in the first, it moves on."""
        is_last = self.focused is self.query_one("#secret-key")
        return "use" if is_last else super().enter_does

    def on_mount(self) -> None:
        self.query_one("#api-key").focus()

    def on_key_input_both_pasted(self, event: KeyInput.BothPasted) -> None:
        self.query_one("#api-key", KeyInput).value = event.api_key.reveal()
        self.query_one("#secret-key", KeyInput).value = event.secret_key.reveal()
        self.query_one("#use").focus()

    def on_input_submitted(self, event: KeyInput.Submitted) -> None:
        """Move on to the second key, then use both."""
        if event.input.id == "api-key":
            self.query_one("#secret-key").focus()
        else:
            self.action_use()

    def on_input_changed(self) -> None:
        """Clear a mistake as soon as it is corrected."""
        if self._has_mistake:
            self._checked()

    def action_use(self) -> None:
        """Answer with both keys, unless one is invalid."""
        keys = self._checked()
        if keys is not None:
            self.dismiss(keys)

    def _checked(self) -> Credentials | None:
        """Return the entered keys; None if they are invalid, which the dialog shows."""
        api_key, secret_key = (item.value for item in self.query(KeyInput))
        keys, wrong = None, ""
        try:
            keys = checked_keys(api_key, secret_key)
        except ValueError as error:
            wrong = str(error)
        self._has_mistake = bool(wrong)
        self.query_one("#mistake", Static).update(safe_text((wrong, BAD)))
        return keys


STOPPED = "You stopped waiting for your keyring. Nothing was changed."
NOT_GIVEN = "No keys were entered. Nothing was sent. To keep keys, edit the connection: press 5."


class UntilQuit(Exception):
    """The operator continues without the keyring: the keys stay in memory only."""


async def ask_keyring(services: Services, work: Callable[[], T]) -> T:
    """Do work that uses the keyring in the background, and return its result.

    If it takes long, a dialog says so. If the keyring is locked, or its prompt is not answered, the
    operator may try again any number of times. Raises `KeysError` and `UntilQuit`.
    """
    while True:
        try:
            return await _waited_for(services, work)
        except _Stopped:
            error = KeysError(KeysProblem.WAITING, message=STOPPED)
        except KeysError as found:
            if found.problem is not KeysProblem.LOCKED:
                raise
            error = found
        answer = await KeyringQuestion(str(error)).asked(services)
        if answer is None:
            raise error
        if answer != AGAIN:
            raise UntilQuit


async def find(services: Services, connection: Connection) -> tuple[Credentials, KeySource]:
    """Return a connection's keys: from the environment, the keyring, or the operator.

    Raises `KeysError` if there are none.
    """
    environ = services.environment_keys.environ_of(connection)
    find = partial(find_keys, connection, environ, services.environment.keyring)
    try:
        return await ask_keyring(services, find)
    except UntilQuit:
        why = f"Enter the keys of “{connection.name}”."
    except KeysError as error:
        if (reason := _why_typed(services, connection, error)) is None:
            raise
        why = reason
    typed = await KeysDialog(why).asked(services)
    if typed is None:
        raise KeysError(KeysProblem.MISSING, message=NOT_GIVEN)
    return typed, KeySource.THIS_RUN


def _why_typed(services: Services, connection: Connection, error: KeysError) -> str | None:
    """Return why keys have to be typed; None if something else has to be done."""
    if services.environment_keys.belong_to(connection):
        return None  # one of the two variables is missing
    why_not_environment = f" {NOT_ITS_KEYS}" if services.environment_keys.are_set else ""
    match error.problem:
        case KeysProblem.NO_KEYRING:
            return (
                f"This machine has no keyring. Enter the keys of “{connection.name}” to continue."
                f"{why_not_environment}"
            )
        case KeysProblem.MISSING:
            return (
                f"No keys are stored for “{connection.name}”. Enter them to continue now. To keep "
                f"them, edit the connection (press 5).{why_not_environment}"
            )
    return None


class _Stopped(Exception):
    """The operator has stopped waiting."""


async def _waited_for(services: Services, work: Callable[[], T]) -> T:
    """Do the work; if it takes long, say so, and let the operator stop waiting."""
    keyring = services.environment.keyring
    working = asyncio.ensure_future(in_thread(work))
    showing: asyncio.Future[bool | None] | None = None
    try:
        done, _ = await asyncio.wait({working}, timeout=services.environment.say_waiting_after)
        if done:
            return working.result()
        showing = asyncio.ensure_future(WaitingDialog().asked(services))
        await asyncio.wait({working, showing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            keyring.stop_waiting()
            return await _ended(working)
        return working.result()
    except asyncio.CancelledError:
        keyring.stop_waiting()  # otherwise the work could still be done with no one waiting
        raise
    finally:
        for task in (showing, working):
            if task is not None and not task.done():
                task.cancel()


async def _ended(working: "asyncio.Future[T]") -> T:
    """Return the result once waiting for the keyring has been stopped."""
    try:
        return await working
    except KeysError as error:
        if error.problem is KeysProblem.WAITING:
            raise _Stopped from None
        raise
