"""The stops of the guided tour, as data.

A stop shows a caption, presses keys, and rests once the screen shows what the caption describes.
Each stop begins where the previous one ended.
"""

from collections.abc import Sequence
from typing import NamedTuple

from amp_console.demo.dataset import SHOPPERS, user_ids

KEY_PAUSE, TYPING_PAUSE = 0.8, 0.06  # seconds between two keys
SHORT, USUAL, LONG = 4.0, 7.0, 9.0  # seconds of rest after a stop


class Step(NamedTuple):
    """Keys, and what the console shows after them.

    `screen` is the class name of the screen, `shown` are texts on it, `focus` is the ID of the
    widget with the focus, or None if that does not matter.
    """

    keys: Sequence[str]
    screen: str
    shown: tuple[str, ...] = ()
    focus: str | None = None


class TourStop(NamedTuple):
    """A caption, steps, the seconds to rest after them, and the seconds between two keys."""

    caption: str
    steps: tuple[Step, ...]
    rest: float = USUAL
    pause: float = KEY_PAUSE


def tour_stops(seed: int = 1) -> tuple[TourStop, ...]:
    """The stops of a tour through the seeded demo of this seed."""
    return (*_HOME, *_SYNC, *_ERRORS, _person(user_ids(seed, SHOPPERS, 0, 1)[0]), *_END)


_HOME = (
    TourStop(
        "Home: six audiences of Segment Engage, each beside its cohort in Amplitude. A sign and a "
        "word show the state of each.",
        (Step("g", "AudiencesScreen", ("11,774", "High value")),),
    ),
    TourStop(
        "Members belong in the cohort. Pending are on their way in (+) or out (-). Rejected are "
        "users Amplitude rejected.",
        (Step("jj", "AudiencesScreen", ("8,", "Rejected")),),
    ),
    TourStop(
        "Below is the audience under the cursor: its ids, its cohort, its settings, who came and "
        "went in the last hour, its last runs.",
        (Step((), "AudiencesScreen", ("entered", "(default)", "run ")),),
    ),
    TourStop(
        "One cheap question to Amplitude, and cohorts that are not what our books say stand out: "
        "someone changed one by hand.",
        (Step("u", "AudiencesScreen", ("1 differs",)),),
    ),
    TourStop(
        "What is set for one audience: how its people are matched, and whose cohort it is. An "
        "empty field takes the default, in grey.",
        (Step("e", "AudienceSettings", ("Settings of High value shoppers", "Cohort owner")),),
    ),
)

_SYNC = (
    TourStop(
        "The newsletter has people and no cohort yet. A sync begins with its plan, and nothing is "
        "sent before it is confirmed.",
        (
            Step(("escape",), "AudiencesScreen", ("12,120",)),
            Step("js", "PlanScreen", ("creates a cohort", "12,120", "Before you send")),
        ),
        LONG,
    ),
    TourStop(
        "In the demo, trouble comes on request. From now on Amplitude limits the rate of changes.",
        (
            Step("!", "TroubleDialog", ("Rate limit", "off")),
            Step("1", "TroubleDialog", ("on",)),
        ),
        SHORT,
    ),
    TourStop(
        "The sync makes the cohort. Amplitude answers 429: the run waits as long as it is told, "
        "tries again, and loses no one.",
        (
            Step(("escape",), "PlanScreen", ("creates a cohort",)),
            Step("s", "RunScreen", ("again in", "Newsletter")),
        ),
        LONG,
    ),
    TourStop(
        "The rate limit is lifted. The run continues where it was, in larger steps as long as "
        "all goes well.",
        (
            Step("!", "TroubleDialog", ("Rate limit",)),
            Step("1", "TroubleDialog", ("off",)),
            Step(("escape",), "RunScreen", ("Newsletter",)),
        ),
        SHORT,
    ),
    TourStop(
        "The end of a run says what changed and what to look at. Below: every event, from read to "
        "delivered, and every request.",
        (Step((), "RunScreen", ("12,120/12,120",)),),
        LONG,
    ),
)

_ERRORS = (
    TourStop(
        "Who is not in a cohort, and why: the reasons above, and the users of the reason under "
        "the cursor below.",
        (
            Step("2", "ErrorsScreen", ("All reasons", "ghost-"), focus="groups"),
            Step("j", "ErrorsScreen", ("ghost-", "ID type")),
        ),
    ),
    TourStop(
        "One rejected user: the reason, how often it was tried, what to do about it, and "
        "Amplitude's own answer.",
        (
            Step(("enter",), "ErrorsScreen", ("All reasons",), focus="users"),
            Step(("enter",), "RejectedUserScreen", ("why ", "What to do")),
        ),
        LONG,
    ),
)

_END = (
    TourStop(
        "All runs, from here and from the command line. Each can be opened again with its "
        "requests and errors, however old it is.",
        (Step("3", "RunsScreen", ("stopped", "delivered")),),
    ),
    TourStop(
        "That was the tour. The console is yours: ? helps wherever you are, ! makes trouble, "
        "ctrl+q quits, and nothing is left behind.",
        (Step("1", "AudiencesScreen", ("Newsletter",)),),
        LONG,
    ),
)


def _person(user_id: str) -> TourStop:
    return TourStop(
        "Why is this person (not) in the cohort? For every audience a sentence first, then the "
        "facts: which event, and which run.",
        (
            Step("f", "PersonScreen", ("User ID or Amplitude ID",), focus="who"),
            Step((*user_id, "enter"), "PersonScreen", ("Known in 2 audiences", "In the cohort: ")),
        ),
        LONG,
        TYPING_PAUSE,
    )
