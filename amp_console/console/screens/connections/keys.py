"""Testing the keys of a connection, and saving it with them."""

import enum
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from amp_console.amplitude import AmplitudeError, KeysReason, KeysRefused, Transient
from amp_console.connections import Connection, KeysError, KeysProblem, store_keys
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.dialogs.keyring import KeyringQuestion, UntilQuit, ask_keyring, find
from amp_console.console.screens.connections.draft import Draft
from amp_console.sync.queries.key_check import KeysAccepted, WrongRegion, check_keys
from amp_console.values import Credentials, Region

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient

AS_BEFORE = "The stored keys are unchanged."
IN_MEMORY = "The keys are used for this session only, and are not saved."
NOT_KEPT = "The keys are not saved. The console asks for them when you switch to the connection."
FROM_ENVIRONMENT = "The keys came from the environment and were not stored."
OVERRIDDEN = "While AMP_CONSOLE_API_KEY is set, the environment's keys are used instead."


async def keys_for(services: Services, connection: Connection) -> Credentials:
    """Return the known keys of a connection. Raises `KeysError`."""
    session = services.connections.session_of(connection)
    if session is not None:
        return await session.credentials()
    credentials, _ = await find(services, connection)
    return credentials


async def save(
    services: Services, made: Draft, before: Connection | None, *, opens: bool
) -> str | None:
    """Save a connection and use it; return a sentence on where its keys are now.

    `before` is its state before the change, None for a new one. `opens`: open it. Return None if
    there is no keyring and the operator declined to continue without one. Raises `KeysError` and
    `SettingsError`.
    """
    if made.credentials is None:
        saved = await in_thread(services.environment.connections.save, made.connection, before)
        await _go_on(services, saved, opens=opens)
        return (
            FROM_ENVIRONMENT if services.environment_keys.belong_to(made.connection) else AS_BEFORE
        )
    try:
        stored, where = await _stored(services, made.connection, made.credentials, before)
    except UntilQuit:
        return await _keep_in_memory(
            services, made.connection, made.credentials, before, opens=opens
        )
    except KeysError as error:
        if error.problem is not KeysProblem.NO_KEYRING:
            raise
        if not await _goes_on_without(services, error):
            return None
        return await _keep_in_memory(
            services, made.connection, made.credentials, before, opens=opens
        )
    await _go_on(services, stored, opens=opens)
    if (session := services.connections.session_of(stored)) is not None:
        session.forget_keys()
    return f"{where} {OVERRIDDEN}" if services.environment_keys.belong_to(stored) else where


async def _keep_in_memory(
    services: Services,
    connection: Connection,
    credentials: Credentials,
    before: Connection | None,
    *,
    opens: bool,
) -> str:
    saved = await in_thread(services.environment.connections.save, connection, before)
    await _go_on(services, saved, opens=opens)
    session = services.connections.session_of(connection)
    if session is None:
        return NOT_KEPT
    session.use_until_quit(credentials)
    return IN_MEMORY


async def _stored(
    services: Services,
    connection: Connection,
    credentials: Credentials,
    before: Connection | None,
) -> tuple[Connection, str]:
    store, keyring = services.environment.connections, services.environment.keyring
    stored = await ask_keyring(
        services, partial(store_keys, store, keyring, connection, credentials, before)
    )
    return stored, f"The keys are in your keyring ({await in_thread(keyring.backend_name)})."


async def _goes_on_without(services: Services, error: KeysError) -> bool:
    return await KeyringQuestion(str(error), can_try_again=False).asked(services) is not None


async def _go_on(services: Services, connection: Connection, *, opens: bool) -> None:
    """Use the settings as they are now."""
    if services.environment_keys.are_for_first:
        services.environment_keys.give_to(connection)
    session = services.connections.session_of(connection)
    if session is not None:
        services.connections.change(connection)
        services.publish_ledger_change()
    elif opens:
        await services.connections.open(connection)


class KeyVerdict(enum.Enum):
    """The result of a test. UNTESTED: there was no answer about the keys."""

    ACCEPTED = "accepted"
    OTHER_APP = "other app"
    REFUSED = "refused"
    UNTESTED = "untested"


TONES = {
    KeyVerdict.ACCEPTED: "good",
    KeyVerdict.OTHER_APP: "warn",
    KeyVerdict.REFUSED: "bad",
    KeyVerdict.UNTESTED: "warn",
}
"""The tone of each verdict."""


class KeyCheckResult(NamedTuple):
    """The result of a test; `field` is where it is shown, "" for the form as a whole.

    `region` and `app_id` are the right values, if known.
    """

    verdict: KeyVerdict
    text: str
    field: str = ""
    region: Region | None = None
    app_id: int | None = None


async def try_keys(
    connection: Connection,
    credentials: Credentials,
    region_urls: Mapping[Region, str] | None = None,
) -> KeyCheckResult:
    """Ask Amplitude for its cohorts with the keys, which uses no quota.

    `region_urls` replace Amplitude's own addresses.
    """
    from amp_console.sync.connection_options import client_for

    def client(region: Region) -> "AmplitudeClient":
        of_region = msgspec.structs.replace(connection, region=region)
        return client_for(of_region, credentials, region_urls)

    has_other = connection.base_url is None
    try:
        accepted = await check_keys(client, connection.region, has_other=has_other)
    except WrongRegion as error:
        text = (
            f"Amplitude does not know these keys in {connection.region.label}: they belong to a "
            f"project in {error.region.label}."
        )
        return KeyCheckResult(KeyVerdict.REFUSED, text, "region", region=error.region)
    except KeysRefused as error:
        return _refused(connection, error)
    except Transient as error:
        return KeyCheckResult(KeyVerdict.UNTESTED, str(error))
    except AmplitudeError as error:
        return KeyCheckResult(KeyVerdict.REFUSED, str(error))
    return _accepted(connection, accepted)


def _refused(connection: Connection, error: KeysRefused) -> KeyCheckResult:
    if error.reason is KeysReason.UNKNOWN_KEY:
        here = connection.region
        where = f"in {here.label}, nor in {here.other.label}" if not connection.base_url else ""
        unknown = f"Amplitude does not know this API Key {where}".rstrip()
        text = f"{unknown}. Copy it again from Amplitude."
        return KeyCheckResult(KeyVerdict.REFUSED, text, "api-key")
    if error.reason is KeysReason.WRONG_SECRET:
        text = "The API Key is right, but this is not its Secret Key. Copy it again from Amplitude."
        return KeyCheckResult(KeyVerdict.REFUSED, text, "secret-key")
    return KeyCheckResult(KeyVerdict.REFUSED, str(error))


def _accepted(connection: Connection, accepted: KeysAccepted) -> KeyCheckResult:
    if not accepted.app_ids or connection.app_id in accepted.app_ids:
        return KeyCheckResult(KeyVerdict.ACCEPTED, accepted.sentences)
    found = sorted(accepted.app_ids)
    named = ", ".join(map(str, found[:5]))
    return KeyCheckResult(
        KeyVerdict.OTHER_APP,
        f"The keys work, but their cohorts belong to App ID {named}, so Amplitude may refuse new "
        "cohorts.",
        "app-id",
        app_id=found[0] if len(found) == 1 else None,
    )
