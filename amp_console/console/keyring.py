"""Asking the keyring without freezing: who waits is told so, and may stop waiting."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from amp_console.connections import Connection, KeysError, KeySource, KeysProblem, find_keys
from amp_console.connections.key_errors import KEY_VARIABLES
from amp_console.console.background import aside
from amp_console.console.context import Services
from amp_console.values import Credentials

T = TypeVar("T")

STOPPED = "Your keyring did not answer, and you stopped waiting. Nothing was changed."
NOT_GIVEN = "No keys were given. Nothing was sent. To keep keys, edit the connection: press 4."


class UntilQuit(Exception):
    """The operator does without the keyring: the keys are to be kept in memory alone."""


async def ask_keyring(services: Services, work: Callable[[], T]) -> T:
    """Do work that asks the keyring, beside the screen, and return its result.

    A dialog says so when it takes long; a keyring that is locked, or that nobody answers, is
    asked again as often as the operator wants. Raises `KeysError`, and `UntilQuit`.
    """
    from amp_console.console.dialogs.keyring_wait import AGAIN, KeyringQuestion

    while True:
        try:
            return await _waited_for(services, work)
        except _Stopped:
            error = KeysError(KeysProblem.WAITING, words=STOPPED)
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
    """Return a connection's keys: from the environment, the keyring, or the operator's hands.

    Raises `KeysError`: there are none.
    """
    from amp_console.console.dialogs.keyring_wait import KeysDialog

    premises = services.environment
    glyphs = partial(find_keys, connection, premises.environ, premises.keyring)
    try:
        return await ask_keyring(services, glyphs)
    except UntilQuit:
        why = f"Type the keys of “{connection.name}”."
    except KeysError as error:
        if (reason := _why_typed(services, connection, error)) is None:
            raise
        why = reason
    typed = await KeysDialog(why).asked(services)
    if typed is None:
        raise KeysError(KeysProblem.MISSING, words=NOT_GIVEN)
    return typed, KeySource.THIS_RUN


def _why_typed(services: Services, connection: Connection, error: KeysError) -> str | None:
    """Say why keys have to be typed; None where something else has to be done."""
    if any(services.environment.environ.get(variable) for variable in KEY_VARIABLES):
        return None  # one of the two is missing there
    match error.problem:
        case KeysProblem.NO_KEYRING:
            return f"This machine has no keyring. Type the keys of “{connection.name}” to continue."
        case KeysProblem.MISSING:
            return (
                f"No keys are stored for “{connection.name}”. Type them to continue now; to keep "
                "them, edit the connection (press 4)."
            )
    return None


class _Stopped(Exception):
    """The operator waits no longer."""


async def _waited_for(services: Services, work: Callable[[], T]) -> T:
    """Do the work; while it takes long, show that, and let the operator stop waiting."""
    from amp_console.console.dialogs.keyring_wait import WaitingDialog

    keyring = services.environment.keyring
    working = asyncio.ensure_future(aside(work))
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
        keyring.stop_waiting()  # or what nobody waits for would be done after all
        raise
    finally:
        for task in (showing, working):
            if task is not None and not task.done():
                task.cancel()


async def _ended(working: "asyncio.Future[T]") -> T:
    """What the work came to after all, when nobody waits for the keyring any longer."""
    try:
        return await working
    except KeysError as error:
        if error.problem is KeysProblem.WAITING:
            raise _Stopped from None
        raise
