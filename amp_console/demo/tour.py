"""The steps of the guided tour, as data.

The story: a plan, a sync with a rate limit, rejected users who are retried, a cohort that was
changed by hand and is repaired, and a live session. A caption is one line of 80 columns, and
describes what the screen shows, in its words.
"""

from collections.abc import Callable
from typing import NamedTuple

from amp_console.demo.conditions import (
    Condition,
    cursor_on,
    every,
    lacks,
    live_delivers,
    screen,
    sync_is_over,
    sync_waits,
    trouble,
)

SHORT, USUAL, LONG = 3.5, 4.5, 6.5  # seconds of rest after a step
RATE_LIMIT = "rate-limit"


class KeyPress(NamedTuple):
    """A key and what it does.

    A `key` that starts with @ is the ID of a binding; its current key is pressed. The text
    `meanwhile` is shown from then until the next key, which waits until `then` holds. A key that
    `repeats` is pressed until it does.
    """

    key: str
    label: str
    meanwhile: str = ""
    then: Condition = every()
    repeats: bool = False


class TourStep(NamedTuple):
    """Keys, and a caption for their result.

    `caption` is shown once `holds` is true, and then for `rest` seconds; a step without keys may
    show another text until then (`meanwhile`). `before` is called first.
    """

    caption: str
    holds: Condition
    keys: tuple[KeyPress, ...] = ()
    meanwhile: str = ""
    rest: float = USUAL
    before: Callable[[], None] | None = None


def tour_steps(make_ghosts_known: Callable[[], None]) -> tuple[TourStep, ...]:
    """The steps of a tour through a seeded demo.

    `make_ghosts_known` makes the users that Amplitude rejected as unknown known to it.
    """
    return (*_HOME, *_SYNC, *_REJECTED, *_retry(make_ghosts_known), *_REPAIR, *_LIVE)


def _down_to(text: str) -> tuple[KeyPress, ...]:
    words = f"The cursor moves to {text}."
    return (
        KeyPress("g", "First line", words),
        KeyPress("j", "Down", words, cursor_on("AudiencesScreen", text), repeats=True),
    )


_HOME = (
    TourStep(
        "Each line is an audience, a group of people that Segment keeps up to date.",
        screen("AudiencesScreen", "6 audiences", "High value"),
    ),
    TourStep(
        "Each is linked to a cohort: amp-console keeps the same people in Amplitude.",
        screen("AudiencesScreen", "Members", "not compared"),
    ),
    TourStep(
        "Trial day 7 has a broken link: someone deleted its cohort in Amplitude.",
        screen("AudiencesScreen", "Trial day 7", "broken link"),
        rest=SHORT,
    ),
    TourStep(
        "Newsletter has 12,120 members and no cohort.",
        every(
            cursor_on("AudiencesScreen", "Newsletter"),
            screen("AudiencesScreen", "12,120", "no cohort"),
        ),
        _down_to("Newsletter"),
    ),
)

_SYNC = (
    TourStep(
        "A sync begins with a plan of what it will send: 1 cohort with 12,120 users.",
        screen("PlanScreen", "Creates 1 cohort and adds 12,120 users"),
        (KeyPress("s", "Sync"),),
    ),
    TourStep(
        "Nothing is sent until you confirm the plan with y.",
        screen("PlanScreen", "Before you send", "y Send"),
        rest=SHORT,
    ),
    TourStep(
        "First, the demo makes trouble for this sync: a rate limit.",
        screen("TroubleDialog", "Rate limit", "off"),
        (KeyPress("!", "Make trouble"),),
        rest=SHORT,
    ),
    TourStep(
        "It is on. Amplitude now refuses most changes, and asks to wait 5 seconds.",
        every(screen("TroubleDialog", "must wait 5 s", " on "), trouble(RATE_LIMIT, is_on=True)),
        (KeyPress("1", "Rate limit"),),
    ),
    TourStep(
        "Amplitude refused a request: 429, too many. The sync waits, then resends it.",
        every(screen("RunScreen", "429", "rate limited", "again in"), sync_waits),
        (
            KeyPress("escape", "Close", "Back to the plan.", screen("PlanScreen")),
            KeyPress("y", "Send", "The sync has started."),
        ),
    ),
    TourStep(
        "No one is lost: users who are not delivered yet stay pending.",
        screen("RunScreen", "pending", "delivered"),
        rest=SHORT,
    ),
    TourStep(
        "The rate limit is off again, and the sync continues.",
        every(screen("RunScreen", "running"), trouble(RATE_LIMIT, is_on=False)),
        (
            KeyPress("!", "Make trouble", "The rate limit ends here.", screen("TroubleDialog")),
            KeyPress(
                "1",
                "Rate limit",
                "The rate limit ends here.",
                trouble(RATE_LIMIT, is_on=False),
            ),
            KeyPress("escape", "Close"),
        ),
        rest=SHORT,
    ),
    TourStep(
        "All 12,120 users are delivered. Below is every request with its answer.",
        every(
            screen(
                "RunScreen", "12,120/12,120", "All changes to Newsletter were delivered.", "200"
            ),
            sync_is_over,
        ),
        meanwhile="The sync is sending. Its requests grow as long as they succeed.",
        rest=LONG,
    ),
)

_UNKNOWN = "did not know this User ID"

_REJECTED = (
    TourStep(
        "Errors lists every user who could not be delivered, with the reason.",
        screen("ErrorsScreen", "Reason", "All reasons", "13 users"),
        (KeyPress("@go.errors", "Errors"),),
    ),
    TourStep(
        "Amplitude does not know 8 of the High value shoppers: it never saw them.",
        every(
            cursor_on("ErrorsScreen", _UNKNOWN),
            screen("ErrorsScreen", "High value shoppers", "8 users"),
        ),
        (
            KeyPress(
                "j",
                "Down",
                "The cursor moves to one of the reasons.",
                cursor_on("ErrorsScreen", _UNKNOWN),
                repeats=True,
            ),
        ),
    ),
)


def _retry(make_ghosts_known: Callable[[], None]) -> tuple[TourStep, ...]:
    return (
        TourStep(
            "Suppose they have used the app since then. A retry sends all 8 again.",
            screen("RetryDialog", "Retry 8 users", "will be pending again"),
            (KeyPress("R", "Retry all"),),
            before=make_ghosts_known,
        ),
        TourStep(
            "Again, the plan comes first. It includes what else has changed since.",
            screen("PlanScreen", "8 of them retried", "Before you send"),
            (KeyPress("s", "Retry and plan a sync"),),
        ),
        TourStep(
            "The retry has worked. Partial: users rejected before it are still rejected.",
            every(screen("RunScreen", "This run rejected no one.", "elapsed"), sync_is_over),
            (KeyPress("y", "Send", "The sync is sending."),),
        ),
        TourStep(
            "The retried users are no longer listed. The 5 others have other reasons.",
            every(screen("ErrorsScreen", "All reasons", "Errors 5"), lacks(_UNKNOWN)),
            (KeyPress("@go.errors", "Errors"),),
        ),
    )


_LAPSED = "Recently lapsed"

_REPAIR = (
    TourStep(
        "Sizes are updated in one call: Recently lapsed has 175 fewer in Amplitude.",
        every(
            cursor_on("AudiencesScreen", _LAPSED),
            screen("AudiencesScreen", "175 fewer in Amplitude"),
        ),
        (
            KeyPress(
                "@go.audiences", "Audiences", "Back to the audiences.", screen("AudiencesScreen")
            ),
            *_down_to(_LAPSED),
            KeyPress("u", "Update sizes", "Amplitude is asked for the sizes of its cohorts."),
        ),
        rest=LONG,
    ),
    TourStep(
        "Someone changed this cohort in Amplitude. Reconcile finds out who differs.",
        screen("ReconcileScreen", _LAPSED, "Not compared yet."),
        (KeyPress("r", "Reconcile"),),
    ),
    TourStep(
        "212 people are missing from the cohort, and 37 extra people are in it.",
        screen("ReconcileScreen", "212 missing", "37 extra", "r Compare"),
        (
            KeyPress(
                "r",
                "Compare",
                "Amplitude prepares a download of the members. It allows 500 in a month.",
            ),
        ),
        rest=LONG,
    ),
    TourStep(
        "A repair shows its plan, too. It adds the 212 users and removes the 37.",
        screen("Confirm", "Adds 212 users", "removes 37 users"),
        (
            KeyPress(
                "p",
                "Repair",
                "A repair adds who is missing, removes who is extra, or both.",
                screen("ChoiceDialog", "afterwards: no"),
            ),
            KeyPress(
                "space",
                "Compare again",
                "The repair is to be checked by a second comparison.",
                screen("ChoiceDialog", "afterwards: yes"),
            ),
            KeyPress("enter", "Add and remove"),
        ),
    ),
    TourStep(
        "Repaired, and compared again: the cohort is the same as its audience.",
        screen("ReconcileScreen", "5,310 in the audience, 5,310 in the cohort", "same"),
        (KeyPress("y", "Send", "The repair is sent. Then the cohort is compared again."),),
    ),
)

_LIVE = (
    TourStep(
        "A live session syncs by itself. It follows events, here in a folder.",
        screen("FormDialog", "Follow", "segment-logs"),
        (
            KeyPress("@go.live", "Live", "Here events are followed.", screen("LiveScreen")),
            KeyPress("n", "Follow files"),
        ),
    ),
    TourStep(
        "Changes in Segment now reach their cohorts within seconds.",
        every(screen("LiveScreen", "events read", "added", "lag"), live_delivers),
        (KeyPress("f2", "Follow", "Changes are gathered for a few seconds, then sent."),),
        rest=LONG,
    ),
    TourStep(
        "The session has ended. What comes now stays pending until the next sync.",
        screen("LiveScreen", "ended"),
        (
            KeyPress(
                "c", "End session", "The session is to end.", screen("Confirm", "End the live")
            ),
            KeyPress("y", "End the session", "The session sends what it has read, then ends."),
        ),
        rest=SHORT,
    ),
    TourStep(
        "That was the tour. Now it is your turn: ! makes trouble, ? helps, q quits.",
        screen("AudiencesScreen", "Newsletter", "? Help"),
        (KeyPress("@go.audiences", "Audiences"),),
        rest=LONG,
    ),
)
