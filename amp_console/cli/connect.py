"""`amp-console connect`: add an Amplitude project; test its keys and save them."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import misuse, read_age, refuse_password
from amp_console.cli.output import ask_for, ask_password, piped, say

if TYPE_CHECKING:
    from amp_console.connections import Connection
    from amp_console.sync.ledgers import LedgerPlace
    from amp_console.sync.queries.key_check import KeysAccepted
    from amp_console.values import Credentials, Secret


@click.command()
@click.argument("name")
@click.option(
    "--app-id", type=int, required=True, metavar="ID", help="App ID: the project ID in Amplitude."
)
@click.option(
    "--owner-email", required=True, metavar="EMAIL", help="Login email of the owner of new cohorts."
)
@click.option(
    "--region",
    type=click.Choice(["north-america", "europe"]),
    help="The project's region; the default is north-america.",
)
@click.option(
    "--base-url", metavar="URL", help="Use another address, e.g. a gateway or the simulator."
)
@click.option("--prefix/--no-prefix", help='Start the names of new cohorts with "[Segment] ".')
@click.option(
    "--user-id-path",
    default=["$.userId"],
    metavar="PATH",
    multiple=True,
    show_default=True,
    help="Field of an event that holds the User ID. Repeatable: the first field present counts.",
)
@click.option(
    "--amplitude-id-path",
    metavar="PATH",
    multiple=True,
    help="Field that holds the Amplitude ID, e.g. $.traits.amplitude_id. Repeatable.",
)
@click.option(
    "--read-only/--writable",
    default=None,
    help="Never send anything to this project, or allow it again.  [default: unchanged]",
)
@click.option(
    "--keep-history",
    metavar="AGE",
    callback=read_age,
    help="Delete runs, requests, comparisons, log entries and backups older than AGE, e.g. "
    "90d; or forever.  [default: unchanged, at first forever]",
)
@click.option(
    "--ledger",
    "ledger_url",
    metavar="URL",
    help="Where the ledger is: postgresql://USER@HOST/DATABASE for a team, or file.  [default: "
    "unchanged, at first file]",
)
@click.option(
    "--operator",
    metavar="NAME",
    help='Name that others who share the ledger see; "" is user@host.  [default: unchanged]',
)
@click.option(
    "--ledger-password-stdin",
    is_flag=True,
    help="Read the ledger's password from a hidden prompt, or from stdin after the keys.",
)
@click.option(
    "--keys-stdin",
    is_flag=True,
    help="Read the API Key and the Secret Key from stdin, one per line.",
)
@click.option("--save-keys", is_flag=True, help="Also store keys that come from the environment.")
def connect(
    name: str,
    app_id: int,
    owner_email: str,
    region: str | None,
    base_url: str | None,
    prefix: bool,
    user_id_path: tuple[str, ...],
    amplitude_id_path: tuple[str, ...],
    read_only: bool | None,
    keep_history: int | None,
    operator: str | None,
    ledger_url: str | None,
    ledger_password_stdin: bool,
    keys_stdin: bool,
    save_keys: bool,
) -> int:
    """Connect an Amplitude project, or change a connection.

    Choose any NAME. The keys come from a hidden prompt, from stdin, or from AMP_CONSOLE_API_KEY and
    AMP_CONSOLE_SECRET_KEY. They are tested, and stored in the OS keyring only, as is the password
    of a ledger.

    Changing --ledger does not move what the current ledger contains. To move it, run
    `amp-console ledger move URL` instead.
    """
    import msgspec

    from amp_console.cli.resources import connection_store
    from amp_console.connections import Connection, checked_operator
    from amp_console.sync.ledger_choice import entered_place
    from amp_console.values import Region

    _check_options(region, base_url, ledger_url, ledger_password_stdin=ledger_password_stdin)
    pages = connection_store()
    pages.check_writable()
    known = {page.name: page for page in pages.all()}.get(name)
    changed: dict[str, Any] = {}  # besides what every `connect` sets
    if read_only is not None:
        changed["read_only"] = read_only
    if keep_history is not None:
        changed["keep_history"] = keep_history or None
    with misuse():
        if operator is not None:
            changed["operator"] = checked_operator(operator)
        connection = msgspec.structs.replace(
            known or Connection(name=name, app_id=app_id, owner_email=owner_email),
            app_id=app_id,
            owner_email=owner_email,
            region=Region(region or Region.NORTH_AMERICA),
            base_url=_checked_url(base_url),
            prefix=prefix,
            user_id_path=", ".join(user_id_path),
            amplitude_id_path=", ".join(amplitude_id_path) or None,
            **changed,
        )
        _check_paths(connection)
        place = None if ledger_url is None else entered_place(ledger_url, known)
        if place is not None:
            refuse_password(place.password, "--ledger-password-stdin")
            if ledger_password_stdin and place.server is None:
                raise click.UsageError("A file needs no --ledger-password-stdin.")
        keys_text = piped() if keys_stdin else None
        if place is not None and ledger_password_stdin:
            keys_text, password = _password(keys_text)
            place = place._replace(password=password)
        credentials, is_from_environment = _keys(keys_text)
    accepted = _test(connection, credentials)
    if place is not None:
        connection = _keep_ledger(connection, place)
    connection = pages.save(connection, known)
    _say_accepted(connection, accepted)
    _log(known, connection, has_new_keys=False)
    if is_from_environment and not save_keys:
        say("The keys came from the environment and were not stored.")
        return Exit.DELIVERED
    return _store(connection, credentials)


def _check_options(
    region: str | None,
    base_url: str | None,
    ledger_url: str | None,
    *,
    ledger_password_stdin: bool,
) -> None:
    if region and base_url:
        raise click.UsageError("Use either --region or --base-url, not both.")
    if ledger_password_stdin and not ledger_url:
        raise click.UsageError("--ledger-password-stdin needs --ledger.")


def _password(keys_text: str | None) -> "tuple[str | None, Secret]":
    """The rest of stdin for the keys, and the ledger's password: typed, or stdin's last line."""
    from amp_console.values import Secret

    if keys_text is None:
        return None, ask_password("Password of the ledger")
    rest, _, text = keys_text.removesuffix("\n").rpartition("\n")
    return rest, Secret(text)


def _keep_ledger(connection: "Connection", place: "LedgerPlace") -> "Connection":
    """Open the ledger that was chosen, and save where it is. Raises `LedgerError`."""
    from amp_console.cli.resources import connection_store, keyring, ledgers
    from amp_console.sync.ledger_choice import keep_place, try_place
    from amp_console.text import clean, plural

    found, ring = ledgers(), keyring()
    audiences = try_place(found, connection, place)
    saved = keep_place(connection_store(), ring, connection, place)
    where = clean(found.where(saved, place), 300)
    say(f"The ledger is {where}, with {plural(audiences, 'audience')}.")
    if place.password is not None:
        say(ring.keeps("Its password is"))
    if found.is_from_environment:
        say(
            f"AMP_CONSOLE_LEDGER is set, so commands in this environment use {found.where(saved)}.",
            err=True,
        )
    return saved


def _checked_url(base_url: str | None) -> str | None:
    from amp_console.http.addresses import checked_base_url

    return checked_base_url(base_url) if base_url else None


def _check_paths(connection: "Connection") -> None:
    from amp_console.engage import FieldMapping

    FieldMapping.parse(connection.user_id_path, connection.amplitude_id_path)


def _keys(typed: str | None) -> "tuple[Credentials, bool]":
    """The keys, and whether they come from the environment; `typed` is stdin, if it was read.

    Raises `KeysError` and ValueError.
    """
    from amp_console.connections import (
        KeysError,
        KeysProblem,
        checked_keys,
        keys_from_environment,
        keys_from_two_lines,
    )

    if typed is not None:
        return keys_from_two_lines(typed), False
    found = keys_from_environment(os.environ)
    if found is not None:
        return found, True
    if not sys.stdin.isatty():
        raise KeysError(KeysProblem.MISSING)
    api_key = ask_for("API Key", is_hidden=True)
    secret_key = ask_for("Secret Key", is_hidden=True)
    return checked_keys(api_key, secret_key), False


def _test(connection: "Connection", credentials: "Credentials") -> "KeysAccepted":
    """Test the keys; a refusal ends the command with nothing saved."""
    import asyncio

    from amp_console.amplitude.client import AmplitudeClient
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.queries.key_check import WrongRegion, check_keys
    from amp_console.values import Region

    def client(region: Region) -> AmplitudeClient:
        import msgspec

        return client_for(msgspec.structs.replace(connection, region=region), credentials)

    say("Testing the keys…", err=True)
    try:
        return asyncio.run(
            check_keys(client, connection.region, has_other=connection.base_url is None)
        )
    except WrongRegion as error:
        say(str(error), err=True)
        raise click.exceptions.Exit(Exit.KEYS) from None


def _say_accepted(connection: "Connection", accepted: "KeysAccepted") -> None:
    from amp_console.text import clean

    say(f"Connected “{clean(connection.name)}”: {accepted.sentences}")
    if accepted.app_ids and connection.app_id not in accepted.app_ids:
        found = ", ".join(str(app_id_) for app_id_ in sorted(accepted.app_ids))
        say(
            f"However, its cohorts belong to App ID {found}, not {connection.app_id}, so "
            "Amplitude may refuse new cohorts. Connect again with the right --app-id.",
            err=True,
        )


def _store(connection: "Connection", credentials: "Credentials") -> int:
    from amp_console.cli.resources import connection_store, keyring
    from amp_console.connections import KeysError, KeysProblem, store_keys

    ring = keyring()
    try:
        store_keys(connection_store(), ring, connection, credentials, connection)
    except KeysError as error:
        if error.problem is not KeysProblem.NO_KEYRING:
            raise
        say(
            "The connection was saved without its keys, because this machine has no keyring. Sign "
            "in to a desktop session and connect again, or set AMP_CONSOLE_API_KEY and "
            "AMP_CONSOLE_SECRET_KEY for each run.",
            err=True,
        )
        return Exit.KEYS
    _log(connection, connection, has_new_keys=True)
    say(f"The keys are in your keyring ({ring.backend_name()}).")
    return Exit.DELIVERED


def _log(before: "Connection | None", after: "Connection", *, has_new_keys: bool) -> None:
    from amp_console.cli.resources import ledgers
    from amp_console.sync.connection_log import log_connection_saved

    log_connection_saved(ledgers(), before, after, has_new_keys=has_new_keys)
