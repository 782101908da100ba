"""The guided tour: its scenes, for whoever plays them and for whoever tests them.

A scene says something, presses keys, and rests once what it speaks of is seen. Scenes follow each
other: each begins where the one before has led.
"""

from collections.abc import Sequence
from typing import NamedTuple

from amp_console.demo.dataset import SHOPPERS, user_ids

CALM, TYPING = 0.8, 0.06  # seconds between two keys
SHORT, USUAL, LONG = 4.0, 7.0, 9.0  # seconds that a scene rests


class Step(NamedTuple):
    """Keys, and what is seen after them.

    `screen` is the screen's class, `shown` are texts on it, `focus` is the id of the widget that
    has the keys, where that matters for what comes next.
    """

    keys: Sequence[str]
    screen: str
    shown: tuple[str, ...] = ()
    focus: str | None = None


class TourScene(NamedTuple):
    """What is said, what is done, and for how many seconds it may be looked at then."""

    caption: str
    steps: tuple[Step, ...]
    rest: float = USUAL
    pause: float = CALM


def scenes(seed: int = 1) -> tuple[TourScene, ...]:
    """The scenes of a tour through the demo of this seed, whose scene is set."""
    return (*_HOME, *_SYNC, *_ERRORS, _person(user_ids(seed, SHOPPERS, 0, 1)[0]), *_END)


_HOME = (
    TourScene(
        "Home: six audiences of Segment Engage, each beside its cohort in Amplitude. A sign and a "
        "word say how each one stands.",
        (Step("g", "AudiencesScreen", ("11,774", "High value")),),
    ),
    TourScene(
        "Members belong in the cohort. Pending are on their way in (+) or out (-). Rejected are "
        "users Amplitude rejected.",
        (Step("jj", "AudiencesScreen", ("8,", "Rejected")),),
    ),
    TourScene(
        "Below is the audience under the cursor: its ids, its cohort, its settings, who came and "
        "went in the last hour, its last runs.",
        (Step((), "AudiencesScreen", ("entered", "(default)", "run ")),),
    ),
    TourScene(
        "One cheap question to Amplitude, and cohorts that are not what our books say stand out: "
        "someone changed one by hand.",
        (Step("u", "AudiencesScreen", ("differs by",)),),
    ),
    TourScene(
        "What is set for one audience: how its people are matched, and whose cohort it is. An "
        "empty field takes the default, in grey.",
        (Step("e", "AudienceSettings", ("Settings of High value shoppers", "Cohort owner")),),
    ),
)

_SYNC = (
    TourScene(
        "The newsletter has people and no cohort yet. A sync begins with its plan, and nothing is "
        "sent before it is confirmed.",
        (
            Step(("escape",), "AudiencesScreen", ("12,120",)),
            Step("js", "PlanScreen", ("creates a cohort", "12,120", "Before you send")),
        ),
        LONG,
    ),
    TourScene(
        "In the demo, trouble comes on request. From now on Amplitude limits the rate of changes.",
        (
            Step("!", "TroubleDialog", ("Rate limit", "off")),
            Step("1", "TroubleDialog", ("on",)),
        ),
        SHORT,
    ),
    TourScene(
        "The sync makes the cohort. Amplitude answers 429: the run waits as long as it is told, "
        "tries again, and loses no one.",
        (
            Step(("escape",), "PlanScreen", ("creates a cohort",)),
            Step("s", "RunScreen", ("again in", "Newsletter")),
        ),
        LONG,
    ),
    TourScene(
        "The rate limit is lifted. The run continues where it was, in larger steps as long as "
        "all goes well.",
        (
            Step("!", "TroubleDialog", ("Rate limit",)),
            Step("1", "TroubleDialog", ("off",)),
            Step(("escape",), "RunScreen", ("Newsletter",)),
        ),
        SHORT,
    ),
    TourScene(
        "The end of a run says what changed and what to look at. Below: every event, from read to "
        "delivered, and every request.",
        (Step((), "RunScreen", ("12,120/12,120",)),),
        LONG,
    ),
)

_ERRORS = (
    TourScene(
        "Who is not in a cohort, and why: the reasons above, and the users of the reason under "
        "the cursor below.",
        (
            Step("2", "ErrorsScreen", ("All reasons", "ghost-"), focus="groups"),
            Step("j", "ErrorsScreen", ("ghost-", "ID type")),
        ),
    ),
    TourScene(
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
    TourScene(
        "All runs, from here and from the command line. Each can be opened again with its "
        "requests and errors, however old it is.",
        (Step("3", "RunsScreen", ("stopped", "delivered")),),
    ),
    TourScene(
        "That was the tour. The console is yours: ? helps wherever you are, ! makes trouble, "
        "ctrl+q quits, and nothing is left behind.",
        (Step("1", "AudiencesScreen", ("Newsletter",)),),
        LONG,
    ),
)


def _person(user_id: str) -> TourScene:
    return TourScene(
        "Why is this person (not) in the cohort? For every audience a sentence first, then the "
        "facts: which event, and which run.",
        (
            Step("f", "PersonScreen", ("Why is this person",), focus="who"),
            Step((*user_id, "enter"), "PersonScreen", ("Known in 2 audiences", "In the cohort: ")),
        ),
        LONG,
        TYPING,
    )
