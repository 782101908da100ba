"""Answering a deletion request: out of every cohort first, then out of the ledger and its copies.

Each step is saved before the next one begins, and all of them can be repeated. So a request that
was interrupted, or whose removals Amplitude did not confirm, is finished by the next one.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from amp_console.connections import Connection
from amp_console.connections.read_only import guard
from amp_console.ledger import Db, Ledger, LedgerError, erasures
from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.backups import BackupSkipped
from amp_console.ledger.cleaning import clean_files
from amp_console.ledger.db import ServerDb
from amp_console.ledger.erasures import Erased, Erasure, Obstacle, PairedRow
from amp_console.ledger.event_log import LogEntry, LogKind, Severity, add_log_entry
from amp_console.ledger.forgotten import Identity
from amp_console.ledger.people import find_person
from amp_console.ledger.runs import RunKind
from amp_console.sync.delivery.context import AudienceBlocked, RunContext
from amp_console.sync.delivery.pending import deliver_pending
from amp_console.sync.delivery.progress import AudienceProgress
from amp_console.sync.delivery.run import RunReport, carry_out
from amp_console.sync.delivery.worker import AudienceWorker
from amp_console.sync.ingest.stream import merge_received
from amp_console.text import clean, listed, plural
from amp_console.values import IdType, Operation, now_in_microseconds

KEPT = "Nothing was erased."


class IdTypeUnclear(Exception):
    """An identifier is known as a User ID and as an Amplitude ID, perhaps of two people."""


class PersonToForget(msgspec.Struct, frozen=True):
    """One person of a request: all identifiers, and the audiences whose cohorts may contain them.

    `erasure_id` is that of an unfinished request; otherwise None.
    """

    identities: tuple[Identity, ...]
    audiences: tuple[Audience, ...]
    erasure_id: int | None = None


class ForgetPlan(msgspec.Struct, frozen=True):
    """Who is to be forgotten, and the cohorts that they are removed from first.

    `unclean` is how many earlier requests were erased from the ledger, but not from its files.
    `is_on_server`: the server's administrator makes the backups of the ledger.
    """

    people: tuple[PersonToForget, ...]
    unclean: int = 0
    is_on_server: bool = False

    @property
    def removals(self) -> int:
        """How many removals from a cohort Amplitude has to confirm."""
        return sum(len(person.audiences) for person in self.people)


class ForgetReport(msgspec.Struct, frozen=True):
    """The result of the deletion requests.

    `erased` are those that are done in the ledger; `obstacles` explain why others are not. `names`
    is what operators have to change themselves, and `trouble` is why files still contain erased
    bytes. `backups` is how many were deleted. `run` removed the people from their cohorts, if there
    were any. `copies` are earlier ledgers that were set aside or left behind, for operators to
    delete.
    """

    erased: tuple[Erased, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    backups: int = 0
    trouble: str = ""
    run: RunReport | None = None
    copies: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What operators have to change themselves because it contains an identifier."""
        return tuple(sorted({name for erased in self.erased for name in erased.names}))

    @property
    def is_done(self) -> bool:
        """Whether everyone was erased, from the ledger and from its files."""
        return not (self.obstacles or self.trouble)


def plan_forget(
    db: Db, ids: Sequence[str], id_type: IdType | None = None, *, is_exact: bool = False
) -> ForgetPlan:
    """Find the people with these identifiers, with all identifiers that events paired with them.

    With `is_exact`, only by those that are given. Raises `IdTypeUnclear` and `PairedTooOften`.
    """
    people: list[frozenset[Identity]] = []
    for id_ in dict.fromkeys(ids):
        start = {Identity(kind, id_) for kind in _types_of(db, id_, id_type)}
        found = frozenset(start) if is_exact else erasures.identities_of(db, start)
        same = [other for other in people if other & found]
        people = [other for other in people if other not in same]
        people.append(found.union(*same))
    return ForgetPlan(
        tuple(PersonToForget(tuple(sorted(found)), _held_by(db, found)) for found in people),
        len(erasures.unclean_erasures(db)),
        isinstance(db, ServerDb),
    )


def plan_unfinished(db: Db) -> ForgetPlan:
    """Plan to finish the unfinished deletion requests."""
    unfinished = erasures.unfinished_erasures(db)
    return ForgetPlan(
        tuple(
            PersonToForget(item.identities, _to_leave(db, [item.id]), item.id)
            for item in unfinished
        ),
        len(erasures.unclean_erasures(db)),
        isinstance(db, ServerDb),
    )


def _types_of(db: Db, id_: str, id_type: IdType | None) -> Sequence[IdType]:
    if id_type is not None:
        return (id_type,)
    known = erasures.known_types(db, id_)
    if len(known) > 1:
        raise IdTypeUnclear(
            "An identifier is known as a User ID and as an Amplitude ID, which may be two people. "
            "Nothing was changed."
        )
    return known or tuple(IdType)


def _held_by(db: Db, identities: Iterable[Identity]) -> tuple[Audience, ...]:
    """The audiences whose cohorts may contain a person."""
    found = {
        record.audience.id: record.audience
        for identity in identities
        for record in find_person(db, identity.id)
        if record.id_type is identity.id_type
        and record.audience.cohort_id is not None
        and (record.delivered is not False or record.certain_at is not None)
    }
    return tuple(found[audience_id] for audience_id in sorted(found))


def _to_leave(db: Db, erasure_ids: Sequence[int]) -> tuple[Audience, ...]:
    return tuple(audience(db, id_) for id_ in erasures.audiences_to_leave(db, erasure_ids))


async def forget(
    plan: ForgetPlan,
    connection: Connection,
    ledger: Ledger,
    context: RunContext | None,
    *,
    left_behind: Sequence[str] = (),
    now: Callable[[], int] = now_in_microseconds,
) -> ForgetReport:
    """Remove people from every cohort, and erase them once Amplitude has confirmed that.

    `context` may be None if the plan removes no one. `left_behind` lists the files of an earlier
    ledger on this machine, which may contain them, too. `now` returns the time in microseconds
    since 1970. Raises `ReadOnly` and `LedgerError`; trouble with Amplitude is in the report.
    """
    guard(connection, KEPT)
    now = ledger.clock(now)
    # What was received before is history, whatever its time.
    await asyncio.to_thread(merge_received, ledger)
    ids = [await _begun(ledger, person, now()) for person in plan.people]
    # What came meanwhile may still name them; what comes from now on is kept without them.
    await asyncio.to_thread(merge_received, ledger)
    run = None if context is None else await _remove(ids, context)
    erased, left = [], []
    for person in plan.people:
        paired = await ledger.aread(erasures.rows_paired_with, person.identities)
        found = await ledger.awrite(_erase_if_out, person.identities, now(), paired)
        if isinstance(found, Erased):
            erased.append(found)
        else:
            left += _explained(found, run)
    backups, trouble = await _clean(ledger, now)
    copies = [] if ledger.backups is None else ledger.backups.set_aside()
    copies = [*copies, *left_behind] if erased else []
    return ForgetReport(tuple(erased), tuple(left), backups, trouble, run, tuple(copies))


async def _begun(ledger: Ledger, person: PersonToForget, now: int) -> int:
    if person.erasure_id is not None:
        return person.erasure_id
    return await ledger.awrite(erasures.begin_erasure, person.identities, now)


async def _remove(erasure_ids: Sequence[int], context: RunContext) -> RunReport | None:
    """Remove the people from the cohorts that may hold them, as a run of the history."""
    audiences = await context.ledger.aread(_to_leave, erasure_ids)
    if not audiences:
        return None
    only = await context.ledger.aread(_ids_of, erasure_ids)

    async def work(worker: AudienceWorker) -> None:
        known = worker.audience
        if known.broken:
            raise AudienceBlocked(known.broken)
        worker.only = only
        await deliver_pending(worker, known.id_type.other, Operation.REMOVE)
        await deliver_pending(worker, known.id_type, Operation.REMOVE)
        in_cohort.discard(known.id)

    in_cohort = {item.id for item in audiences}
    progress = [AudienceProgress(item.id, item.key, item.name, 1) for item in audiences]
    return await carry_out(
        RunKind.FORGET, progress, work, context, differs=lambda id_: id_ in in_cohort
    )


def _ids_of(db: Db, erasure_ids: Sequence[int]) -> frozenset[str]:
    return frozenset(
        identity.id
        for item in erasures.unfinished_erasures(db)
        if item.id in erasure_ids
        for identity in item.identities
    )


def _erase_if_out(
    db: Db, identities: Sequence[Identity], now: int, paired: Sequence[PairedRow]
) -> Erased | list[Obstacle]:
    """Erase a person whose removal is certain, in one transaction, and log that.

    Another process may have taken their request over, and may even have finished it.
    """
    unfinished = erasures.unfinished_erasures(db)
    ids = [item.id for item in unfinished if set(identities) & set(item.identities)]
    if not ids:
        return Erased(0, 0, ())
    (erasure_id,) = ids  # a request about the same person becomes one with it
    left = erasures.obstacles(db, erasure_id, now)
    if left:
        return left
    erased = erasures.erase(db, erasure_id, now, paired)
    (done,) = (item for item in erasures.all_erasures(db) if item.id == erasure_id)
    add_log_entry(db, LogEntry(now, LogKind.FORGET, erased_text(done)))
    return erased


def erased_text(erasure: Erasure) -> str:
    """The log's text on a deletion request that was carried out, without the person's identity."""
    cohorts = plural(erasure.cohorts or 0, "cohort")
    return (
        f"Deletion request {erasure.id}: a person was removed from {cohorts} and erased, by "
        f"{erasure.operator}."
    )


def _explained(left: Sequence[Obstacle], run: RunReport | None) -> list[Obstacle]:
    """Add why the run did not end for an audience, if that is why someone is in its cohort."""
    notes = {report.audience.id: report.note for report in run.audiences} if run else {}
    return [
        msgspec.structs.replace(item, reason=notes.get(item.audience.id) or item.reason)
        if item.reason == erasures.UNCONFIRMED
        else item
        for item in left
    ]


async def _clean(ledger: Ledger, now: Callable[[], int]) -> tuple[int, str]:
    """Clean the files and the backups of what was erased.

    Returns how many backups were deleted, and what went wrong; the next request tries again.
    """
    unclean = await ledger.aread(erasures.unclean_erasures)
    if not unclean:
        return 0, ""
    deleted = 0
    try:
        if ledger.backups is not None:  # else the files and the copies are the server's
            deleted = await asyncio.to_thread(clean_files, ledger.backups, now())
    except (LedgerError, BackupSkipped) as error:
        text = f"A deletion request is not complete: files still hold what was erased. {error}"
        await ledger.awrite(add_log_entry, LogEntry(now(), LogKind.FORGET, text, Severity.WARNING))
        return 0, str(error)
    # Not what another process has erased since: its bytes may still be there.
    await ledger.awrite(erasures.note_cleaned, unclean, now())
    return deleted, ""


_REPLACED = "All backups of the ledger are replaced by a new one."
_SERVER_KEEPS = (
    "The server's backups still contain what is erased: ask its administrator to delete them."
)


def plan_sentences(plan: ForgetPlan) -> list[str]:
    """Sentences on who is forgotten, from which cohorts they are removed, and the side effects."""
    found = []
    for person in plan.people:
        names = ", ".join(_named(identity) for identity in person.identities)
        cohorts = ", ".join(f"“{clean(item.name)}”" for item in person.audiences)
        removed = f"removed from the cohort of {cohorts}, then" if cohorts else "in no cohort;"
        found.append(f"{names}: {removed} erased from the ledger.")
    if plan.unclean:
        requests = plural(plan.unclean, "request")
        found.append(f"What {requests} erased is then removed from the ledger's files, too.")
    return [*found, _SERVER_KEEPS if plan.is_on_server else _REPLACED]


def _named(identity: Identity) -> str:
    return f"{identity.id_type.label} {clean(identity.id, 300)}"


def report_sentences(report: ForgetReport) -> list[str]:
    """Sentences on what was done, what was not and why, and what to do next."""
    found = []
    if report.erased:
        people = plural(len(report.erased), "person", "people")
        found.append(f"Forgot {people}. An event counts for them only if it is newer than this.")
    if report.backups:
        found.append(f"{plural(report.backups, 'backup')} deleted; a new one was made.")
    found += [
        f"Not erased: {_named(left.identity)} in “{clean(left.audience.name)}”. {left.reason}"
        for left in report.obstacles
    ]
    if report.obstacles:
        found.append("None of their data was erased. To finish it: amp-console forget")
    if report.trouble:
        found.append(f"Files still contain what was erased. {report.trouble}")
        found.append("To finish it: amp-console forget")
    if report.names:
        found.append(f"Still contained in {listed(report.names)}: change that yourself.")
    if report.copies:
        found.append(f"Delete earlier copies of the ledger yourself: {listed(report.copies)}.")
    return found
