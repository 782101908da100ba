"""The JSON documents that commands print; scripts rely on their keys."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from amp_console.cli.output import say_json
from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.ledger.sources import InvalidEvent, InvalidGroup, ReadCounts
from amp_console.sync.formatting import iso_time, since_plan_text

if TYPE_CHECKING:  # a document is built from what its command has imported
    from amp_console.ledger.audience_queries import AudienceQuery
    from amp_console.ledger.moving import Move
    from amp_console.ledger.overview import LedgerOverview
    from amp_console.ledger.rejected import RejectedUser
    from amp_console.ledger.runs import Run
    from amp_console.sync.delivery.plan import Plan
    from amp_console.sync.delivery.run import RunReport
    from amp_console.sync.forget import ForgetReport
    from amp_console.sync.queries.person import PersonStatus, UserLookup
    from amp_console.sync.queries.segment_person import ProfileAnswer
    from amp_console.sync.queries.status import AudienceSummary
    from amp_console.values import SegmentAudience


class StateDocument(msgspec.Struct, frozen=True):
    """One state of an audience, and how many users it concerns (0: no count).

    `text` says it in words; `run` is the id of a run under way.
    """

    state: str
    users: int
    text: str
    run: int | None


class QueryDocument(msgspec.Struct, frozen=True):
    """The query of an audience, and its last refresh; null if there was none.

    If it lists changes (`is_changes`), those until `read_until` were read; the next refresh starts
    `overlap` seconds before that.
    """

    source: str
    sql: str
    is_changes: bool
    overlap: float | None
    read_until: str | None
    refreshed_at: str | None
    seconds: float | None
    rows: int | None
    outcome: str | None
    note: str | None


class DestinationDocument(msgspec.Struct, frozen=True):
    """A destination in Amplitude that Segment sends an audience to."""

    name: str
    enabled: bool


class SegmentDocument(msgspec.Struct, frozen=True):
    """An audience as Segment listed it at `read_at`; null is unknown.

    `size` counts `unit`, which is Segment's word; profiles, as a rule. `destinations` are those in
    Amplitude that Segment itself sends it to; null also where the token can't see them.
    """

    id: str
    key: str
    name: str
    enabled: bool
    status: str | None
    size: int | None
    unit: str | None
    definition: str | None
    destinations: list[DestinationDocument] | None
    read_at: str | None


class AudienceDocument(msgspec.Struct, frozen=True):
    """One audience in `audiences --json`.

    `members` counts everyone who should be in its cohort, even if Amplitude `rejected` them, or if
    they are `unidentified`: never sent, because their ID of its ID type is missing. `states` lists
    every state that applies, the most severe first; `status` is one of these. `compared_at` is null
    if the cohort was never compared; once delivered, its status is then "not compared", not "in
    sync". `segment` is the latest answer of Segment's API; null if it was not asked.
    """

    key: str
    computation_id: str
    name: str
    space_id: str
    cohort_id: str | None
    cohort_name: str
    id_type: str
    owner_email: str
    enabled: bool
    members: int
    pending_add: int
    pending_remove: int
    rejected: int
    unidentified: int
    uncertain: int
    certain_at: str | None
    status: str
    states: list[StateDocument]
    compared_at: str | None
    last_sync_at: str | None
    dated_ahead: int
    notice: str | None
    query: QueryDocument | None
    segment: SegmentDocument | None


class SyncedAudience(msgspec.Struct, frozen=True):
    """One audience in `sync --json`. `rejected`, `unidentified` and `pending` count users now."""

    key: str
    computation_id: str
    name: str
    cohort_id: str | None
    cohort_name: str
    id_type: str
    added: int
    removed: int
    rejected: int
    unidentified: int
    pending: int
    uncertain: int
    certain_at: str | None
    requests: int


class SyncDocument(msgspec.Struct, frozen=True):
    """What `sync --json` prints.

    `planned` is how many users the plan included; `since_plan` says why the run included more or
    fewer, "" if it included as many.
    """

    run: int
    status: str
    connection: str
    events: ReadCounts
    audiences: list[SyncedAudience]
    requests: int
    retries: int
    elapsed_seconds: float
    planned: int | None
    since_plan: str


class PlannedAudience(msgspec.Struct, frozen=True):
    """One audience in `sync --dry-run --json`.

    `is_empty`: a seed user creates its cohort and is removed again; `remove` counts this.
    """

    key: str
    computation_id: str
    name: str
    cohort_id: str | None
    cohort_name: str
    id_type: str
    creates: bool
    is_empty: bool
    add: int
    remove: int
    confirm_again: int
    uncertain: int
    certain_at: str | None
    requests: int
    obstacle: str | None


class PlanDocument(msgspec.Struct, frozen=True):
    """What `sync --dry-run --json` prints; nothing was sent."""

    connection: str
    events: ReadCounts
    audiences: list[PlannedAudience]
    requests: int
    needs_confirmation: list[str]


class RejectedDocument(msgspec.Struct, frozen=True):
    """One user in `errors --json`: rejected, or never sent (`code` is "no_identifier").

    `audience` is its key, or its computation ID where another audience has the same key.
    """

    audience: str
    computation_id: str
    id: str
    operation: str
    reason: str
    code: str
    at: str | None


class InvalidReason(msgspec.Struct, frozen=True):
    """One reason in `errors --json`: how many events, from how many sources."""

    reason: str
    events: int
    sources: int


class ErrorsDocument(msgspec.Struct, frozen=True):
    """What `errors --json` prints.

    `invalid_events` lists the first 10,000 of each source; `invalid_by_reason` counts all.
    """

    rejected: list[RejectedDocument]
    invalid_events: list[InvalidEvent]
    invalid: int
    invalid_by_reason: list[InvalidReason]


class PersonInComparison(msgspec.Struct, frozen=True):
    """A comparison that concerned a person in `person --json`; the newest comes first."""

    run: int
    at: str | None
    found: str


class PersonInAudience(msgspec.Struct, frozen=True):
    """One audience in `person --json`; `delivered` null is unknown.

    `id_type` is the type of the identifier, `matched_by` that of the audience; only an identifier
    of the latter can be `wanted` in the cohort. `rejected` gives the reason that `errors` lists.
    `found` is what the comparison of a cohort as of `found_at` found about the person; null if
    nothing. `in_segment` is the answer of Segment's Profile API just now ("in", "out", "never in",
    "no profile", "unknown"), and `three_answers` a sentence on ledger, cohort and Segment; both are
    null if it was not asked.
    """

    audience: str
    computation_id: str
    name: str
    cohort_id: str | None
    id_type: str
    matched_by: str
    verdict: str
    sentence: str
    wanted: bool
    delivered: bool | None
    certain_at: str | None
    event_at: str | None
    source: str | None
    line: int
    run: int | None
    operator: str | None
    rejected: str | None
    other_id: str | None
    found: str | None
    found_at: str | None
    comparisons: list[PersonInComparison]
    in_segment: str | None
    three_answers: str | None


class ProfileDocument(msgspec.Struct, frozen=True):
    """The answer of Segment's Profile API for a User ID: the keys of the person's audiences.

    `audiences` is null if they are unknown, and `user_id` if no event contains one; `trouble` says
    why.
    """

    user_id: str | None
    has_profile: bool | None
    audiences: list[str] | None
    trouble: str | None


class PersonDocument(msgspec.Struct, frozen=True):
    """What `person --json` prints; `known_to_amplitude` and `segment` are null if not asked."""

    id: str
    audiences: list[PersonInAudience]
    known_to_amplitude: bool | None
    segment: ProfileDocument | None


class RefusedDocument(msgspec.Struct, frozen=True):
    """Requests that a receiver refused for one reason, with the time and text of the last one."""

    reason: str
    status: int
    count: int
    last_at: str | None
    words: str


class RunDocument(msgspec.Struct, frozen=True):
    """One run in `runs --json`.

    `outcome` is the word for `status` that the list of runs shows; `compared` counts the cohorts
    that the run compared, `differing` the users who differed.
    """

    run: int
    kind: str
    started_at: str | None
    ended_at: str | None
    status: str
    audiences: int
    added: int
    removed: int
    rejected: int
    requests: int
    retries: int
    note: str
    refused: list[RefusedDocument]
    outcome: str
    compared: int
    differing: int
    operator: str


class NotErased(msgspec.Struct, frozen=True):
    """Why a person is not erased: the cohort of this audience may hold them by this identifier."""

    id: str
    id_type: str
    audience: str
    computation_id: str
    reason: str


class ForgetDocument(msgspec.Struct, frozen=True):
    """What `forget --json` prints; `run` is the one that removed people, null if there was none.

    `still_named_in` is what you have to change yourself, `copies` are files you have to delete, and
    `trouble` is why files still hold what was erased, "" if they do not.
    """

    erased: int
    not_erased: list[NotErased]
    still_named_in: list[str]
    copies: list[str]
    backups_deleted: int
    trouble: str
    run: int | None


class LeaseDocument(msgspec.Struct, frozen=True):
    """Who delivers an audience; null if the process has only just begun."""

    audience: str
    process: str | None
    since: str | None
    operator: str | None


class HeldRunDocument(msgspec.Struct, frozen=True):
    """A run that is under way."""

    id: int
    kind: str
    process: str
    started_at: str | None
    operator: str


class LedgerDocument(msgspec.Struct, frozen=True):
    """`ledger show --json`: where the ledger is, and what it contains; its size is in `bytes`.

    `version` is that of the tables. `sources` counts the buckets being read.
    """

    ledger: str
    engine: str
    version: int
    bytes: int
    audiences: int
    members: int
    runs: int
    leases: list[LeaseDocument]
    runs_under_way: list[HeldRunDocument]
    sources: int


class CheckDocument(msgspec.Struct, frozen=True):
    """`ledger check --json`: if `problems` is empty, the ledger is intact."""

    ledger: str
    problems: list[str]


class MovedTableDocument(msgspec.Struct, frozen=True):
    """A table that was moved; its rows have the same checksum in both ledgers."""

    table: str
    rows: int
    checksum: str


class MoveDocument(msgspec.Struct, frozen=True):
    """`ledger move --json`: `tables` is empty if this only finished an earlier move."""

    old: str
    new: str
    rows: int
    tables: list[MovedTableDocument]


def print_document(document: object) -> None:
    """Print a document, indented, to stdout."""
    say_json(msgspec.json.format(msgspec.json.encode(document), indent=2))


def audience_document(
    summary: "AudienceSummary",
    query: "AudienceQuery | None",
    segment: SegmentDocument | None = None,
) -> AudienceDocument:
    """Describe one audience with the counts of its members."""
    audience = summary.audience
    return AudienceDocument(
        key=audience.key,
        computation_id=audience.computation_id,
        name=audience.name,
        space_id=audience.space_id,
        cohort_id=audience.cohort_id,
        cohort_name=summary.cohort_name,
        id_type=audience.id_type,
        owner_email=summary.owner_email,
        enabled=audience.enabled,
        members=summary.members or 0,
        pending_add=summary.left.add,
        pending_remove=summary.left.remove,
        rejected=summary.left.rejected,
        unidentified=summary.left.unidentified,
        uncertain=summary.left.uncertain,
        certain_at=iso_time(summary.left.certain_at),
        status=summary.status,
        states=[
            StateDocument(str(state.status), state.users, str(state), state.run_id)
            for state in summary.states()
        ],
        compared_at=iso_time(summary.finding.at) if summary.finding else None,
        last_sync_at=iso_time(audience.last_sync_at),
        dated_ahead=summary.count.ahead if summary.count else 0,
        notice=summary.notice,
        query=None if query is None else _query_document(query),
        segment=segment,
    )


def segment_document(listed: "SegmentAudience", read_at: int | None) -> SegmentDocument:
    """Describe an audience in Segment, and when its space was read."""
    return SegmentDocument(
        listed.id,
        listed.key,
        listed.name,
        listed.is_enabled,
        listed.status,
        listed.size,
        listed.unit or None,
        listed.definition,
        None
        if listed.destinations is None
        else [DestinationDocument(*destination) for destination in listed.destinations],
        iso_time(read_at),
    )


def _query_document(query: "AudienceQuery") -> QueryDocument:
    last = query.last
    return QueryDocument(
        query.source,
        query.sql,
        query.is_changes,
        query.overlap if query.is_changes else None,
        iso_time(query.cursor),
        iso_time(last.at) if last else None,
        round(last.seconds, 3) if last else None,
        last.rows if last else None,
        last.outcome if last else None,
        last.note if last else None,
    )


def sync_document(report: "RunReport", plan: "Plan", tally: ReadCounts) -> SyncDocument:
    """Describe a run that ended."""
    since = report.since_plan
    names = {audience.audience_id: audience.cohort_name for audience in plan.audiences}
    audiences = [
        SyncedAudience(
            key=audience.audience.key,
            computation_id=audience.audience.computation_id,
            name=audience.audience.name,
            cohort_id=audience.audience.cohort_id,
            cohort_name=audience.audience.linked_name or names[audience.audience.id],
            id_type=audience.audience.id_type,
            added=audience.counts.added,
            removed=audience.counts.removed,
            rejected=audience.left.rejected,
            unidentified=audience.left.unidentified,
            pending=audience.left.pending,
            uncertain=audience.left.uncertain,
            certain_at=iso_time(audience.left.certain_at),
            requests=audience.counts.requests,
        )
        for audience in report.audiences
    ]
    return SyncDocument(
        run=report.run_id,
        status=report.status,
        connection=plan.connection,
        events=tally,
        audiences=audiences,
        requests=sum(audience.requests for audience in audiences),
        retries=sum(audience.counts.retries for audience in report.audiences),
        elapsed_seconds=round(report.elapsed, 3),
        planned=since.planned if since else None,
        since_plan=since_plan_text(since, report.users) if since else "",
    )


def plan_document(plan: "Plan", tally: ReadCounts) -> PlanDocument:
    """Describe a plan."""
    return PlanDocument(
        connection=plan.connection,
        events=tally,
        audiences=[
            PlannedAudience(
                key=audience.key,
                computation_id=audience.computation_id,
                name=audience.name,
                cohort_id=audience.cohort_id,
                cohort_name=audience.cohort_name,
                id_type=audience.id_type,
                creates=audience.creates,
                is_empty=audience.is_empty,
                add=audience.add,
                remove=audience.remove,
                confirm_again=audience.again,
                uncertain=audience.uncertain,
                certain_at=iso_time(audience.certain_at),
                requests=audience.requests,
                obstacle=audience.obstacle,
            )
            for audience in plan.audiences
        ],
        requests=plan.requests,
        needs_confirmation=list(plan.concerns),
    )


def errors_document(
    rejected: "list[RejectedUser]",
    invalid_events: list[InvalidEvent],
    groups: list[InvalidGroup],
) -> ErrorsDocument:
    """Describe everything that could not be delivered or read."""
    return ErrorsDocument(
        [
            RejectedDocument(
                u.audience, u.computation_id, u.id, u.operation, u.reason, u.code, iso_time(u.at)
            )
            for u in rejected
        ],
        invalid_events,
        sum(group.count for group in groups),
        [InvalidReason(group.reason, group.count, group.sources) for group in groups],
    )


def person_document(
    identifier: str,
    answers: "list[PersonStatus]",
    found: "UserLookup | None",
    profile: "ProfileAnswer | None",
    space_id: str,
) -> PersonDocument:
    """Describe a person's status in every cohort, and what Segment says if it was asked."""
    is_known = found.is_known if found else None
    return PersonDocument(
        identifier,
        [_person_in_audience(answer, is_known, profile, space_id) for answer in answers],
        is_known,
        None if profile is None else _profile_document(profile),
    )


def _profile_document(profile: "ProfileAnswer") -> ProfileDocument:
    keys = None if profile.audiences is None else profile.members
    return ProfileDocument(profile.user_id, profile.has_profile, keys, profile.trouble or None)


def _person_in_audience(
    status: "PersonStatus",
    is_known: bool | None,
    profile: "ProfileAnswer | None",
    space_id: str,
) -> PersonInAudience:
    from amp_console.sync.queries.person import found_text

    record, three = status.record, None
    if profile is not None:
        from amp_console.sync.queries.segment_person import three_answers

        three = three_answers(record, profile, space_id)
    return PersonInAudience(
        audience=record.audience.key,
        computation_id=record.audience.computation_id,
        name=record.audience.name,
        cohort_id=record.audience.cohort_id,
        id_type=record.id_type,
        matched_by=record.audience.id_type,
        verdict=status.answer,
        sentence=status.sentence_if(is_known),
        wanted=record.wanted,
        delivered=record.delivered,
        certain_at=iso_time(record.certain_at),
        event_at=iso_time(record.event_at) if record.source else None,
        source=record.source,
        line=record.line,
        run=record.request.run_id if record.request else None,
        operator=record.run_operator or None,
        rejected=status.rejected,
        other_id=record.counterpart,
        found=status.found,
        found_at=iso_time(record.finding.at) if record.finding else None,
        comparisons=[
            PersonInComparison(made.run_id, iso_time(made.at), found_text(made))
            for made in record.comparisons
        ],
        in_segment=three.in_segment if three else None,
        three_answers=three.sentence if three else None,
    )


def run_document(run: "Run") -> RunDocument:
    """Describe one run of the history."""
    from amp_console.ledger.run_log import run_outcome

    return RunDocument(
        run=run.id,
        kind=run.kind,
        started_at=iso_time(run.started_at),
        ended_at=iso_time(run.ended_at),
        status=run.status,
        audiences=run.audiences,
        added=run.added,
        removed=run.removed,
        rejected=run.rejected,
        requests=run.requests,
        retries=run.retries,
        note=run.note,
        refused=refused_documents(run.refused),
        outcome=run_outcome(run.kind, run.status),
        compared=run.found.cohorts,
        differing=run.found.differing,
        operator=run.operator,
    )


def forget_document(report: "ForgetReport") -> ForgetDocument:
    """Describe the results of deletion requests."""
    return ForgetDocument(
        erased=len(report.erased),
        not_erased=[
            NotErased(
                id=left.identity.id,
                id_type=left.identity.id_type,
                audience=left.audience.handle,
                computation_id=left.audience.computation_id,
                reason=left.reason,
            )
            for left in report.obstacles
        ],
        still_named_in=list(report.names),
        copies=list(report.copies),
        backups_deleted=report.backups,
        trouble=report.trouble,
        run=report.run.run_id if report.run is not None else None,
    )


def refused_documents(refused: Iterable[RefusedRequests]) -> list[RefusedDocument]:
    """Describe the requests that were refused, by reason."""
    return [
        RefusedDocument(
            str(item.reason), item.status, item.count, iso_time(item.last_at), item.message
        )
        for item in refused
    ]


def ledger_document(url: str, found: "LedgerOverview") -> LedgerDocument:
    """Build the document of a ledger."""
    holders = found.holders
    return LedgerDocument(
        url,
        found.engine,
        found.version,
        found.bytes,
        found.audiences,
        found.members,
        found.runs,
        [
            LeaseDocument(
                lease.audience,
                lease.process or None,
                iso_time(lease.since),
                lease.operator or None,
            )
            for lease in holders.leases
        ],
        [
            HeldRunDocument(
                run.id, str(run.kind), run.holder, iso_time(run.started_at), run.operator
            )
            for run in holders.runs
        ],
        holders.sources,
    )


def move_document(moved: "Move") -> MoveDocument:
    """Build the document of a move."""
    tables = [MovedTableDocument(item.table, item.rows, item.checksum) for item in moved.tables]
    return MoveDocument(moved.old, moved.new, moved.rows, tables)
