"""Keeping a connection and its keys, and saying where they are now."""

from functools import partial

from amp_console.connections import Connection, KeysError, KeysProblem, store_keys
from amp_console.console.background import aside
from amp_console.console.connection_draft import Draft
from amp_console.console.context import Services
from amp_console.console.keyring import UntilQuit, ask_keyring, find
from amp_console.console.session import Session
from amp_console.values import Credentials

AS_BEFORE = "The keys are where they were."
IN_MEMORY = "The keys work for this session only: they are not saved anywhere."
NOT_KEPT = "The keys are not kept: they are asked for when you switch to the connection."
FROM_ENVIRONMENT = "The keys come from the environment, and were not stored."
OVERRIDDEN = "While AMP_CONSOLE_API_KEY is set, the environment's keys are used instead."


def session_of(services: Services, connection: Connection) -> Session | None:
    """The session at work, if it is this connection's."""
    session = services.session
    return session if session is not None and session.connection.id == connection.id else None


async def keys_for(services: Services, connection: Connection) -> Credentials:
    """The keys that are known for a connection. Raises `KeysError`."""
    session = session_of(services, connection)
    if session is not None:
        return await session.credentials()
    credentials, _ = await find(services, connection)
    return credentials


async def save(services: Services, made: Draft, *, opens: bool) -> str | None:
    """Keep a connection, and go on with it; return where its keys are now, in a sentence.

    `opens`: work with it from now on, unless something else is under way. None: there is no
    keyring to keep the keys in, and the operator did not want to go on without. Raises
    `KeysError` and `SettingsError`.
    """
    if made.credentials is None:
        await aside(services.environment.connections.save, made.connection)
        await _go_on(services, made.connection, opens=opens)
        return FROM_ENVIRONMENT if _environment_has_keys(services) else AS_BEFORE
    try:
        stored, where = await _stored(services, made.connection, made.credentials)
    except UntilQuit:
        return await _keep_in_memory(services, made.connection, made.credentials, opens=opens)
    except KeysError as error:
        if error.problem is not KeysProblem.NO_KEYRING:
            raise
        if not await _goes_on_without(services, error):
            return None
        return await _keep_in_memory(services, made.connection, made.credentials, opens=opens)
    await _go_on(services, stored, opens=opens)
    if (session := session_of(services, stored)) is not None:
        session.forget_keys()
    return f"{where} {OVERRIDDEN}" if _environment_has_keys(services) else where


def _environment_has_keys(services: Services) -> bool:
    return bool(services.environment.environ.get("AMP_CONSOLE_API_KEY"))


async def _keep_in_memory(
    services: Services, connection: Connection, credentials: Credentials, *, opens: bool
) -> str:
    await aside(services.environment.connections.save, connection)
    await _go_on(services, connection, opens=opens)
    session = session_of(services, connection)
    if session is None:
        return NOT_KEPT
    session.use_until_quit(credentials)
    return IN_MEMORY


async def _stored(
    services: Services, connection: Connection, credentials: Credentials
) -> tuple[Connection, str]:
    store, keyring = services.environment.connections, services.environment.keyring
    stored = await ask_keyring(
        services, partial(store_keys, store, keyring, connection, credentials)
    )
    return stored, f"The keys are in your keyring ({await aside(keyring.backend_name)})."


async def _goes_on_without(services: Services, error: KeysError) -> bool:
    from amp_console.console.dialogs.keyring_wait import KeyringQuestion

    return await KeyringQuestion(str(error), can_try_again=False).asked(services) is not None


async def _go_on(services: Services, connection: Connection, *, opens: bool) -> None:
    """Work with the settings as they are now."""
    session = session_of(services, connection)
    if session is not None:
        session.change(connection)
        services.publish_ledger_change()
    elif opens and not services.jobs.is_busy:
        await services.sessions.open(connection)
