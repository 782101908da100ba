"""`amp-console person`: why a person is, or is not, in each cohort."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, json_option
from amp_console.cli.output import say

if TYPE_CHECKING:
    from amp_console.connections import Connection
    from amp_console.ledger.people import PersonRecord
    from amp_console.sync.queries.person import PersonStatus, UserLookup
    from amp_console.sync.queries.segment_person import ProfileAnswer


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--ask", is_flag=True, help="Also ask Amplitude whether it knows the identifier.")
@json_option
@connection_option
def person(identifier: str, ask: bool, as_json: bool, connection_name: str | None) -> int:
    """Explain why a person is, or is not, in each cohort.

    ID is a User ID or an Amplitude ID, exactly as in the events. With a token for Segment's Profile
    API, Segment is asked as well. The exit status is 1 if no audience knows the ID.
    """
    from amp_console.cli.documents import person_document, print_document
    from amp_console.cli.resources import open_connection
    from amp_console.sync.queries.person import look_up_person, suggest_identifiers

    with open_connection(connection_name) as (connection, ledger):
        identifier, answers = ledger.read(look_up_person, identifier, ledger.dead_runs())
        similar = [] if answers else ledger.read(suggest_identifiers, identifier)
        profile = found = None
        try:
            profile = _ask_segment(connection, identifier, answers)
            found = _ask(connection, identifier) if ask else None
        finally:  # also if Amplitude does not answer
            if not as_json:
                _print(identifier, answers, found)
                _print_similar(identifier, similar)
                if profile is not None:
                    _print_profile(connection, answers, profile)
    if as_json:
        space_id = connection.segment.id if connection.segment else ""
        print_document(person_document(identifier, answers, found, profile, space_id))
    elif found is not None:
        say(found.sentence)
    return Exit.DELIVERED if answers else Exit.PARTIAL


def _ask(connection: "Connection", identifier: str) -> "UserLookup":
    import asyncio

    from amp_console.cli.resources import keys_of
    from amp_console.sync.connection_options import client_for
    from amp_console.sync.queries.person import look_up_user

    async def ask() -> "UserLookup":
        async with client_for(connection, keys_of(connection)) as client:
            return await look_up_user(client, identifier)

    return asyncio.run(ask())


def _ask_segment(
    connection: "Connection", identifier: str, answers: "list[PersonStatus]"
) -> "ProfileAnswer | None":
    """Ask the Profile API, if there is a token for it."""
    space = connection.segment
    if space is None or space.profiles_item is None:
        return None
    import asyncio

    from amp_console.cli.resources import keyring
    from amp_console.cli.segment import on_wait
    from amp_console.connections import KeysError, find_profiles_token
    from amp_console.sync.queries.segment_person import (
        NO_USER_ID,
        ProfileAnswer,
        ask_profile,
        user_id_of,
    )
    from amp_console.sync.segment_space import profiles_client

    user_id = user_id_of(identifier, answers)
    if user_id is None:
        return ProfileAnswer(None, None, NO_USER_ID)
    try:
        token = find_profiles_token(space, keyring())
    except KeysError as error:
        return ProfileAnswer(user_id, None, str(error))
    assert token is not None
    return asyncio.run(ask_profile(profiles_client(space, token, on_wait), user_id))


def _print_profile(
    connection: "Connection", answers: "list[PersonStatus]", profile: "ProfileAnswer"
) -> None:
    from amp_console.sync.queries.segment_person import OTHER_SPACE, three_answers
    from amp_console.text import clean

    assert connection.segment is not None
    say("Segment, asked just now:")
    for answer in answers:
        found = three_answers(answer.record, profile, connection.segment.id)
        said = OTHER_SPACE if found is None else found.sentence
        say(f"  {clean(answer.record.audience.name)}: {clean(said, 900)}")
    if not answers:
        say(f"  {clean(profile.sentence, 900)}")


def _print(identifier: str, answers: "list[PersonStatus]", found: "UserLookup | None") -> None:
    from amp_console.text import clean

    if not answers:
        say(
            f"No event contains {clean(identifier, 300)}. Identifiers must match exactly, "
            "including upper and lower case and leading zeros."
        )
    for answer in answers:
        sentence = answer.sentence_if(found.is_known if found is not None else None)
        say(f"{clean(answer.record.audience.name)}: {clean(sentence, 900)}")
        for name, value in _facts(answer):
            say(f"  {name:<14}{clean(value, 300)}")
    if any(answer.record.rejection is not None for answer in answers):
        if found is None:
            say("To ask Amplitude whether it knows them: amp-console person ID --ask")
        if found is None or found.is_known:
            say("To retry rejected users: amp-console errors --retry")


def _print_similar(text: str, identifiers: list[str]) -> None:
    from amp_console.sync.queries.person import are_spelt_otherwise
    from amp_console.text import clean

    if are_spelt_otherwise(text, identifiers):
        say("Case matters. Identifiers that differ only in case:")
    elif identifiers:
        say("Identifiers that begin with it:")
    for identifier in identifiers:
        say(f"  {clean(identifier, 300)}")


def _facts(status: "PersonStatus") -> list[tuple[str, str]]:
    from amp_console.sync.queries.person import found_text
    from amp_console.text import local_time, readable_time

    record = status.record
    found = [
        ("cohort", record.audience.cohort_id or "no cohort"),
        ("event", local_time(record.event_at if record.source else None) or "none"),
        ("source", _source(record)),
        ("should be", status.belongs),
        ("last known", status.delivered),
    ]
    for number, made in enumerate(record.comparisons):
        text = f"{local_time(made.at)}, run {made.run_id}: {found_text(made)}"
        found.append(("" if number else "compared", text))
    if record.request is not None:
        by = f", by {record.run_operator}" if record.run_operator else ""
        found.append(("last run", f"{record.request.run_id}{by}"))
    if record.rejection is not None:
        at = readable_time(record.rejection.at)
        found.append(("rejected", f"{at}: {record.rejection.reason}"))
    if record.counterpart:
        found.append((record.id_type.other.label, record.counterpart))
    return found


def _source(record: "PersonRecord") -> str:
    """The source and line of the newest event; a list of members has no line."""
    if not record.source:
        return "none"
    return f"{record.source}:{record.line}" if record.line else record.source
