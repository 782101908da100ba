"""What is begun and changed in the live view: which sources to follow, and single audiences."""

from functools import partial
from typing import TYPE_CHECKING

from amp_console.connections import KeysError, find_webhook_secret
from amp_console.console import changing
from amp_console.console.keyring import UntilQuit, ask_keyring
from amp_console.console.live_work import Bring, LiveWork, address, paths
from amp_console.console.screens.ask import Ask
from amp_console.console.screens.dialog import Confirm
from amp_console.ledger.audiences import audience
from amp_console.sync.follower import NO_COHORT, OFF, LiveWish
from amp_console.sync.live_progress import LiveAudience
from amp_console.sync.read_only import refusal
from amp_console.sync.words import clean

if TYPE_CHECKING:
    from amp_console.console.screens.live import LivePlace

ADDRESS = "127.0.0.1:8766"
COHORTS = " Cohorts are made for audiences that have none; they can't be deleted."


def why_not(place: "LivePlace", action: str) -> str | None:
    """What can't be done in the live view now, and why."""
    if action in {"follow", "listen"}:
        if place.is_live:
            return "A session is under way: press e to end it first."
        if place.session.connection.read_only:
            return refusal(place.session.connection)
    if action == "run" and place.run_id is None:
        return "No session was begun since the console was opened. Past ones: press 3."
    if action not in _DOING:
        return None
    if not place.is_live:
        return f"No live session here: there is nothing to {_DOING[action]}."
    return _why_not_one(place.current, action)


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


def ask_paths(place: "LivePlace", *, create: bool) -> None:
    """Ask which folder or file to follow, and begin."""

    def begun(path: str | None) -> None:
        if path is not None:
            begin(place, paths(path.strip()), create=create)

    question = "Which folder, or which file that grows?" + (COHORTS if create else "")
    place.app.push_screen(Ask("Follow", question, "", "Follow"), begun)


def ask_address(place: "LivePlace", *, create: bool) -> None:
    """Ask for the address to listen on, and begin."""

    def begun(text: str | None) -> None:
        if text is not None:
            place.run_worker(_listen(place, text, create=create))

    question = (
        "On which address are the events of Segment's Webhooks destination to arrive? Other "
        "machines reach it only with a shared secret: amp-console listen --save-secret keeps it."
    )
    place.app.push_screen(
        Ask("Listen", question + (COHORTS if create else ""), ADDRESS, "Listen", _wrong), begun
    )


def _wrong(text: str) -> str | None:
    host, _, port = text.strip().rpartition(":")
    if host and port.isdecimal() and 0 < int(port) < 65_536:
        return None
    return f"An address and a port are wanted, such as {ADDRESS}."


async def _listen(place: "LivePlace", text: str, *, create: bool) -> None:
    host, _, port = text.strip().rpartition(":")
    console, premises = place.console, place.console.premises
    connection = place.session.connection
    look = partial(find_webhook_secret, connection, premises.environ, premises.vault)
    try:
        secret = await ask_keyring(console, look)
    except UntilQuit:
        secret = None
    except KeysError as error:
        console.say(str(error), "error")
        return
    begin(place, address(host.strip("[]"), int(port), secret), create=create)


def begin(place: "LivePlace", bring: Bring, *, create: bool) -> None:
    """Begin a session."""
    console = place.console
    work = LiveWork(
        place.session,
        bring,
        LiveWish(console.premises.flush_seconds, create=create),
        console.premises.timing,
        console.tell,
        console.alarm,
    )
    console.following = work
    work.start()
    place.draw()
    place.refresh_bindings()


def go_live(place: "LivePlace", of: LiveAudience) -> None:
    """Let an audience follow that waits: go on, switch it on, or make its cohort."""
    work = place.work
    if work is None:
        return
    if of.is_paused:
        work.resume(of.audience_id)
    elif of.state == OFF:
        place.run_worker(switch(place, of))
    else:
        consequences = [
            f"A cohort is made for “{clean(of.name)}”, and its {of.queue:,} changes are delivered.",
            "Cohorts can't be deleted over the API.",
        ]

        def answered(yes: bool | None) -> None:
            if yes:
                work.go_live(of.audience_id)
                place.draw()

        place.app.push_screen(Confirm("Go live?", consequences, "Make the cohort"), answered)


async def switch(place: "LivePlace", of: LiveAudience) -> None:
    """Switch an audience off for good, or on again; it follows at once then."""
    known = await place.session.read(audience, of.audience_id)
    await changing.switch(place.console, known)
    if place.work is not None and not known.enabled:
        place.work.hurry(of.audience_id)
