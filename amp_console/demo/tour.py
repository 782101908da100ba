"""The steps of the guided tour, as data.

The story: a plan, a sync that meets a rate limit, users that were rejected and are retried, a
cohort that was changed by hand and is repaired, and a live session.
"""

from collections.abc import Callable
from typing import NamedTuple

from amp_console.demo.conditions import (
    Condition,
    cursor_on,
    every,
    live_delivers,
    screen,
    sync_is_over,
    sync_waits,
    trouble,
)

SHORT, USUAL, LONG = 4.0, 5.5, 7.0  # seconds of rest after a step
RATE_LIMIT = "rate-limit"


class KeyPress(NamedTuple):
    """A key and what it does.

    A `key` that starts with @ is the ID of a binding; its current key is pressed. `meanwhile` is
    true from then until the next key, which waits until `then` holds. A key that `repeats` is
    pressed as often as that takes.
    """

    key: str
    label: str
    meanwhile: str = ""
    then: Condition = every()
    repeats: bool = False


class TourStep(NamedTuple):
    """Keys, and a caption for what they lead to.

    `caption` is shown once `holds` does, and then for `rest` seconds; a step without keys may say
    something until then (`meanwhile`). `before` is called first.
    """

    caption: str
    holds: Condition
    keys: tuple[KeyPress, ...] = ()
    meanwhile: str = ""
    rest: float = USUAL
    before: Callable[[], None] | None = None


def tour_steps(make_ghosts_known: Callable[[], None]) -> tuple[TourStep, ...]:
    """The steps of a tour through a seeded demo.

    `make_ghosts_known` lets Amplitude know the users it has rejected as unknown.
    """
    return (*_HOME, *_SYNC, *_REJECTED, *_retry(make_ghosts_known), *_REPAIR, *_LIVE)


def _down_to(name: str, text: str) -> tuple[KeyPress, ...]:
    words = f"The cursor goes to {text}."
    return (
        KeyPress("g", "First line", words),
        KeyPress("j", "Down", words, cursor_on(name, text), repeats=True),
    )


_HOME = (
    TourStep(
        "Each line is an audience: a group of people that Segment keeps up to date. amp-console "
        "keeps a cohort in Amplitude equal to it.",
        screen("AudiencesScreen", "High value", "11,7"),
        rest=LONG,
    ),
    TourStep(
        "The newsletter has 12,120 people, and Amplitude has no cohort for them yet. Let us create "
        "it.",
        every(cursor_on("AudiencesScreen", "Newsletter"), screen("AudiencesScreen", "12,120")),
        _down_to("AudiencesScreen", "Newsletter"),
    ),
)

_SYNC = (
    TourStep(
        "This is a plan. Nothing is sent yet. It says what a sync would do: create one cohort and "
        "add 12,120 people to it.",
        screen("PlanScreen", "creates a cohort", "12,120"),
        (KeyPress("s", "Sync"),),
        rest=LONG,
    ),
    TourStep(
        "Networks are not perfect, so the demo can cause trouble. We take the first kind: a rate "
        "limit.",
        screen("TroubleDialog", "Rate limit", "off"),
        (KeyPress("!", "Make trouble"),),
        rest=SHORT,
    ),
    TourStep(
        "It is on. From now on Amplitude refuses most requests, and asks to wait 5 seconds.",
        every(screen("TroubleDialog"), trouble(RATE_LIMIT, is_on=True)),
        (KeyPress("1", "Rate limit"),),
        rest=SHORT,
    ),
    TourStep(
        "Amplitude refused a request: too many requests. The sync waits as long as Amplitude "
        "asks, then sends it again. No one is lost.",
        every(screen("RunScreen", "Newsletter", "again in"), sync_waits),
        (
            KeyPress("escape", "Close", then=screen("PlanScreen")),
            KeyPress("y", "Send", "The sync has begun."),
        ),
        rest=LONG,
    ),
    TourStep(
        "The rate limit is off again. The sync resumes where it stopped, and sends larger "
        "requests while they succeed.",
        every(screen("RunScreen", "Newsletter"), trouble(RATE_LIMIT, is_on=False)),
        (
            KeyPress("!", "Make trouble", "We lift the rate limit again.", screen("TroubleDialog")),
            KeyPress("1", "Rate limit", then=trouble(RATE_LIMIT, is_on=False)),
            KeyPress("escape", "Close"),
        ),
        rest=SHORT,
    ),
    TourStep(
        "All 12,120 people are in the new cohort. The screen accounts for each of them, and below "
        "is every request with its answer.",
        every(screen("RunScreen", "12,120/12,120"), sync_is_over),
        meanwhile="The sync is still sending. The tour continues when it has ended.",
        rest=LONG,
    ),
)

_REJECTED = (
    TourStep(
        "Who is not in a cohort, and why? Here is everyone that Amplitude rejected, with the "
        "reason.",
        screen("ErrorsScreen", "All reasons", "does not know"),
        (KeyPress("@go.errors", "Errors"),),
    ),
    TourStep(
        "These eight shoppers are in Segment, but Amplitude has never heard of them. It can't put "
        "them into a cohort.",
        cursor_on("ErrorsScreen", "does not know"),
        (KeyPress("j", "Down", "", cursor_on("ErrorsScreen", "does not know"), repeats=True),),
        rest=LONG,
    ),
)


def _retry(make_ghosts_known: Callable[[], None]) -> tuple[TourStep, ...]:
    return (
        TourStep(
            "In the meantime all eight have used the app, so Amplitude knows them now. Retry sends "
            "them once more.",
            screen("RetryDialog", "Retry 8 users"),
            (KeyPress("R", "Retry"),),
            rest=LONG,
            before=make_ghosts_known,
        ),
        TourStep(
            "Again the plan comes first. It also holds the people who have entered and left since "
            "the last sync.",
            screen("PlanScreen", "High value", "Before you send"),
            (KeyPress("s", "Retry and plan a sync"),),
        ),
        TourStep(
            "Delivered, and no one was rejected this time. All eight are in the cohort.",
            every(screen("RunScreen", "elapsed"), sync_is_over),
            (KeyPress("y", "Send", "The sync is sending."),),
            rest=LONG,
        ),
    )


_LAPSED = "Recently lapsed"

_REPAIR = (
    TourStep(
        "One question to Amplitude compares the sizes of all cohorts. Recently lapsed differs: "
        "someone has changed this cohort by hand.",
        screen("AudiencesScreen", _LAPSED, "fewer in Amplitude"),
        (
            KeyPress("@go.audiences", "Audiences", then=screen("AudiencesScreen")),
            *_down_to("AudiencesScreen", _LAPSED),
            KeyPress("u", "Check the cohorts", "Asking Amplitude for the sizes of its cohorts."),
        ),
        rest=LONG,
    ),
    TourStep(
        "A size does not say who. Reconcile reads the cohort from Amplitude, and compares it "
        "person by person.",
        screen("ReconcileScreen", _LAPSED, "Not compared yet."),
        (KeyPress("r", "Reconcile"),),
    ),
    TourStep(
        "212 people are missing from the cohort, and 37 are in it who do not belong there. Each of "
        "them is listed.",
        screen("ReconcileScreen", "212 missing", "37 extra"),
        (KeyPress("r", "Compare", "Amplitude prepares a list of the cohort's members."),),
        rest=LONG,
    ),
    TourStep(
        "A repair has to be confirmed, too: 212 people are added to the cohort, 37 are removed "
        "from it.",
        screen("Confirm", "Adds 212 users", "removes 37 users"),
        (KeyPress("p", "Repair", then=screen("ChoiceDialog")), KeyPress("b", "Both")),
    ),
    TourStep(
        "Repaired: the cohort matches the audience again.",
        screen("ReconcileScreen", "249 of 249"),
        (KeyPress("y", "Send", "The repair is sending."),),
    ),
)

_LIVE = (
    TourStep(
        "So far, each sync was started by hand. Live follows Segment's events all the time, here "
        "in a folder where new files arrive.",
        screen("FormDialog", "segment-logs"),
        (KeyPress("@go.live", "Live", then=screen("LiveScreen")), KeyPress("n", "Follow files")),
    ),
    TourStep(
        "People who enter or leave an audience in Segment are now in the cohort, or out of the "
        "cohort, seconds later.",
        every(screen("LiveScreen", "events read"), live_delivers),
        (KeyPress("f2", "Follow", "Changes are gathered for a few seconds, then sent."),),
        rest=LONG,
    ),
    TourStep(
        "That was the tour. The console is yours: ? names every key, ! makes trouble, ctrl+q quits "
        "and leaves nothing behind.",
        screen("AudiencesScreen", "Newsletter"),
        (KeyPress("@go.audiences", "Audiences"),),
        rest=LONG,
    ),
)
