"""Who a plan adds to one cohort, and who it removes: the first of them by name."""

from textual.app import ComposeResult
from textual.containers import Vertical

from amp_console.console.context import services_of
from amp_console.console.routes import OpenPerson
from amp_console.console.screens.base import screen_of
from amp_console.console.texts import safe_text
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.words import aged
from amp_console.ledger.counts import PendingMember, pending_members
from amp_console.sync.delivery.plan import AudiencePlan

COLUMNS = (Column("", 1), Column("Person", 16, flex=1), Column("Last event", 12))
NONE = "No user is added or removed."
SHOWN = 200  # who enter, and as many who leave


class PlanPeople(Vertical):
    """The users that a plan sends for the audience under the cursor."""

    def __init__(self) -> None:
        super().__init__(id="people", classes="panel")

    def compose(self) -> ComposeResult:
        services = services_of(self)
        yield Grid(
            COLUMNS, empty=NONE, glyphs=services.glyphs, age=services.age_of, id="people-list"
        )

    async def load(self, plan: AudiencePlan | None) -> None:
        """Read the first users of an audience. Raises `LedgerError`."""
        found = list[PendingMember]()
        if plan is not None:
            session = screen_of(self).session
            found = await session.read(pending_members, plan.audience_id, plan.id_type, SHOWN)
        services = services_of(self)
        glyphs, now = services.glyphs, services.clock.age_now
        rows = [
            Row(
                (member.is_wanted, member.id),
                (
                    Cell("+", "good") if member.is_wanted else Cell(glyphs.minus, "warn"),
                    Cell(member.id),
                    aged(member.event_at, now, glyphs),
                ),
            )
            for member in found
        ]
        self.query_one(Grid).show(rows)
        self.border_title = safe_text(f"Who: {plan.name}" if plan else "Who", max_length=60)
        total = plan.add + plan.remove if plan else 0
        more = f"the first {len(found):,} of {total:,}" if total > len(found) else f"{total:,}"
        self.border_subtitle = more if found else ""

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Keep the cursor of this list apart from that of the audiences."""
        event.stop()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open a person; Enter sends the plan on the list of audiences only."""
        event.stop()
        match event.key:
            case (_, str(id_)):
                screen_of(self).services.navigate(OpenPerson(id_))
