"""The second line of every screen: the main screens, with counts."""

from typing import NamedTuple

from textual.binding import Binding
from textual.content import Content

from amp_console.console.connection_statuses import ConnectionProblem
from amp_console.console.context import Services, services_of
from amp_console.console.routes import WITHOUT_CONNECTION, MainScreen, SwitchConnection
from amp_console.console.texts import ACCENT, BAD, GOOD, MUTED, STRONG, TONE, Part, safe_text
from amp_console.console.widgets.link_bar import BarLink, LinkBar, extent
from amp_console.text import blank_if_zero, clean


class PlaceName(NamedTuple):
    """The name of a main screen, and a short one for when there is little room."""

    name: str
    short: str
    about: str


NAMES = {
    MainScreen.AUDIENCES: PlaceName("Audiences", "Aud.", "Every audience and its cohort"),
    MainScreen.ERRORS: PlaceName("Errors", "Err.", "Users not delivered, and invalid events"),
    MainScreen.RUNS: PlaceName("Runs", "Runs", "Every sync, comparison and repair"),
    MainScreen.LIVE: PlaceName("Live", "Live", "Follow files or receive webhooks"),
    MainScreen.CONNECTIONS: PlaceName("Connections", "Conn.", "Amplitude projects and their keys"),
    MainScreen.EVENTS: PlaceName("Log", "Log", "Everything that was done, and when"),
    MainScreen.SOURCES: PlaceName("Sources", "Src.", "Where events and members come from"),
    MainScreen.PERSON: PlaceName("Find a person", "Person", "Why someone is (not) in a cohort"),
}
PLACE_KEYS = [
    Binding(
        key,
        f"go('{screen.value}')",
        NAMES[screen].name,
        show=False,
        tooltip=NAMES[screen].about,
        id=f"go.{screen.value}",
    )
    for key, screen in zip("1234567f", MainScreen, strict=True)
]
SHORTENED_FIRST = (
    MainScreen.PERSON,
    MainScreen.CONNECTIONS,
    MainScreen.AUDIENCES,
    MainScreen.ERRORS,
    MainScreen.SOURCES,
)
"""The order in which names are shortened if there is too little room; numbers never are."""
LEFT_OUT_FIRST = (
    MainScreen.PERSON,
    MainScreen.CONNECTIONS,
    MainScreen.SOURCES,
    MainScreen.EVENTS,
    MainScreen.RUNS,
    MainScreen.LIVE,
    MainScreen.AUDIENCES,
    MainScreen.ERRORS,
)
"""With even less room, names are left out in this order; keys and numbers stay.

The current main screen keeps its name.
"""
RESERVED = {MainScreen.AUDIENCES: 2, MainScreen.ERRORS: 3, MainScreen.LIVE: 1}
"""Columns reserved for counts, so that no name moves when they are read; or more if needed."""
CURRENT = f"{STRONG} $foreground on $primary 20%"


OTHER = "connection."  # begins the name of a link to another connection
NAME_LENGTH, SHORT_LENGTH = 24, 10  # characters of another connection's name


class PlaceBar(LinkBar):
    """The main screens with their keys and counts; a click goes there, like the key.

    On the right are the other connections with their statuses; a click switches to one.
    """

    DEFAULT_CSS = """
    PlaceBar { dock: top; margin-top: 1; background: $surface; }
    """

    def __init__(self, current: MainScreen) -> None:
        """`current` is the main screen to which the screen with this bar belongs."""
        super().__init__()
        self._current = current

    def on_mount(self) -> None:
        """Show every change."""
        services = services_of(self)
        services.changes.subscribe(self, lambda _: self.show())
        services.place_counts.changed.subscribe(self, lambda _: self.show())
        services.connections.statuses.changed.subscribe(self, lambda _: self.show())
        self.show()

    def on_resize(self) -> None:
        """Shorten the names for the new width."""
        self.show()

    async def on_link_bar_clicked(self, event: LinkBar.Clicked) -> None:
        """Go there; a form asks first if entries would be lost."""
        event.stop()
        if event.name.startswith(OTHER):
            services_of(self).navigate(SwitchConnection(event.name.removeprefix(OTHER)))
            return
        action, app = f"go('{event.name}')", self.app
        await app.run_action(action, self.screen if hasattr(self.screen, "action_go") else app)

    def show(self) -> None:
        """Show the main screens, with names as long as there is room for."""
        services = services_of(self)
        keys = _keys(services, self)
        width = self.size.width or self.app.size.width  # it has no size before the first layout
        names = {screen: name.name for screen, name in NAMES.items()}
        links, others = self._links(services, keys, names), list[BarLink]()
        if services.connections.statuses.others:
            first = SHORTENED_FIRST[0]  # shortened before the names of other connections
            shorter = self._links(services, keys, {**names, first: NAMES[first].short})
            others = _others(services, width - extent(shorter, self.GAP))
        for screen, name in (
            *((screen, NAMES[screen].short) for screen in SHORTENED_FIRST),
            *((screen, "") for screen in LEFT_OUT_FIRST if screen is not self._current),
        ):
            if extent(links, self.GAP) + extent(others, self.GAP) <= width:
                break
            names[screen] = name
            links = self._links(services, keys, names)
        self.show_links(links, others)

    def _links(
        self, services: Services, keys: dict[MainScreen, str], names: dict[MainScreen, str]
    ) -> list[BarLink]:
        return [
            BarLink(screen.value, self._text(services, screen, keys.get(screen, ""), names[screen]))
            for screen in MainScreen
        ]

    def _text(self, services: Services, screen: MainScreen, key: str, name: str) -> Content:
        count = _count(services, screen).ljust(RESERVED.get(screen, 0))
        words = " ".join(filter(None, (key, name, count)))
        if screen is self._current:
            return safe_text((f"{services.glyphs.cursor}{words} ", CURRENT))
        if is_unavailable(services, screen):
            return safe_text((f" {words} ", MUTED))
        tone = {MainScreen.AUDIENCES: MUTED, MainScreen.ERRORS: BAD}.get(screen, ACCENT)
        parts: list[Part] = [" ", (key, f"{STRONG} {ACCENT}"), f" {name} " if name else " "]
        if count:
            parts += [(count, tone), " "]
        return safe_text(*parts)


def _others(services: Services, room: int) -> list[BarLink]:
    """The other connections in `room` columns, or one count if they do not fit."""
    statuses = services.connections.statuses.others
    for longest in (NAME_LENGTH, SHORT_LENGTH):
        links = []
        for status in statuses:
            label, tone = status.label(services.glyphs)
            name = clean(status.connection.name, longest)
            text = safe_text(f" {name} ", (label, TONE[tone]), " " if label else "")
            links.append(BarLink(f"{OTHER}{status.connection.id}", text))
        if extent(links, 0) <= room:
            return links
    return [_count_of_others(services)]


def _count_of_others(services: Services) -> BarLink:
    """A link to the connections: how many audiences of the others need attention."""
    glyphs, statuses = services.glyphs, services.connections.statuses.others
    attention = sum(status.attention for status in statuses)
    is_right = all(status.problem in {None, ConnectionProblem.IN_USE} for status in statuses)
    parts: list[Part] = [f" +{len(statuses)} "]
    if attention:
        parts.append((f"{glyphs.triangle} {attention:,} ", BAD))
    elif is_right:
        parts.append((f"{glyphs.ok} ", GOOD))
    if not is_right:
        parts.append((f"{glyphs.bad} ", BAD))
    return BarLink(MainScreen.CONNECTIONS.value, safe_text(*parts))


def is_unavailable(services: Services, screen: MainScreen) -> bool:
    """Whether a main screen needs a connection and there is none."""
    is_missing = services.session is None and not services.sessions.is_opening
    return is_missing and screen not in WITHOUT_CONNECTION


def _count(services: Services, screen: MainScreen) -> str:
    """The count of a main screen; "" if it has none, or it is unknown."""
    counts = services.place_counts.counts
    if counts is None:
        return ""
    match screen:
        case MainScreen.AUDIENCES:
            return f"{counts.audiences:,}"
        case MainScreen.ERRORS:
            return blank_if_zero(counts.rejected)
        case MainScreen.LIVE:
            return services.glyphs.live if counts.is_live else ""
    return ""


def _keys(services: Services, bar: PlaceBar) -> dict[MainScreen, str]:
    """The key of each main screen, including remapped ones."""
    keys: dict[MainScreen, str] = {}
    for _, binding in services.appearance.bindings_of(bar.app):
        scope, _, name = (binding.id or "").partition(".")
        if scope == "go":
            keys.setdefault(MainScreen(name), bar.app.get_key_display(binding))
    return keys
