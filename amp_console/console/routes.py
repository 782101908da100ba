"""Routes: where a screen can go with `Services.navigate`.

A route is plain data. Only `navigation` knows which screen it leads to, so no screen imports
another. The fields of a route are the arguments of its screen.
"""

import enum
from typing import TYPE_CHECKING

import msgspec

from amp_console.connections import Connection, NamedSource

if TYPE_CHECKING:
    from amp_console.console.search_answer import SearchAnswer


class MainScreen(enum.Enum):
    """The screens that have a key on every screen."""

    AUDIENCES = "audiences"
    ERRORS = "errors"
    RUNS = "runs"
    LIVE = "live"
    CONNECTIONS = "connections"
    EVENTS = "events"
    SOURCES = "sources"
    PERSON = "person"


WITHOUT_CONNECTION = frozenset({MainScreen.AUDIENCES, MainScreen.CONNECTIONS, MainScreen.EVENTS})
"""The main screens that show something without an open connection."""


class Route(msgspec.Struct, frozen=True):
    """Where to go, on top of the current screen."""


class Replace(Route, frozen=True):
    """Go there, and close the current screen."""

    route: Route


class Visit(Route, frozen=True):
    """Go to a main screen: back to it if it is open, otherwise on top of home."""

    screen: MainScreen


class ShowAudience(Route, frozen=True):
    """Home, with the cursor on an audience."""

    audience_id: int


class OpenAudienceSettings(Route, frozen=True):
    """The settings of an audience."""

    audience_id: int


class OpenLink(Route, frozen=True):
    """Amplitude's cohorts, to link an audience to one."""

    audience_id: int


class OpenPlan(Route, frozen=True):
    """The plan of a sync of these audiences."""

    audience_ids: tuple[int, ...]


class OpenRun(Route, frozen=True):
    """A run; without an id, the one under way, otherwise the last one."""

    run_id: int | None = None


class OpenReplay(Route, frozen=True):
    """A finished run, played back."""

    run_id: int


class OpenErrors(Route, frozen=True):
    """Rejected users, optionally of one audience or one run, or invalid events."""

    audience_id: int | None = None
    run_id: int | None = None
    invalid: bool = False


class OpenReconcile(Route, frozen=True):
    """A comparison of an audience with its cohort: the last one, or the one with this id."""

    audience_id: int
    comparison_id: int | None = None


class OpenReconcileAll(Route, frozen=True):
    """The comparisons of several audiences with their cohorts."""

    audience_ids: tuple[int, ...]


class OpenPerson(Route, frozen=True):
    """All that is known about one person; `text` is an identifier.

    `answer` is Amplitude's answer if it was asked a moment ago.
    """

    text: str
    answer: "SearchAnswer | None" = None


class OpenConnectionForm(Route, frozen=True):
    """The form for a connection; None for a new one."""

    connection: Connection | None = None


class SwitchConnection(Route, frozen=True):
    """The screens of a connection, by its id; without an id, of the next one in the settings."""

    connection_id: str | None = None


class OpenQuery(Route, frozen=True):
    """The query of an audience; None for a new audience by query."""

    audience_id: int | None = None


class OpenSourceForm(Route, frozen=True):
    """The form for a warehouse of the open connection; None for a new one."""

    source: NamedSource | None = None


class OpenMapping(Route, frozen=True):
    """The open connection's field mapping, optionally tested with the event in a file's line."""

    source: str = ""
    line: int = 0
