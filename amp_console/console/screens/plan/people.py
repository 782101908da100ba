"""Who a plan adds to one cohort, and who it removes: the first of them."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from amp_console.console.context import services_of
from amp_console.console.routes import OpenPerson
from amp_console.console.screens.base import screen_of
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.words import aged
from amp_console.ledger.counts import PendingMember, pending_members
from amp_console.sync.delivery.plan import AudiencePlan
from amp_console.text import clean

COLUMNS = (Column("", 1), Column("Person", 16, flex=1), Column("Last event", 12))
NONE = "No user is added or removed."
ON_NO_ONE = "Move the cursor to a person, then press Enter or f."
NAMED = 3  # of each operation, if there is no room for the list
SHOWN = 200  # users to add, and as many to remove


class PlanPeople(Vertical):
    """The users that a plan sends for the audience under the cursor; Enter or f opens one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f",
            "person",
            "Person",
            tooltip="Why someone is (not) in a cohort",
            id="plan.person",
        ),
    ]

    def __init__(self) -> None:
        super().__init__(id="people", classes="panel")

        self.some_removed = Content()
        """Some removed users: in the list, all added users come before them."""
        self.some_added = Content()
        """Some added users, for a screen without room for the list."""

    def compose(self) -> ComposeResult:
        services = services_of(self)
        yield Grid(
            COLUMNS,
            empty=NONE,
            glyphs=services.glyphs,
            age=services.age_of,
            opens="Person",
            id="people-list",
        )

    async def load(self, plan: AudiencePlan | None) -> None:
        """Read the first users of an audience. Raises `LedgerError`."""
        found = list[PendingMember]()
        if plan is not None:
            session = screen_of(self).session
            found = await session.read(pending_members, plan.audience_id, SHOWN)
        services = services_of(self)
        glyphs, now = services.glyphs, services.clock.age_now
        signs = {True: Cell("+", "good"), False: Cell(glyphs.minus, "warn")}
        rows = [
            Row(
                (member.is_wanted, member.id_type, member.id),
                (signs[member.is_wanted], Cell(member.id), aged(member.event_at, now, glyphs)),
            )
            for member in sorted(found, key=lambda member: not member.is_wanted)
        ]
        self.query_one(Grid).show(rows)
        self.some_removed = _examples("Removes", found, is_wanted=False)
        self.some_added = _examples("Adds", found, is_wanted=True)
        self.border_title = safe_text(f"Who: {plan.name}" if plan else "Who", max_length=60)
        self.border_subtitle = _counts(plan, found) if plan else ""

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Keep this list's cursor separate from that of the audiences."""
        event.stop()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open a person."""
        event.stop()
        self.action_person()

    def action_person(self) -> None:
        """Show all that is known about the person under the cursor; the plan stays open."""
        services = services_of(self)
        match self.query_one(Grid).key:
            case (_, _, str(id_)):
                services.navigate(OpenPerson(id_))
            case _:
                services.notifications.post(ON_NO_ONE, is_kept=False)


def _examples(verb: str, found: Sequence[PendingMember], *, is_wanted: bool) -> Content:
    """One line that names some of those who are added or removed."""
    some = [clean(item.id, 30) for item in found if item.is_wanted is is_wanted][:NAMED]
    return safe_text((f"{verb}, for example: {', '.join(some)}", MUTED)) if some else Content()


def _counts(plan: AudiencePlan, found: Sequence[PendingMember]) -> str:
    """How many users are added and removed, and by which other ID type; how many are listed."""
    parts, other = [], plan.id_type.other
    for is_wanted, total in ((True, plan.add), (False, plan.remove)):
        group = [member for member in found if member.is_wanted is is_wanted]
        if group:
            by = f" by {other.label}" if all(item.id_type is other for item in group) else ""
            first = f" (the first {len(group):,})" if len(group) < total else ""
            parts.append(f"{total:,} to {'add' if is_wanted else 'remove'}{by}{first}")
    return ", ".join(parts)
