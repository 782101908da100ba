"""What is begun and changed in the live view: which sources to follow, and single audiences."""

from functools import partial
from typing import TYPE_CHECKING

from amp_console.connections import KeysError, find_webhook_secret
from amp_console.connections.read_only import refusal
from amp_console.console import audience_changes
from amp_console.console.dialogs.ask import Ask
from amp_console.console.dialogs.base import Confirm
from amp_console.console.dialogs.keyring import UntilQuit, ask_keyring
from amp_console.console.dialogs.listen import ListenDialog, ListenRequest
from amp_console.console.failures import KNOWN
from amp_console.console.jobs.live import Bring, LiveJob, address, paths
from amp_console.ledger.audiences import audience
from amp_console.sync.live.follower import NO_COHORT, OFF
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveAudience
from amp_console.sync.sources.protocols import CannotBind
from amp_console.text import clean, plural

if TYPE_CHECKING:
    from amp_console.console.screens.live.view import LiveScreen

COHORTS = " Audiences without a cohort get one; cohorts can't be deleted over the API."


def disabled_reason(place: "LiveScreen", action: str) -> str | None:
    """What can't be done in the live view now, and why."""
    if action in {"follow", "listen"}:
        return _why_not_begin(place)
    if action == "run" and place.run_id is None:
        return "No session was begun since the console was opened. Past ones: press 3."
    if action not in _DOING:
        return None
    if not place.is_live:
        return f"No live session here: there is nothing to {_DOING[action]}."
    if action == "end":
        return "The session is ending already." if _is_ending(place) else None
    return _why_not_one(place.current, action)


def _why_not_begin(place: "LiveScreen") -> str | None:
    if _is_ending(place):
        return "The session is ending. Start another one afterwards."
    connection = place.session.connection
    return refusal(connection) if connection.read_only else None


def _is_ending(place: "LiveScreen") -> bool:
    return place.is_live and place.work is not None and place.work.is_ending


def _why_not_one(of: LiveAudience | None, action: str) -> str | None:
    if action in {"pause", "resume", "go_live", "switch"} and of is None:
        return "No change has arrived yet: there is no audience to choose."
    if action == "go_live" and of is not None and not _waits(of):
        return f"“{clean(of.name)}” is live already."
    return None


_DOING = {
    "end": "end",
    "pause": "pause",
    "resume": "resume",
    "pause_all": "pause",
    "go_live": "let go live",
    "switch": "switch",
}


def _waits(of: LiveAudience) -> bool:
    return of.is_paused or of.state in {NO_COHORT, OFF}


def ask_paths(place: "LiveScreen", *, create: bool) -> None:
    """Ask which folder or file to follow, and begin, or add it to the session under way."""

    def begun(path: str | None) -> None:
        if path is not None:
            follow(place, paths(path.strip()), create=create)

    question = "Folder or file to follow." + _more(place, create=create)
    offered = place.services.environment.live_folder
    place.app.push_screen(Ask("Follow", question, offered, "Follow"), begun)


def ask_address(place: "LiveScreen", *, create: bool) -> None:
    """Ask for the address to listen on, and begin, or add it to the session under way."""

    def begun(request: ListenRequest | None) -> None:
        if request is not None:
            place.run_worker(_listen(place, request, create=create))

    place.app.push_screen(ListenDialog(_more(place, create=create)), begun)


def _more(place: "LiveScreen", *, create: bool) -> str:
    """What is said of cohorts: a session under way keeps what it was begun with."""
    return COHORTS if create and not place.is_live else ""


async def _listen(place: "LiveScreen", request: ListenRequest, *, create: bool) -> None:
    services = place.services
    connection = place.session.connection
    glyphs = partial(
        find_webhook_secret, connection, services.environment.environ, services.environment.keyring
    )
    try:
        secret = await ask_keyring(services, glyphs)
    except UntilQuit:
        secret = None
    except KeysError as error:
        services.notifications.post(str(error), "error")
        return
    host, port, single_events = request
    follow(place, address(host, port, secret, single_events=single_events), create=create)


def follow(place: "LiveScreen", bring: Bring, *, create: bool) -> None:
    """Begin a session with this source, or add it to the one under way."""
    work = place.work
    if work is not None and place.is_live:
        place.run_worker(_add(place, work, bring))
    else:
        begin(place, bring, create=create)


async def _add(place: "LiveScreen", work: LiveJob, bring: Bring) -> None:
    try:
        await work.add(bring)
    except (*KNOWN, CannotBind) as error:
        place.services.notifications.post(str(error), "error")


def begin(place: "LiveScreen", bring: Bring, *, create: bool) -> None:
    """Begin a session."""
    services = place.services
    work = LiveJob(
        place.session,
        bring,
        LiveOptions(services.environment.flush_seconds, create=create),
        services.timing,
        services.publish,
        services.alerts.report,
    )
    services.jobs.live = work
    work.start()
    place.draw()
    place.refresh_bindings()


def ask_to_end(place: "LiveScreen") -> None:
    """Ask, then end the session; what is pending and not paused is delivered first."""
    work = place.work
    if work is None:
        return
    consequences = [
        "It stops reading events. Changes that are not delivered yet are sent first.",
        "Paused audiences and those that wait for a cohort stay pending.",
    ]

    def answered(is_meant: bool | None) -> None:
        if is_meant:
            work.cancel()
            place.draw()
            place.refresh_bindings()

    question = Confirm("End the live session?", consequences, "End it", "Keep it")
    place.app.push_screen(question, answered)


def go_live(place: "LiveScreen", of: LiveAudience) -> None:
    """Let an audience go live that waits: resume, switch it on, or make its cohort."""
    work = place.work
    if work is None:
        return
    if of.is_paused:
        work.resume(of.audience_id)
    elif of.state == OFF:
        place.run_worker(switch(place, of))
    else:
        consequences = [
            f"Creates a cohort for “{clean(of.name)}” and delivers {plural(of.queue, 'change')}.",
            "Cohorts can't be deleted over the API.",
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                work.go_live(of.audience_id)
                place.draw()

        place.app.push_screen(Confirm("Go live?", consequences, "Create the cohort"), answered)


async def switch(place: "LiveScreen", of: LiveAudience) -> None:
    """Switch an audience off for good, or on again; it goes live at once then."""
    known = await place.session.read(audience, of.audience_id)
    await audience_changes.switch(place.services, known)
    if place.work is not None and not known.enabled:
        place.work.recheck(of.audience_id)
