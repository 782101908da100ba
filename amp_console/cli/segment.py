"""`amp-console segment`: the Segment space whose API is asked, and its tokens."""

import sys
from typing import TYPE_CHECKING, TypeVar

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, json_option
from amp_console.cli.output import ask_for, piped, say

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from amp_console.connections import Connection, SegmentSpace
    from amp_console.ledger.segment_audiences import SpaceReading
    from amp_console.values import Secret, SegmentAudience

T = TypeVar("T")
NO_SPACE = "No Segment space is connected. Connect one with: amp-console segment connect --space ID"
PUBLIC, PROFILES = "Public API token", "Profile API token"


@click.group()
def segment() -> None:
    """Connect the Segment space of your audiences.

    Segment can then be asked about them; amp-console only reads from it. The space is in the
    connection's settings, its tokens are in the keyring only.
    """


@segment.command()
@click.option("--space", "space_id", metavar="ID", help="The space, e.g. spa_o1E.")
@click.option(
    "--region", type=click.Choice(["us", "eu"]), help="The workspace's region; the default is us."
)
@click.option(
    "--base-url", metavar="URL", help="Use another address, e.g. a gateway or the simulator."
)
@click.option(
    "--profiles-token",
    "with_profiles",
    is_flag=True,
    help="Also ask for the space's Profile API token, which `person` uses.",
)
@click.option("--token-stdin", is_flag=True, help="Read the tokens from stdin, one per line.")
@connection_option
def connect(
    space_id: str | None,
    region: str | None,
    base_url: str | None,
    with_profiles: bool,
    token_stdin: bool,
    connection_name: str | None,
) -> int:
    """Connect a space, or change its tokens.

    The token for Segment's Public API is read from a hidden prompt or from stdin, tested, and
    stored in the OS keyring only. With --profiles-token, the command also asks for the access token
    of the Profile API. If the space is connected already, it asks for that token only.
    """
    from amp_console.cli.resources import keyring, ledgers, to_change
    from amp_console.connections import save_space
    from amp_console.sync.connection_log import log_connection_saved
    from amp_console.text import clean, plural

    if region and base_url:
        raise click.UsageError("Use either --region or --base-url, not both.")
    store, connection = to_change(connection_name)
    space = _wanted(connection.segment, space_id, region, base_url)
    had_profiles = connection.segment is not None and connection.segment.profiles_item is not None
    names = [PROFILES] if with_profiles else []
    if not (with_profiles and space == connection.segment and space.token_item):
        names.insert(0, PUBLIC)
    tokens = dict(zip(names, _tokens(names, from_stdin=token_stdin), strict=True))
    token, profiles_token = tokens.get(PUBLIC), tokens.get(PROFILES)
    say("Asking Segment…", err=True)
    audiences = _audiences(space, token) if token is not None else None
    if profiles_token is not None:
        _test_profiles(space, profiles_token)
    ring = keyring()
    saved = save_space(store, ring, connection, space, token=token, profiles_token=profiles_token)
    log_connection_saved(ledgers(), connection, saved)
    if audiences is None:
        say(f"Segment accepted the token of the Profile API for the space {clean(space.id)}.")
    else:
        missing = _keep(connection, space.id, audiences)
        say(
            f"Connected the Segment space {clean(space.id)}: it has "
            f"{plural(len(audiences), 'audience')}, {missing:,} of them not in the ledger."
        )
    say(ring.keeps("The token is" if len(names) == 1 else "The tokens are"))
    if had_profiles and not (saved.segment and saved.segment.profiles_item):
        say(
            "The earlier token of the Profile API is no longer used: it was for another space or "
            "address. To enter one: amp-console segment connect --profiles-token"
        )
    if audiences is not None:
        say("To see the sizes side by side: amp-console audiences --segment")
    return Exit.DELIVERED


@segment.command()
@json_option
@connection_option
def show(as_json: bool, connection_name: str | None) -> int:
    """Show the connected space without asking Segment."""
    from amp_console.cli.documents import print_document
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.segment_audiences import space_reading
    from amp_console.sync.formatting import iso_time
    from amp_console.text import clean, local_time, plural

    with open_connection(connection_name) as (connection, ledger):
        space = connection.segment
        reading = None if space is None else ledger.read(space_reading, space.id)
    if as_json:
        print_document(
            None
            if space is None or reading is None
            else {
                "space": space.id,
                "region": space.region,
                "base_url": space.base_url and space.where,
                "has_token": space.token_item is not None,
                "has_profiles_token": space.profiles_item is not None,
                "read_at": iso_time(reading.read_at),
                "audiences": None if reading.read_at is None else len(reading.audiences),
                "trouble": reading.trouble or None,
            }
        )
        return Exit.DELIVERED
    if space is None or reading is None:
        say(NO_SPACE)
        return Exit.DELIVERED
    count = plural(len(reading.audiences), "audience")
    for name, value in (
        ("space", space.id),
        ("where", space.where),
        ("token", "keyring" if space.token_item else "none"),
        ("Profile API", "token in the keyring" if space.profiles_item else "no token"),
        ("read", "never" if reading.read_at is None else f"{local_time(reading.read_at)}, {count}"),
        *_attempt(reading),
        ("connection", connection.name),
    ):
        say(f"{name:<14}{clean(value, 400)}")
    return Exit.DELIVERED


@segment.command()
@connection_option
def disconnect(connection_name: str | None) -> int:
    """Forget the space, and delete its tokens from the keyring."""
    from amp_console.cli.resources import keyring, ledgers, to_change
    from amp_console.connections import remove_space
    from amp_console.sync.connection_log import log_connection_saved
    from amp_console.text import clean

    store, connection = to_change(connection_name)
    space = connection.segment
    if space is None:
        say("No Segment space is connected. Nothing was changed.")
        return Exit.DELIVERED
    saved = remove_space(store, keyring(), connection)
    log_connection_saved(ledgers(), connection, saved)
    stay = "Audiences, members and cohorts stay as they are."
    if {space.token_item, space.profiles_item}.isdisjoint(store.forgotten()):
        say(f"Disconnected the Segment space {clean(space.id)} and deleted its tokens. {stay}")
        return Exit.DELIVERED
    say(
        f"Disconnected the Segment space {clean(space.id)}. {stay} Its tokens are still in your "
        "keyring, which failed to delete them. Whenever tokens change there, amp-console tries "
        "again."
    )
    return Exit.PARTIAL


def _attempt(reading: "SpaceReading") -> "Iterator[tuple[str, str]]":
    from amp_console.text import local_time

    if reading.trouble:
        yield "last attempt", f"{local_time(reading.tried_at)}: {reading.trouble}"


def _wanted(
    known: "SegmentSpace | None", space_id: str | None, region: str | None, base_url: str | None
) -> "SegmentSpace":
    """The space that the options describe: the known one with their changes, or a new one."""
    import msgspec

    from amp_console.connections import SegmentSpace
    from amp_console.http.addresses import checked_base_url
    from amp_console.text import capitalized
    from amp_console.values import SegmentRegion

    if space_id is None and known is None:
        raise click.UsageError("Which space? Add --space ID.")
    try:
        space = known
        if space is None or space_id not in {None, space.id}:
            space = SegmentSpace(id=str(space_id))
        moved = space
        if region:
            moved = msgspec.structs.replace(space, region=SegmentRegion(region), base_url=None)
        elif base_url:
            moved = msgspec.structs.replace(space, base_url=checked_base_url(base_url))
    except ValueError as error:
        text = capitalized(str(error).removesuffix("."))
        raise click.UsageError(f"{text}. Nothing was saved.") from None
    if moved == space:
        return space
    # A token that one address accepted is not sent to another.
    return msgspec.structs.replace(moved, token_item=None, profiles_item=None)


def _tokens(names: list[str], *, from_stdin: bool) -> "list[Secret]":
    """The tokens, from stdin or from prompts. Raises `KeysError` if there is neither."""
    from amp_console.connections import KeysError, KeysProblem, checked_token

    if from_stdin:
        texts = [line for line in piped().splitlines() if line.strip()]
        if len(texts) != len(names):
            expected = "one line" if len(names) == 1 else f"{len(names)} lines"
            raise click.UsageError(
                f"Expected {expected} on stdin ({', then '.join(names)}), got {len(texts)}. "
                "Nothing was saved."
            )
    elif sys.stdin.isatty():
        texts = [ask_for(name, is_hidden=True) for name in names]
    else:
        message = (
            "No token was given. Nothing was saved. Enter it at a terminal, or pipe it into this "
            "command with --token-stdin."
        )
        raise KeysError(KeysProblem.MISSING, message=message)
    try:
        return [checked_token(text) for text in texts]
    except ValueError as error:
        raise click.UsageError(f"{error} Nothing was saved.") from None


def on_wait(seconds: float) -> None:
    """Say why a command takes longer."""
    say(f"Segment asked for fewer requests. Waiting {seconds:,.0f} s…", err=True)


def _audiences(space: "SegmentSpace", token: "Secret") -> "tuple[SegmentAudience, ...]":
    from amp_console.sync.segment_space import public_client

    async def ask() -> "tuple[SegmentAudience, ...]":
        async with public_client(space, token, on_wait) as client:
            return await client.audiences(space.id)

    return _unless_refused(ask)


def _test_profiles(space: "SegmentSpace", token: "Secret") -> None:
    """Ask for a profile that can't exist; any answer shows that the token was accepted."""
    from amp_console.sync.segment_space import profiles_client

    async def ask() -> None:
        async with profiles_client(space, token, on_wait) as client:
            await client.audiences_of("amp-console-token-test")

    _unless_refused(ask)


def _unless_refused(ask: "Callable[[], Coroutine[object, object, T]]") -> "T":
    """Ask Segment; a failure ends the command with nothing saved."""
    import asyncio

    from amp_console.cli.failures import failure
    from amp_console.segment import SegmentError

    try:
        return asyncio.run(ask())
    except SegmentError as error:
        say(f"{error} Nothing was saved.", err=True)
        raise click.exceptions.Exit(failure(error) or Exit.STOPPED) from None


def _keep(connection: "Connection", space_id: str, audiences: "tuple[SegmentAudience, ...]") -> int:
    """Save what was read in the ledger; return how many of the audiences it does not contain."""
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.segment_audiences import keep_audiences
    from amp_console.sync.queries.segment import only_in_segment

    with open_connection(connection.name) as (_, ledger):
        ledger.write(keep_audiences, space_id, audiences, ledger.clock()())
        return len(ledger.read(only_in_segment, space_id))
