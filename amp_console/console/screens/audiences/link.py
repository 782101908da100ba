"""The screen to choose one of Amplitude's cohorts for an audience."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Static

from amp_console.amplitude import Cohort
from amp_console.console import audience_changes
from amp_console.console.audience_changes import ask_and_unlink
from amp_console.console.dialogs.base import Confirm
from amp_console.console.failures import expected_failures
from amp_console.console.routes import OpenPlan
from amp_console.console.screens.actions import Need
from amp_console.console.screens.base import COPY_ROW, FILTER, BaseScreen, leave
from amp_console.console.screens.footer import Labelled, UsefulActions
from amp_console.console.texts import WARN, safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Cell, Column, Grid, Row, RowsState
from amp_console.console.words import number
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.counts import leavers
from amp_console.sync.audience_settings import SettingsChange
from amp_console.text import clean, listed, plural

COLUMNS = (
    Column("Cohort", 20, flex=4),
    Column("Owner", 18, flex=2, rank=1),
    Column("Size", 9, right=True),
    Column("Type", 6, rank=2),
    Column("ID", 9),
    Column("Linked to", 16, flex=2),
)
LOADING = "Asking Amplitude for its cohorts…"
NONE = """\
This project has no static cohorts in Amplitude.

Press n to have a sync create one."""
UNREACHABLE = """\
Could not load cohorts from Amplitude. Nothing was changed.

{why}

Press u to try again."""
ABOUT = "Only static cohorts are listed: the others are computed, and can't be synced to."


def static_cohorts(found: Sequence[Cohort]) -> list[Cohort]:
    """The cohorts that a sync can change, sorted by name: those whose members were uploaded.

    Amplitude computes the others from behavior.
    """
    usable = [cohort for cohort in found if cohort.is_static and not cohort.archived]
    return sorted(usable, key=lambda cohort: (cohort.name.casefold(), cohort.id))


class LinkScreen(BaseScreen):
    """The cohorts that an audience can be linked to."""

    NAME = "Link to a cohort"
    HELP = """\
Amplitude's static cohorts: those whose members were uploaded. Enter links the audience to the
cohort under the cursor, once you confirm it. If that would remove people who left, confirm with y.
n unlinks the audience, so that the next sync creates a new cohort with all members. If no cohort is
linked, n opens the plan of that sync.

amp-console does not know who is already in the cohort. The next sync adds all members of the
audience and removes people who left it. Other members of the cohort stay. Link a cohort to one
audience only: two audiences would undo each other's changes."""
    CSS_PATH = "link.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "link", "Link", key_display="Enter", id="link.link"),
        Binding(
            "n",
            "unlink",
            "New cohort",
            tooltip="Unlink the audience, so that a sync creates a cohort, or open its plan",
            id="link.new",
        ),
        Binding("u", "reload", "Update from Amplitude", id="link.reload"),
        FILTER,
        COPY_ROW,
    ]

    NEEDS = {"unlink": {Need.WRITABLE}, "link": {Need.WRITABLE}}  # noqa: RUF012

    def __init__(self, audience_id: int) -> None:
        super().__init__()
        self._audience_id = audience_id
        self._cohorts: dict[Hashable, Cohort] | None = None
        self._audiences: dict[int, Audience] = {}
        self._is_asking = False
        self._is_listed = False  # after that, the cursor was put on the audience's cohort, if any

    def body(self) -> ComposeResult:
        with Container(id="cohorts", classes="panel") as panel:
            panel.border_title = "Link to a cohort"
            yield Static(safe_text(ABOUT), id="about")
            yield FilterBar()
            yield Grid(COLUMNS, empty=NONE, noun="cohort", glyphs=self.services.glyphs, id="list")

    def on_mount(self) -> None:
        """Load the cohorts once; only u loads them again."""
        self.action_reload()

    async def load(self) -> None:
        """Read which audiences are linked to which cohorts."""
        found = await self.session.read(all_audiences)
        self._audiences = {item.id: item for item in found}
        if (known := self._audiences.get(self._audience_id)) is not None:
            title = safe_text("Link ", known.name, " to a cohort", max_length=50)
            self.query_one("#cohorts").border_title = title
        self._show()

    def action_reload(self) -> None:
        """Ask Amplitude for its cohorts: one list call, no download."""
        self.run_worker(self._load(), group="load", exclusive=True)

    async def _load(self) -> None:
        with self.loader.reading():
            await self._load_cohorts()

    async def _load_cohorts(self) -> None:
        grid = self.query_one("#list", Grid)
        self._is_asking, self._cohorts = True, None
        grid.show_notice(RowsState.LOADING, LOADING)
        self._show()
        asked_at = self.services.clock.now
        try:
            async with await self.session.client() as client:
                found = static_cohorts(await client.list_cohorts())
        except expected_failures() as error:
            grid.show_notice(RowsState.FAILED, UNREACHABLE.format(why=error))
            self.services.figures.note_failure(error, asked_at)
        else:
            self._cohorts = {item.id: item for item in found}
            sizes = {item.id: item.size for item in found}
            self.services.figures.note_sizes(sizes, asked_at)
        finally:
            self._is_asking = False
        self._show()

    def _show(self) -> None:
        counted = ""
        if self._cohorts is not None:
            counted = plural(len(self._cohorts), "static cohort")
            rows = [self._row(cohort) for cohort in self._cohorts.values()]
            grid = self.query_one("#list", Grid)
            grid.show(rows)
            if not self._is_listed and self.audience is not None:
                grid.go_to(self.audience.cohort_id)
                self._is_listed = True
        self.query_one("#cohorts").border_subtitle = safe_text(counted)
        self.action_keys.refresh()

    def _row(self, cohort: Cohort) -> Row:
        owners = ", ".join(cohort.owners)
        linked = self._linked_to(cohort.id)
        mine = any(item.id == self._audience_id for item in linked)
        taken = ", ".join(item.name for item in linked if item.id != self._audience_id)
        state = Cell("this audience", "good") if mine else Cell(taken, "warn")
        return Row(
            cohort.id,
            (
                Cell(cohort.name or cohort.id),
                Cell(owners),
                Cell(number(cohort.size, self.services.glyphs)),
                Cell("static"),
                Cell(cohort.id, "dim"),
                state,
            ),
            (cohort.name, owners, cohort.size, "static", cohort.id, state.text),
        )

    def _linked_to(self, cohort_id: str) -> list[Audience]:
        return [
            audience for audience in self._audiences.values() if audience.cohort_id == cohort_id
        ]

    # Actions.

    @property
    def audience(self) -> Audience | None:
        """The audience to link."""
        return self._audiences.get(self._audience_id)

    def disabled_reason(self, action: str) -> str | None:
        """Why an action is unavailable now."""
        if action in {"unlink", "link"}:
            if (reason := super().disabled_reason(action)) is not None:
                return reason
            if self.audience is None:
                return "The audience is still loading."
        if action == "reload" and self._is_asking:
            return "Amplitude has not answered yet."
        if action in {"filter", "copy"} and not self._cohorts:
            return "The list is empty."
        return None

    def on_grid_opened(self) -> None:
        self.action_link()

    def action_link(self) -> None:
        """Link the audience to this cohort."""
        cohort = (self._cohorts or {}).get(self.query_one("#list", Grid).key)
        if cohort is None:
            return
        if (reason := self.disabled_reason("link")) is not None:
            self.services.notifications.post(reason, "warning")
        else:
            self.early_keys.ask_soon(self._link(cohort), "link")

    async def _link(self, cohort: Cohort) -> None:
        known = self.audience
        assert known is not None
        if known.cohort_id == cohort.id and known.broken is None:
            self.services.notifications.post("The audience is already linked to this cohort.")
            return
        leaving = await self.session.read(leavers, known)
        if not await self.services.ask(self._question(known, cohort, leaving)):
            return
        requested = SettingsChange(cohort_id=cohort.id, linked_name=cohort.name or None)
        changed = await audience_changes.apply(self.services, known, requested)
        if changed is not None:
            self.services.notifications.post(
                f"“{clean(changed.name)}” is linked to “{_name(cohort)}”. Nothing was sent. The "
                "next sync adds all members."
            )
            leave(self)

    def _question(self, known: Audience, cohort: Cohort, leaving: int) -> Confirm:
        """Ask before linking; Enter links only if no one can be removed."""
        size = "of unknown size" if cohort.size is None else f"of {plural(cohort.size, 'user')}"
        rows = [
            safe_text(f"“{_name(cohort)}”, a cohort {size}{_owned(cohort)}."),
            safe_text(""),
            safe_text(
                "The next sync adds all members of the audience, even those who are in it "
                "already. The cohort's other members stay."
            ),
        ]
        removes = leaving > 0 and cohort.size != 0
        if removes:
            people = plural(leaving, "person", "people")
            warning = f"It removes {people} who left the audience, if they are in the cohort."
            rows.append(safe_text((warning, WARN)))
        others = [item for item in self._linked_to(cohort.id) if item.id != known.id]
        if others:
            names = ", ".join(f"“{clean(other.name)}”" for other in others)
            warning = (
                f"It is already linked to {names}: two audiences would undo each other's changes."
            )
            rows += [safe_text(""), safe_text((warning, WARN))]
        if known.cohort_id is not None and known.cohort_id != cohort.id:
            before = clean(known.linked_name or known.cohort_id)
            replaced = (
                f"This replaces the broken link to “{before}”."
                if known.broken
                else f"The cohort linked now, “{before}”, stays as it is."
            )
            rows += [safe_text(""), safe_text(replaced)]
        yes = "Link anyway" if others else "Link"
        return Confirm(
            f"Link “{clean(known.name)}”?", rows, yes=yes, is_danger=removes or bool(others)
        )

    def useful_actions(self) -> UsefulActions:
        is_linked = self.audience is not None and self.audience.cohort_id is not None
        new = "Unlink for a new cohort" if is_linked else "Plan a sync to create one"
        return "link", Labelled("unlink", new), "reload"

    def action_unlink(self) -> None:
        """Unlink, so that the next sync creates a new cohort; without one, show its plan."""
        if self.audience is not None and self.audience.cohort_id is None:
            self.services.navigate(OpenPlan((self._audience_id,)))
        else:
            self.early_keys.ask_soon(self._unlink(), "link")

    async def _unlink(self) -> None:
        assert self.audience is not None
        if await ask_and_unlink(self.services, self.audience):
            leave(self)


def _owned(cohort: Cohort) -> str:
    """The owners of a cohort, as Amplitude names them; linking does not change them."""
    return f" owned by {clean(listed(list(cohort.owners)))}" if cohort.owners else ""


def _name(cohort: Cohort) -> str:
    return clean(cohort.name or cohort.id)
