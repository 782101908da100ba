"""`amp-console person`: why a person is, or is not, in each cohort."""

from typing import TYPE_CHECKING

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import connection_option, json_option

if TYPE_CHECKING:
    from amp_console.cli.workplace import Workplace
    from amp_console.sync.person import PersonAnswer, Recognition


@click.command()
@click.argument("identifier", metavar="ID")
@click.option("--ask", is_flag=True, help="Ask Amplitude, too, whether it knows the identifier.")
@json_option
@connection_option
def person(identifier: str, ask: bool, as_json: bool, connection: str | None) -> int:
    """Say why a person is, or is not, in each cohort: by User ID or Amplitude ID, exactly.

    The exit status is 1 where no audience knows the identifier.
    """
    from amp_console.cli.documents import person_document, print_document
    from amp_console.cli.workplace import workplace
    from amp_console.sync.person import explain_person

    with workplace(connection) as place:
        answers = place.ledger.read(explain_person, identifier)
        found = _ask(place, identifier) if ask else None
    if as_json:
        print_document(person_document(identifier, answers, found))
    else:
        _print(identifier, answers, found)
    return Exit.DELIVERED if answers else Exit.PARTIAL


def _ask(place: "Workplace", identifier: str) -> "Recognition":
    import asyncio

    from amp_console.cli.workplace import keys_of
    from amp_console.sync.person import recognise

    async def ask() -> "Recognition":
        async with place.client(keys_of(place.connection)) as client:
            return await recognise(client, identifier)

    return asyncio.run(ask())


def _print(identifier: str, answers: "list[PersonAnswer]", found: "Recognition | None") -> None:
    from amp_console.cli.text import clean, moment

    if not answers:
        click.echo(
            f"No event ever named {clean(identifier, 300)}. Identifiers are matched exactly: "
            "capital letters and leading zeros count."
        )
    for each in answers:
        record = each.record
        click.echo(f"{clean(record.audience.name)}: {clean(each.sentence, 900)}")
        facts = [
            ("event", f"{moment(record.event_at) or 'none'}"),
            ("stands in", f"{record.source}:{record.line}" if record.source else "none"),
            ("wanted", "in" if record.wanted else "out"),
            ("delivered", _DELIVERED[record.delivered]),
        ]
        if record.request is not None:
            facts.append(("last run", str(record.request.run_id)))
        if record.counterpart:
            facts.append((record.id_type.other.label, record.counterpart))
        for name, value in facts:
            click.echo(f"  {name:<14}{clean(value, 300)}")
    if found is not None:
        click.echo(found.sentence)


_DELIVERED = {True: "in", False: "out", None: "unknown"}
