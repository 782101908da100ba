"""The comparison of a cohort with its audience: verdict, bar, numbers and kinds."""

from functools import partial

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from amp_console.console.badges import size_text
from amp_console.console.context import services_of
from amp_console.console.screens.reconcile import rows
from amp_console.console.screens.reconcile.rows import KnownNumbers
from amp_console.console.texts import lines, safe_text
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.steady_text import FittedText
from amp_console.ledger.audiences import Audience
from amp_console.ledger.comparisons import (
    Comparison,
    DifferenceKind,
    Explanation,
    Resolved,
)
from amp_console.sync.reconcile.descriptions import WHAT_COMPARING_DOES

NEVER = f"""\
Not compared yet.

Press r to read the cohort from Amplitude and compare it with the audience. This may take a few \
minutes and uses one of the month's downloads.

{WHAT_COMPARING_DOES}"""
COMPARING = f"""\
The first comparison is under way.

{WHAT_COMPARING_DOES}"""
NO_COHORT = """\
It has no cohort, so there is nothing to compare.

The next sync creates one, or press l under Audiences to link an existing one."""
EQUAL = "No differences: the cohort is the same as its audience."


class ComparisonPanel(Vertical):
    """The last comparison as a verdict, a bar and a legend; below it, the state of a job."""

    def __init__(self) -> None:
        super().__init__(id="picture", classes="panel")
        self._comparison: Comparison | None = None
        self._audience: Audience | None = None
        self._known: KnownNumbers | None = None
        self._is_comparing = False

    def compose(self) -> ComposeResult:
        self.border_title = "Reconcile"
        yield FittedText(id="headline")
        yield FittedText(id="bar")
        yield Static(id="legend")
        yield Static(id="doing")

    @property
    def _headline(self) -> FittedText:
        return self.query_one("#headline", FittedText)

    def on_mount(self) -> None:
        services_of(self).clock.ticked.subscribe(self, lambda _: self._show_age())

    def show_comparison(
        self,
        audience: Audience,
        comparison: Comparison | None,
        resolved: Resolved | None,
        known: KnownNumbers | None,
    ) -> None:
        """Show a comparison, or how to get one, and what is `known` without it.

        `resolved` counts deliveries since the comparison.
        """
        self.set_class(comparison is None, "-never")
        glyphs, self._comparison = services_of(self).glyphs, comparison
        self._audience, self._known = audience, known
        self.border_title = safe_text(f"Reconcile {glyphs.dot} {audience.name}", max_length=80)
        for name in ("#bar", "#legend"):
            self.query_one(name).display = comparison is not None
        if comparison is None:
            self._show_uncompared()
            self.border_subtitle = ""
            return
        self._show_age()
        self._headline.fit(partial(rows.headline, comparison, resolved, glyphs))
        self.query_one("#bar", FittedText).fit(partial(rows.bar, comparison, resolved, glyphs))
        self.query_one("#legend", Static).update(rows.legend(comparison, resolved, glyphs))

    def show_job(self, text: Content, *, is_comparing: bool) -> None:
        """Show the progress or the result of a job."""
        self.query_one("#doing", Static).update(text)
        if is_comparing != self._is_comparing:
            self._is_comparing = is_comparing
            self._show_uncompared()

    def _show_uncompared(self) -> None:
        """Show that there is no comparison yet, and what is known without one."""
        audience, known = self._audience, self._known
        if audience is None or self._comparison is not None:
            return
        text = NO_COHORT if not audience.cohort_id else COMPARING if self._is_comparing else NEVER
        said = [safe_text(line) for line in text.splitlines()]
        if known is not None:
            services = services_of(self)
            size = size_text(services, audience)
            said += [safe_text(""), rows.known_numbers(known, size, services.glyphs)]
        self._headline.say(lines(*said))

    def _show_age(self) -> None:
        if self._comparison is not None:
            services = services_of(self)
            compared = rows.compared(self._comparison, services.clock.age_now, services.glyphs)
            self.border_subtitle = safe_text(compared, max_length=110)


class DifferenceKinds(Container):
    """The kinds of differences, with their numbers."""

    def __init__(self) -> None:
        super().__init__(id="kinds-panel", classes="panel")

    def compose(self) -> ComposeResult:
        self.border_title = "Differences"
        yield Grid(rows.KINDS, glyphs=services_of(self).glyphs, opens="People", id="kinds")

    @property
    def current(self) -> rows.Group | None:
        """The group under the cursor: a kind of difference, or an explanation."""
        key = self.query_one(Grid).key
        return key if isinstance(key, DifferenceKind | Explanation) else None

    def show_kinds(self, comparison: Comparison | None, resolved: Resolved | None) -> bool:
        """Show the kinds of a comparison; False if there is no difference."""
        grid = self.query_one(Grid)
        found = rows.kind_rows(comparison, resolved) if comparison else []
        grid.empty = EQUAL if comparison else ""
        grid.show(found)
        self.display = comparison is not None
        grid.styles.height = len(found) + 1 if found else "1fr"
        self.set_class(not found, "-none")
        return bool(found)

    @property
    def has_cursor(self) -> bool:
        """Whether the list has the focus."""
        return self.query_one(Grid).has_focus

    def focus_list(self) -> None:
        self.query_one(Grid).focus()
