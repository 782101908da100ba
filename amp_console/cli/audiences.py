"""`amp-console audiences` and `amp-console audience`: their status and their settings."""

from shlex import quote
from typing import TYPE_CHECKING, TextIO

import click

from amp_console.cli.options import connection_option, json_option, misuse, read_duration
from amp_console.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amp_console.cli.documents import AudienceDocument, QueryDocument, SegmentDocument
    from amp_console.connections import Connection
    from amp_console.ledger import Ledger
    from amp_console.ledger.audiences import Audience


@click.command()
@click.option(
    "--segment",
    "with_segment",
    is_flag=True,
    help="Ask Segment and Amplitude, and show the three sizes side by side.",
)
@json_option
@connection_option
def audiences(with_segment: bool, as_json: bool, connection_name: str | None) -> int:
    """List the audiences, their cohorts and what is pending."""
    from amp_console.cli.documents import audience_document, print_document
    from amp_console.cli.resources import open_connection
    from amp_console.ledger.audience_queries import audience_queries
    from amp_console.sync.queries.status import audience_summaries

    with open_connection(connection_name) as (connection, ledger):
        if with_segment:
            from amp_console.cli.segment_sizes import show_sizes

            return show_sizes(connection, ledger, as_json=as_json)
        dead = ledger.dead_runs()
        found = ledger.read(audience_summaries, connection, dead=dead)
        queries = ledger.read(audience_queries)
        in_segment = _in_segment(connection, ledger)
        documents = [
            audience_document(item, queries.get(item.audience.id), in_segment.get(item.audience.id))
            for item in found
        ]
    if as_json:
        print_document(documents)
    elif documents:
        _print_table(documents)
    else:
        say("No audiences yet. Import a file of Engage events with: amp-console import PATH")
    return 0


def _in_segment(connection: "Connection", ledger: "Ledger") -> "dict[int, SegmentDocument]":
    """Segment's latest data on each audience of the ledger, by its ID; empty without a space."""
    if connection.segment is None:
        return {}
    from amp_console.cli.documents import segment_document
    from amp_console.ledger.audiences import all_audiences
    from amp_console.ledger.segment_audiences import space_reading
    from amp_console.sync.queries.segment import find_in_space

    reading = ledger.read(space_reading, connection.segment.id)
    found = find_in_space(reading, ledger.read(all_audiences))
    return {id_: segment_document(listed, reading.read_at) for id_, listed in found.items()}


@click.command()
@click.argument("key")
@click.option(
    "--id-type",
    type=click.Choice(["user_id", "amplitude_id"]),
    help="Identifier that people are matched by.",
)
@click.option("--cohort-name", metavar="NAME", help='Name for a new cohort ("" for the default).')
@click.option("--owner-email", metavar="EMAIL", help='Owner of a new cohort ("" for the default).')
@click.option(
    "--seed-user",
    metavar="ID",
    help='User with which to create the cohort of an empty audience ("" for none).',
)
@click.option("--cohort-id", metavar="ID", help="Link this existing cohort.")
@click.option("--unlink", is_flag=True, help="Unlink the cohort; the next sync creates a new one.")
@click.option(
    "--enable/--disable",
    "enabled",
    default=None,
    help="Include the audience in syncs, or exclude it.",
)
@click.option("--source", metavar="NAME", help="Refresh it with a query on this source.")
@click.option("--query", metavar="SQL", help="The query, with a column user_id or amplitude_id.")
@click.option(
    "--query-file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help='Read the query from a file ("-" is stdin).',
)
@click.option(
    "--changes",
    is_flag=True,
    help="The query lists changes: it also has the columns is_member and changed_at.",
)
@click.option(
    "--overlap",
    metavar="TIME",
    callback=read_duration,
    help="Read changes again from this long before the newest, e.g. 1h.  [default: 10m]",
)
@click.option(
    "--segment-trait",
    metavar="KEY",
    help="Query this audience in Segment's Profiles Sync tables.",
)
@click.option("--schema", metavar="NAME", help="Schema of those tables.")
@click.option("--name", "new_name", metavar="NAME", help="Name of an audience that has a query.")
@click.option("--no-query", is_flag=True, help="Stop refreshing it; its members stay.")
@json_option
@connection_option
def audience(
    key: str,
    id_type: str | None,
    cohort_name: str | None,
    owner_email: str | None,
    seed_user: str | None,
    cohort_id: str | None,
    unlink: bool,
    enabled: bool | None,
    source: str | None,
    query: str | None,
    query_file: TextIO | None,
    changes: bool,
    overlap: float | None,
    segment_trait: str | None,
    schema: str | None,
    new_name: str | None,
    no_query: bool,
    as_json: bool,
    connection_name: str | None,
) -> int:
    """Show an audience, or change its settings.

    KEY is the audience's key, its name or its computation ID. With --source and a query, an
    audience that is not known yet is added with this key.
    """
    from amp_console.cli.documents import audience_document, print_document
    from amp_console.cli.resources import open_connection
    from amp_console.ledger import audiences as known
    from amp_console.ledger.audience_queries import query_of
    from amp_console.sync import audience_settings as settings
    from amp_console.sync.audience_queries import OVERLAP, drop_query, set_query
    from amp_console.sync.queries.status import audience_summary
    from amp_console.values import IdType

    if unlink and cohort_id:
        raise click.UsageError("Use either --unlink or --cohort-id, not both.")
    change = settings.SettingsChange(
        id_type=IdType(id_type) if id_type else None,
        cohort_name=cohort_name,
        owner_email=owner_email,
        seed_user=seed_user,
        cohort_id=cohort_id,
        unlink=unlink,
        enabled=enabled,
    )
    sql = _sql(source, query, query_file, segment_trait, schema)
    _check_query_options(
        is_given=sql is not None,
        name=new_name is not None,
        no_query=no_query,
        changes=changes,
        overlap=overlap is not None,
        is_template=segment_trait is not None,
    )
    with open_connection(connection_name) as (connection, ledger):
        if cohort_id:
            _check_not_shared(ledger, key, cohort_id)
        if sql is not None and source is not None:
            with misuse():
                set_query(
                    ledger,
                    connection,
                    key,
                    source,
                    sql,
                    new_name=new_name,
                    is_changes=changes,
                    overlap=overlap or OVERLAP,
                )
        found = ledger.read(known.find_audience, key)
        if no_query:
            drop_query(ledger, connection, found)
        if change != settings.SettingsChange():
            with misuse():
                found = settings.change(ledger, connection, found, change)
        dead = ledger.dead_runs()
        now = ledger.read(audience_summary, connection, found.id, dead=dead)
        in_segment = _in_segment(connection, ledger).get(found.id)
        document = audience_document(now, ledger.read(query_of, found.id), in_segment)
        if as_json:
            print_document(document)
        else:
            _print_audience(document, found, connection)
    return 0


def _check_not_shared(ledger: "Ledger", key: str, cohort_id: str) -> None:
    """Refuse a cohort of another audience; the console links it once its warning is confirmed."""
    from amp_console.ledger.audiences import AudienceNotFound, find_audience, linked_to
    from amp_console.text import clean

    try:
        own = ledger.read(find_audience, key).id
    except AudienceNotFound:
        own = None  # it is added with its query
    for other in ledger.read(linked_to, cohort_id):
        if other.id != own:
            raise click.UsageError(
                f"Cohort {cohort_id} is linked to “{clean(other.name)}” already, and two audiences "
                "would undo each other's changes. Nothing was changed. Unlink it there first: "
                f"amp-console audience {quote(clean(other.handle, 300))} --unlink"
            )


def _check_query_options(
    *, is_given: bool, name: bool, no_query: bool, changes: bool, overlap: bool, is_template: bool
) -> None:
    """Refuse query options that conflict, or that need others."""
    if name and not is_given:
        raise click.UsageError("--name needs --source and a query.")
    if is_given and no_query:
        raise click.UsageError("Use either --no-query or a query, not both.")
    if changes and (is_template or not is_given):
        raise click.UsageError("--changes needs --source and --query or --query-file.")
    if overlap and not changes:
        raise click.UsageError("--overlap needs --changes.")


def _sql(
    source: str | None,
    query: str | None,
    file: TextIO | None,
    segment_trait: str | None,
    schema: str | None,
) -> str | None:
    """The query that the options specify; None if they specify none."""
    from amp_console.sync.sources.warehouse.profiles_sync import segment_query

    given = [query is not None, file is not None, segment_trait is not None]
    if (schema is None) is not (segment_trait is None):
        raise click.UsageError("--segment-trait and --schema go together.")
    if sum(given) > 1:
        raise click.UsageError("Use one of --query, --query-file and --segment-trait.")
    if any(given) is not (source is not None):
        raise click.UsageError(
            "A query needs --source NAME and one of --query, --query-file and --segment-trait."
        )
    if file is not None:
        try:
            return file.read()
        except UnicodeDecodeError:
            raise click.UsageError("The query is not valid UTF-8. Nothing was changed.") from None
    if segment_trait is not None and schema is not None:
        return segment_query(segment_trait, schema)
    return query


def _states(document: "AudienceDocument") -> str:
    """Every state of an audience, in words."""
    return ", ".join(state.text for state in document.states)


def _print_table(documents: "list[AudienceDocument]") -> None:
    from amp_console.cli.tables import table
    from amp_console.text import blank_if_zero, clean

    rows = [
        (
            document.name,
            document.key,
            document.cohort_name if document.cohort_id else "–",
            "User ID" if document.id_type == "user_id" else "Amplitude ID",
            f"{document.members:,}",
            blank_if_zero(document.pending_add, "+"),
            blank_if_zero(document.pending_remove, "-"),
            blank_if_zero(document.rejected),
            _states(document),
        )
        for document in documents
    ]
    header = ("AUDIENCE", "KEY", "COHORT", "ID-TYPE", "MEMBERS", "ADD", "REMOVE", "REJECTED")
    say(*table((*header, "STATUS"), rows, "MEMBERS ADD REMOVE REJECTED"))
    for document in documents:
        if document.notice:
            say(f"{clean(document.key)}: {document.notice}")


def _query_lines(query: "QueryDocument") -> "Iterator[tuple[str, str]]":
    from amp_console.text import local_time, spelled_duration

    kind = "changes" if query.is_changes else "query"
    yield kind, f"{query.source}: {' '.join(query.sql.split())}"
    if query.refreshed_at is None:
        yield "refreshed", "never"
    else:
        result = f"{query.rows:,} rows in {query.seconds:,.1f} s, {query.outcome}"
        yield "refreshed", f"{local_time(query.refreshed_at)}: {result}"
        if query.note:
            yield "", query.note
    if query.overlap is not None:
        until, overlap = local_time(query.read_until), spelled_duration(query.overlap)
        yield "read until", f"{until}, with {overlap} of overlap" if until else "nothing"


def _segment_lines(listed: "SegmentDocument") -> "Iterator[tuple[str, str]]":
    from amp_console.sync.queries.segment import size_words
    from amp_console.text import local_time

    size = "unknown size" if listed.size is None else size_words(listed.size, listed.unit or "")
    status = listed.status or "unknown status"
    yield "in Segment", f"{listed.name}: {status}, {size}, read {local_time(listed.read_at)}"
    for destination in listed.destinations or ():
        state = "enabled" if destination.enabled else "disabled"
        yield "destination", f"{destination.name}: {state} in Segment"
    if listed.definition:
        yield "defined as", " ".join(listed.definition.split())


def link_commands(audience: "Audience") -> list[str]:
    """The commands that replace a broken link; none if the link works."""
    from amp_console.text import clean

    if not audience.broken:
        return []
    command = f"amp-console audience {quote(clean(audience.handle, 300))}"
    return [
        f"Link another cohort: {command} --cohort-id ID",
        f"Have the next sync create a new one, with all members: {command} --unlink",
    ]


def _print_audience(
    document: "AudienceDocument", audience: "Audience", connection: "Connection"
) -> None:
    from amp_console.sync.formatting import uncertain_text
    from amp_console.text import clean, local_time

    def set_or_default(value: str | None) -> str:
        return "override" if value else "default"

    lines = (
        ("audience", document.name),
        ("key", document.key),
        ("space", audience.space_id),
        ("computation", audience.computation_id),
        ("status", _states(document) + (f": {audience.broken}" if audience.broken else "")),
        (
            "cohort",
            f"{document.cohort_id} ({audience.link})" if document.cohort_id else "no cohort",
        ),
        ("cohort name", f"{document.cohort_name} ({set_or_default(audience.cohort_name)})"),
        ("cohort owner", f"{document.owner_email} ({set_or_default(audience.owner_email)})"),
        ("seed user", audience.seed_user or "none"),
        ("ID type", audience.id_type.label),
        ("members", f"{document.members:,}"),
        ("pending", f"+{document.pending_add:,} -{document.pending_remove:,}"),
        ("rejected", f"{document.rejected:,}"),
        ("missing IDs", f"{document.unidentified:,}"),
        *(
            [("not certain", uncertain_text(document.uncertain, document.certain_at))]
            if document.uncertain
            else []
        ),
        ("last sync", local_time(document.last_sync_at) or "never"),
        *(
            [("compared", local_time(document.compared_at) or "not yet")]
            if document.cohort_id
            else []
        ),
        *([] if document.query is None else _query_lines(document.query)),
        *([] if document.segment is None else _segment_lines(document.segment)),
        ("connection", connection.name),
    )
    notice = (("notice", document.notice),) if document.notice else ()
    for name, value in (*lines, *notice):
        say(f"{name:<14}{clean(value, 400)}")
    say(*link_commands(audience))
