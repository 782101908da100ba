"""Starting and controlling the live session of this console."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any

from textual.content import Content
from textual.screen import Screen

from amp_console.connections import KeysError, find_webhook_secret
from amp_console.console import audience_changes
from amp_console.console.context import Services
from amp_console.console.dialogs.form import FormDialog
from amp_console.console.dialogs.keyring import UntilQuit, ask_keyring
from amp_console.console.dialogs.large_removal import large_removal_question
from amp_console.console.dialogs.live import (
    FollowRequest,
    ListenRequest,
    follow_dialog,
    listen_dialog,
)
from amp_console.console.dialogs.new_cohort import NewCohortQuestion
from amp_console.console.failures import expected_failures
from amp_console.console.jobs.live import LiveJob, OpenSource, address, paths
from amp_console.console.jobs.under_way import under_way
from amp_console.console.routes import OpenLink
from amp_console.console.screens.live.start import SYNCING, SessionStart, sent_first_by_audience
from amp_console.console.texts import lines, safe_text
from amp_console.ledger.audiences import audience
from amp_console.ledger.outcomes import LARGE_REMOVAL, NO_COHORT
from amp_console.ledger.runs import Run
from amp_console.sync.delivery.plan import large_removal, same_key_words
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveAudience, WaitReason
from amp_console.sync.sources.protocols import CannotBind
from amp_console.text import clean, listed

_VERBS = {
    "end": "end",
    "pause": "pause",
    "resume": "resume",
    "pause_all": "pause",
    "go_live": "confirm",
    "switch": "enable or disable",
}
ENDING = "The session is ending. Start another one afterwards."
OF_AUDIENCE = frozenset({"pause", "resume", "go_live", "switch"})
"""The actions that concern the audience under the cursor."""


def own_job(services: Services) -> LiveJob | None:
    """Return the session of this console, under way or over; None if there is none."""
    job = services.jobs.live
    return job if job is not None and job.session is services.session else None


def disabled_reason(job: LiveJob | None, current: LiveAudience | None, action: str) -> str | None:
    """Why an action is unavailable now, with the audience under the cursor; None if it works."""
    live = under_way(job)
    is_ending = live is not None and live.is_ending
    if action in {"follow", "listen"}:
        return ENDING if is_ending else None
    if action not in _VERBS:
        return None
    if live is None:
        return f"No live session here: there is nothing to {_VERBS[action]}."
    if action == "end":
        return "The session is ending already." if is_ending else None
    return _reason_of_audience(current, action)


def _reason_of_audience(current: LiveAudience | None, action: str) -> str | None:
    if action in OF_AUDIENCE and current is None:
        return "There is no audience yet: audiences appear with their first event."
    return None


_LETS = {
    NO_COHORT: "Create its cohort",
    LARGE_REMOVAL: "Confirm its removal",
}


def confirmation_label(audience: LiveAudience | None) -> str | None:
    """What lets a waiting audience go live; None if it is not waiting for a confirmation."""
    return _LETS.get(audience.state) if audience is not None else None


def run_id(job: LiveJob | None, others: Sequence[Run], key: Hashable) -> int | None:
    """Return the run of this console's session, otherwise that of the row with this key."""
    if job is not None:
        return job.snapshot.run_id if job.snapshot else None
    if isinstance(key, tuple):
        return int(key[0])
    return others[0].id if others else None


# Sources.


Start = Callable[[], SessionStart | None]
"""Returns what a session would start with now; None if not read yet."""


def path_dialog(services: Services, start: Start) -> FormDialog[FollowRequest]:
    """Return a dialog that asks which folder or file to follow."""
    folder, job = services.environment.live_folder, own_job(services)
    if job is not None and job.follows(folder):
        folder = ""  # nothing else is being followed
    return follow_dialog(folder, _more(services, start), is_first=not under_way(own_job(services)))


async def follow_path(services: Services, asked: Awaitable[FollowRequest | None]) -> None:
    """Follow the path from the dialog, if any."""
    request, job = await asked, own_job(services)
    if request is None:
        return
    if job is not None and job.follows(request.path):
        said = f"The session follows {clean(request.path)} already."
        services.notifications.post(said, "warning", is_kept=False)
        return
    await _follow(services, paths(request.path), create=request.create)


def address_dialog(services: Services, start: Start) -> FormDialog[ListenRequest]:
    """Return a dialog that asks for the address to listen on."""
    return listen_dialog(_more(services, start), is_first=not under_way(own_job(services)))


def ask_again(front: Screen[Any]) -> None:
    """Update the question of a form in front, like the screen below it."""
    if isinstance(front, FormDialog):
        front.ask_again()


async def listen(services: Services, asked: Awaitable[ListenRequest | None]) -> None:
    """Receive webhooks on the address from the dialog, if any."""
    request, session = await asked, services.session
    if request is None or session is None:
        return
    environment = services.environment
    find = partial(
        find_webhook_secret, session.connection, environment.environ, environment.keyring
    )
    try:
        secret = await ask_keyring(services, find)
    except UntilQuit:
        secret = None
    except KeysError as error:
        services.notifications.post(str(error), "error")
        return
    source = address(request.host, request.port, secret, single_events=request.single_events)
    await _follow(services, source, create=request.create)


def _more(services: Services, start: Start) -> Callable[[bool], Content]:
    """What a new session does first; one under way keeps its options."""

    def more(create: bool) -> Content:
        if job := under_way(own_job(services)):
            names = [clean(name) for name in job.names]
            return safe_text(f"In addition to {listed(names)}." if names else "")
        now, sync = start(), under_way(services.jobs.sync)
        if now is None or sync is None:
            return sent_first_by_audience(now, services.glyphs, create=create)
        others = now.without(sync.holds)
        first = sent_first_by_audience(others, services.glyphs, create=create)
        return lines(safe_text(SYNCING), *([first] if others.sent(create=create) else []))

    return more


async def _follow(services: Services, open_source: OpenSource, *, create: bool) -> None:
    """Add a source to the session under way, or start one."""
    job = under_way(own_job(services))
    if job is None:
        begin(services, open_source, create=create)
        return
    if job.is_ending:  # since the dialog opened
        services.notifications.post(ENDING, "warning")
        return
    try:
        await job.add(open_source)
    except expected_failures(CannotBind) as error:
        services.notifications.post(str(error), "error")


def begin(services: Services, open_source: OpenSource, *, create: bool) -> None:
    """Start a session; `create` creates missing cohorts."""
    assert services.session is not None
    job = LiveJob(
        services.session,
        open_source,
        LiveOptions(services.environment.flush_seconds, create=create),
        services.timing,
        services.publish,
        services.alerts.report,
    )
    services.jobs.live = job
    job.start()
    services.run_in_background(_note_false_start(services, job))


async def _note_false_start(services: Services, job: LiveJob) -> None:
    """Log why a session never started: there is no run that says so."""
    await job.finished()
    if job.failure and job.run_id is None:
        services.notifications.post(job.failure, "error")


# The session and its audiences.


async def go_live(services: Services, job: LiveJob, waiting: LiveAudience) -> None:
    """Ask before creating an audience's cohort, or before sending its large removal."""
    session, audience_id = services.session, waiting.audience_id
    assert session is not None
    known = await session.read(audience, audience_id)
    if waiting.state == NO_COHORT:
        words = await session.read(same_key_words, known)
        answer = await NewCohortQuestion(waiting, words).asked(services)
        if answer == NewCohortQuestion.CREATE:
            job.go_live(audience_id, WaitReason.NO_COHORT)
        elif answer == NewCohortQuestion.LINK:
            services.navigate(OpenLink(audience_id))
        return
    plan = await session.read(large_removal, session.connection, known, services.clock.now)
    if plan is None:  # it was sent in the meantime, or most of them have returned
        job.recheck(audience_id)
    elif await large_removal_question([plan]).asked(services):
        job.go_live(audience_id, WaitReason.REMOVAL)


async def switch(services: Services, shown: LiveAudience) -> None:
    """Disable an audience, or enable it again, which makes it live at once."""
    assert services.session is not None
    known = await services.session.read(audience, shown.audience_id)
    await audience_changes.switch(services, known)
