"""The live session in a few lines: its state, its lag, and what it has read and done."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import PurePath

from textual.content import Content

from amp_console.console.glyphs import Glyphs, sparkline
from amp_console.console.jobs.live import REMEMBERED, LiveJob
from amp_console.console.run_words import TEST_KEYS
from amp_console.console.texts import (
    ACCENT,
    BAD,
    GOOD,
    MUTED,
    STRONG,
    WARN,
    Part,
    flow,
    lines,
    safe_text,
)
from amp_console.console.words import clock, lasting, stopwatch
from amp_console.ledger.refused_requests import RefusedRequests
from amp_console.sync.formatting import refused_words
from amp_console.sync.live.progress import LiveSnapshot, pending_by_audience
from amp_console.sync.sources.bucket.address import is_bucket
from amp_console.sync.sources.protocols import SourceStatus
from amp_console.text import plural

LEAST_LAG = 0.1  # seconds; smaller values are shown as less than this


def headline(work: LiveJob, glyphs: Glyphs, width: int, *, is_short: bool) -> Content:
    """The session, in `width` columns.

    `is_short`: a line on its sources replaces the sparklines.
    """
    now, dot = work.snapshot, safe_text((glyphs.separator, MUTED))
    rows = [flow(list(_begin(work, glyphs)), dot, width)]
    if now is not None and now.is_over and (left := now.queue + now.waiting):
        rows.append(flow(list(_left(now, left)), safe_text(" "), width))
    refused = work.report.keys_refused if work.report else None
    if work.failure or refused:
        rows.append(safe_text((work.failure or refused or "", BAD)))
        rows += [safe_text(TEST_KEYS)] if refused else []
    elif now is not None:
        if not now.is_over:
            rows.append(flow(list(behind(now)), dot, width))
        rows.append(flow(list(_done(now, work.unidentified)), dot, width))
        if not is_short:
            rows.append(flow(list(_changes(now)), safe_text(" "), width))
        if now.refused:
            rows.append(refused_row(now.refused))
        if is_short:
            rows.append(flow(list(_sources(now, work.now, glyphs)), dot, width))
        elif not now.is_over:
            rows.append(_lines(work.history, glyphs))
    return lines(*(row for row in rows if row))


def _begin(work: LiveJob, glyphs: Glyphs) -> Iterator[Content]:
    """The session's state, and what it has read."""
    now = work.snapshot
    sign, word, style = _state(work, glyphs)
    yield safe_text((f"{sign} {word}", f"{STRONG} {style}"))
    if now is None:
        return
    events = f"{plural(now.tally.read, 'event')} read"
    earlier: Part = (f" ({now.earlier:,} written earlier)" if now.earlier else "", MUTED)
    yield safe_text(f"{events} in {stopwatch(now.elapsed)}", earlier)
    if now.tally.valid:  # not "nothing new": other changes may be being delivered
        yield safe_text((f"{plural(now.updated, 'member')} updated", MUTED))
    if now.tally.invalid:
        yield safe_text((f"{now.tally.invalid:,} invalid", BAD))


def _left(now: LiveSnapshot, left: int) -> Iterator[Content]:
    """What was pending at the end of a session, by audience; names are not wrapped."""
    whose = pending_by_audience(now.audiences)
    what = f"{plural(left, 'change')} pending at its end"
    yield safe_text((f"{what}:" if whose else what, WARN))
    for at, text in enumerate(whose, 1):
        yield safe_text((text if at == len(whose) else f"{text},", WARN))


def _state(work: LiveJob, glyphs: Glyphs) -> tuple[str, str, str]:
    if work.failure:
        return glyphs.bad, "failed", BAD
    if work.is_over:
        when = f" at {clock(work.ended_at)}" if work.ended_at is not None else ""
        return glyphs.ring, f"ended{when}", MUTED
    if work.is_ending:
        return glyphs.live, "ending: delivering pending changes", WARN
    if work.is_paused:
        return glyphs.half, "paused: events are read, nothing is sent", WARN
    return glyphs.live, "live" if work.snapshot else "starting", ACCENT


def behind(now: LiveSnapshot) -> Iterator[Content]:
    """The lag of the cohorts, not counting audiences that wait for the operator.

    Times are measured from reading, whatever the times of the events.
    """
    lag, since_read = ("none", "") if not now.queue else (lasting(now.lag), " since read")
    yield safe_text(("lag ", MUTED), (lag, STRONG), (since_read, MUTED))
    if now.lag_95 > 0:  # it is known once the first window is delivered
        counted = ", not counting waits for you" if now.omits_waits else " of reading"
        within = lasting(max(LEAST_LAG, now.lag_95))
        yield safe_text(("95% delivered within ", MUTED), within, (counted, MUTED))
    many = f"{now.waiting:,} of them" if now.queue else "all of them"
    waiting: list[Part] = [(f", {many} waiting", WARN)] if now.waiting else []
    yield safe_text(("pending ", MUTED), f"{now.queue + now.waiting:,}", *waiting)


def _done(now: LiveSnapshot, unidentified: int) -> Iterator[Content]:
    """What this session has done, and how many `unidentified` members came meanwhile."""
    counts = now.counts
    yield safe_text(("by this session: added ", MUTED), (f"{counts.added:,}", GOOD))
    yield safe_text(("removed ", MUTED), (f"{counts.removed:,}", WARN))
    style = BAD if counts.rejected else MUTED
    yield safe_text(("rejected ", MUTED), (f"{counts.rejected:,}", style))
    if unidentified:
        yield safe_text(("missing IDs ", MUTED), (f"{unidentified:,}", BAD))
    yield safe_text(("requests ", MUTED), f"{counts.requests:,}")


def _changes(now: LiveSnapshot) -> Iterator[Content]:
    """What became of pending changes; `LiveScreen.HELP` defines the terms."""
    counts = now.counts
    since_then = "since then"
    if now.arrived > now.tally.valid:  # more than this session has read
        since_then += ", not only from its events"
    came = ((now.pending_before, "pending at the start"), (now.arrived, since_then))
    went = (
        (counts.added + counts.removed, "delivered"),
        (counts.rejected, "rejected"),
        (now.queue + now.waiting, "pending at its end" if now.is_over else "pending now"),
        (now.dropped, "needed no request"),
    )
    sign = "changes "
    for found in (came, went):
        for count, word in found:
            if count:
                yield safe_text((sign, MUTED), f"{count:,}", (f" {word}", MUTED))
                sign = "+ "
        sign = "= "


def refused_row(refused: Sequence[RefusedRequests]) -> Content:
    """How many requests a receiver refused, and the answer to the last one."""
    last = refused[0]
    return safe_text(
        ("requests: ", MUTED),
        (refused_words(refused), BAD),
        (f"; the last one at {clock(last.last_at)} ({last.status}): ", MUTED),
        last.message,
    )


def _sources(now: LiveSnapshot, moment: float, glyphs: Glyphs) -> Iterator[Content]:
    """Where events come from, when the last one came, and any trouble with a source."""
    sources = now.sources
    if not sources:
        return
    if len(sources) == 1:
        yield safe_text(("source ", MUTED), _short(sources[0].name))
    else:
        kind = "files" if all(source.size is not None for source in sources) else "files and others"
        yield safe_text((f"{kind} ", MUTED), f"{now.source_count:,}")
    last = max((source.last for source in sources if source.last is not None), default=None)
    if last is not None:
        yield safe_text(("last read ", MUTED), since(moment - last))
    if (failing := trouble(now, glyphs)) is not None:
        yield failing


def since(seconds: float) -> str:
    """How long ago an event came, in at most ten characters, so that the column never grows."""
    if seconds < 1:
        return "now"
    if seconds < 59.5:
        return f"{lasting(seconds)} ago"
    minutes = max(1, int(seconds // 60))
    return f"{minutes} min ago" if minutes < 60 else f"{minutes // 60} h ago"


def shared_folder(sources: Sequence[SourceStatus]) -> str:
    """The folder that all sources are files in; "" if there is no such folder."""
    folders = {"" if item.size is None else str(PurePath(item.name).parent) for item in sources}
    return folders.pop() if len(folders) == 1 else ""


def trouble(now: LiveSnapshot, glyphs: Glyphs) -> Content | None:
    """The trouble of a source, or the source awaited; None if there is neither."""
    failing = [item for item in now.sources if has_trouble(item, now)]
    if not failing:
        return None
    worst = min(failing, key=lambda source: source.is_awaited)
    sign, style = (glyphs.dotted, WARN) if worst.is_awaited else (glyphs.bad, BAD)
    name = _short(worst.name) if shared_folder(now.sources) else worst.name
    return safe_text((f"{sign} {name}  ", MUTED), (worst.trouble, style))


def has_trouble(source: SourceStatus, now: LiveSnapshot) -> bool:
    """Whether a source has trouble that matters: at the end, what was awaited does not."""
    return bool(source.trouble) and not (now.is_over and source.is_awaited)


def _short(name: str) -> str:
    """The name of a file without its folder; a bucket is shown by its whole address."""
    return name if is_bucket(name) else PurePath(name).name


def _lines(history: Sequence[LiveSnapshot], glyphs: Glyphs) -> Content:
    """Events and deliveries per second, as sparklines."""
    is_whole = len(history) < REMEMBERED

    def rises(value: Callable[[LiveSnapshot], int]) -> list[int]:
        totals = [*([0] if is_whole else []), *map(value, history)]
        return [max(0, late - early) for early, late in pairwise(totals)]

    read = rises(lambda item: item.tally.read)
    sent = rises(lambda item: item.counts.added + item.counts.removed)
    if not read:
        return safe_text("")
    return lines(
        safe_text(("read      ", MUTED), (sparkline(glyphs, read), ACCENT)),
        safe_text(("delivered ", MUTED), (sparkline(glyphs, sent), GOOD)),
    )
