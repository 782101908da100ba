"""The plan of a sync: what would be sent, before anything is sent."""

import math
from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from amp_console.connections import Connection
from amp_console.console.dialogs.base import Confirm
from amp_console.console.dialogs.large_removal import large_removal_question
from amp_console.console.jobs.runs import RunJob, SyncOperation
from amp_console.console.jobs.under_way import under_way
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import OpenLink, OpenRun, Replace
from amp_console.console.screens.actions import Need, not_writable
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.footer import Labelled, UsefulActions
from amp_console.console.screens.plan import rows as plan_rows
from amp_console.console.screens.plan.people import PlanPeople
from amp_console.console.texts import WARN, lines, safe_text
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.split import Split
from amp_console.ledger import Db
from amp_console.ledger.audiences import are_all_enabled, audience
from amp_console.ledger.sources import ReadCounts, read_before_sync
from amp_console.sync.delivery.plan import AudiencePlan, Plan, plan_sync
from amp_console.text import plural

NO_AUDIENCE = """\
No audience is chosen.

Go back with Esc, mark audiences with space, and press s again."""

NOT_READ = "Nothing was sent: the plan is still being read. Press y again to send this plan."
KEYS_REFUSED = "Amplitude refused the keys: press 5 for Connections, then T to test them."
TOO_SOON = """\
The plan had only just appeared, so nothing was sent. Press y again to send it."""


class PlanScreen(BaseScreen):
    """The plan for some audiences. Confirming it starts the sync and shows the run."""

    NAME = "Plan of a sync"
    HELP = """\
Everything a sync would send, read from the ledger. Nothing has been sent yet.

Add and Remove count users. A new cohort belongs to the owner shown, and can't be deleted through
Amplitude's API. The number of requests is a minimum: if Amplitude refuses a batch, a sync splits it
to find the users that are refused. It retries failed requests.

The numbers stay as they were read. If more changes arrive, the plan says how many. A sync
delivers them, too. u reads the plan again.

y sends the changes; nothing else does. Enter on an audience goes to its users. Enter or f on a user
explains why they are, or are not, in the cohort. Esc goes back without sending anything."""
    CSS_PATH = "view.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "send", "Send", id="plan.send"),
        Binding("u", "update_plan", "Update the plan", id="plan.update"),
        Binding("l", "link", "Link", tooltip="Link the audience to a cohort", id="plan.link"),
        Binding("w", "watch", "Watch the sync", id="plan.watch"),
    ]

    NEEDS = {"send": {Need.WRITABLE}}  # noqa: RUF012
    CONFIRMING = ("send",)

    def __init__(self, audience_ids: tuple[int, ...]) -> None:
        super().__init__()
        self._audience_ids = audience_ids
        self._plan: Plan | None = None
        """The plan on screen, which the operator reads and confirms."""
        self._now: Plan | None = None
        """The plan that would be sent now."""
        self._opened_at = math.inf  # monotonic seconds
        self._tally = ReadCounts()
        self._is_of_all = False

    def body(self) -> ComposeResult:
        glyphs = self.services.glyphs
        plan = Vertical(
            Static(id="headline"),
            Grid(
                plan_rows.COLUMNS, empty=NO_AUDIENCE, glyphs=glyphs, opens="Users", id="audiences"
            ),
            Static(id="of-audience"),
            Static(id="removed"),
            Static(id="added"),
            id="plan",
            classes="panel",
        )
        plan.border_title = "Plan"
        beforehand = VerticalScroll(
            Static(id="concerns"), id="beforehand", classes="panel", can_focus=False
        )
        beforehand.border_title = "Before you send"
        yield Split(plan, Vertical(PlanPeople(), beforehand, id="details"), stacks=True)

    # Reading and showing.

    async def load(self) -> None:
        """Read the plan. The one on screen stays as long as only its numbers change."""
        connection = self.session.connection
        now = await self.session.read(_plan_sync, connection, self._audience_ids)
        await self.services.figures.load(self.session)
        dead = await self.session.dead_runs()
        self._tally = await self.session.read(read_before_sync, dead)
        self._is_of_all = await self.session.read(are_all_enabled, self._audience_ids)
        if self._plan is None:
            self._opened_at = self.services.timing.monotonic()
        self._now = now
        if self._plan is None or not plan_rows.is_same_offer(self._plan, now):
            self._show_plan(now)
        self._show_headline()

    def _show_plan(self, plan: Plan) -> None:
        """Show this plan."""
        self._plan = plan
        console_look, grid = self.services.glyphs, self.query_one("#audiences", Grid)
        ordered = plan_rows.most_important_first(plan)
        grid.show([plan_rows.row(item, console_look) for item in ordered])
        grid.opens = "Users" if plan_rows.changes(plan) else ""
        beforehand = list(self._refusals())
        beforehand += plan_rows.concerns(plan, console_look)
        if not plan_rows.sends_nothing(plan):
            limits = self.session.connection.limits
            beforehand.append(plan_rows.limits(plan, limits, console_look))
        self.query_one("#beforehand").display = bool(beforehand)
        self.query_one("#concerns", Static).update(lines(*beforehand))
        self.query_one(Split).has_detail = bool(beforehand or plan_rows.changes(plan))
        panel = self.query_one("#plan")
        panel.border_title = safe_text(plan_rows.title(plan, self.session.retried), max_length=100)
        panel.border_subtitle = safe_text(plural(len(plan.audiences), "audience"))
        self._show_detail()

    def _refusals(self) -> Iterator[Content]:
        """Why a request would not be sent, or would be refused, whatever it is about."""
        sign = self.services.glyphs.triangle
        if (why := not_writable(self.services)) is not None:
            yield safe_text((f"{sign} {why}", WARN), max_length=300)
        if self.services.figures.are_keys_refused:
            yield safe_text((f"{sign} {KEYS_REFUSED}", WARN))

    def _show_headline(self) -> None:
        """Show what the plan sends, and what else has become pending."""
        assert self._plan is not None
        said = plan_rows.headline(self._plan)
        if self._news:
            said = lines(said, safe_text((f"{self._news} Press u to update the plan.", WARN)))
        self.query_one("#headline", Static).update(said)
        self.action_keys.refresh()

    @property
    def _news(self) -> str:
        """What has changed since the plan was read; "" if nothing has."""
        if self._plan is None or self._now is None:
            return ""
        return plan_rows.since_then(self._plan, self._now)

    def on_grid_moved(self) -> None:
        """Show the audience under the cursor."""
        self._show_detail()
        self.action_keys.refresh()

    @property
    def _current(self) -> AudiencePlan | None:
        """The audience under the cursor."""
        key = self.query_one("#audiences", Grid).key
        return next((item for item in self._audiences() if item.audience_id == key), None)

    async def _load_people(self) -> None:
        people = self.query_one(PlanPeople)
        await people.load(self._current)
        is_sent = self._current is not None and self._current.obstacle is None
        self.query_one("#removed", Static).update(people.some_removed if is_sent else "")
        self.query_one("#added", Static).update(people.some_added if is_sent else "")

    def _show_detail(self) -> None:
        target = self._current
        self.loader.follow("people", self._load_people)
        text = self.query_one("#of-audience", Static)
        text.display = target is not None
        if target is not None:
            text.update(plan_rows.detail(target))

    def _audiences(self) -> tuple[AudiencePlan, ...]:
        return self._plan.audiences if self._plan else ()

    # Sending.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to watch a sync only while there is one, and to link only what has no cohort."""
        if action == "watch" and not under_way(self.services.jobs.sync):
            return False
        if action == "update_plan" and not self._news:
            return False
        if action == "send" and self._plan is not None and plan_rows.sends_nothing(self._plan):
            return False
        if action == "link" and is_open(self) and not self._can_link:
            return False
        return super().check_action(action, parameters)

    @property
    def _can_link(self) -> bool:
        """Whether the audience under the cursor has no cohort, or none anymore."""
        current = self._current
        return current is not None and (bool(current.obstacle) or current.creates)

    def useful_actions(self) -> UsefulActions:
        return "send", "update_plan", "link", "watch", Labelled("back", "Cancel")

    def disabled_reason(self, action: str) -> str | None:
        """Why the plan can't be sent."""
        if action != "send":
            return None
        if self._plan is None:
            return NOT_READ
        if plan_rows.sends_nothing(self._plan):
            return plan_rows.nothing(self._plan)
        return super().disabled_reason(action)

    def on_grid_opened(self) -> None:
        """Go to the users of the audience; without room, they replace the rest."""
        people = self.query_one(PlanPeople)
        if self._plan is None or not plan_rows.changes(self._plan):
            return  # the headline already says that no change is pending
        if not people.display:
            people.display = True
            self.add_class("-people")
        self.query_one(Split).enter()

    def action_back(self) -> None:
        """Go back one step; if users replaced the rest, show that again."""
        self.query_one(PlanPeople).styles.clear_rule("display")
        self.remove_class("-people")
        super().action_back()

    def action_link(self) -> None:
        """Choose a cohort for an audience that has none, or whose cohort is gone."""
        if self._current is not None:
            self.services.navigate(OpenLink(self._current.audience_id))

    def action_send(self) -> None:
        """Send the plan; ask first if most of a cohort would be removed."""
        if self._plan is None:
            return
        if self.services.is_key_repeat(self._opened_at):
            self.services.notifications.post(TOO_SOON, "warning", is_kept=False)
            return
        if under_way(self.services.jobs.sync):
            self.app.push_screen(_under_way(), self._watch_if)
            return
        self._send_once_agreed(frozenset())

    def _send_once_agreed(self, agreed: frozenset[int]) -> None:
        """Send, unless most of a cohort would be removed without its audience in `agreed`."""
        assert self._plan is not None
        large = plan_rows.large_removals(self._now or self._plan)
        asked = frozenset(item.audience_id for item in large)
        if asked <= agreed:
            self._send()
            return

        def send_if(is_meant: bool | None) -> None:
            if is_meant:
                self._send_once_agreed(asked)

        self.app.push_screen(large_removal_question(large), send_if)

    def _watch_if(self, is_meant: bool | None) -> None:
        if is_meant:
            self.action_watch()

    def _send(self) -> None:
        services = self.services
        assert self._plan is not None
        assert self._now is not None
        plan = plan_rows.confirmed(self._plan, self._now)
        services.jobs.sync = RunJob(
            self.session,
            SyncOperation(plan, self._tally, is_of_all=self._is_of_all),
            services.timing,
            services.publish,
        )
        services.jobs.sync.start()
        for item in plan.audiences:
            self.session.retried.pop(item.audience_id, None)
        self.services.navigate(Replace(OpenRun()))

    def action_update_plan(self) -> None:
        """Plan what is pending now."""
        if self._now is not None:
            self._show_plan(self._now)
            self._show_headline()

    def action_watch(self) -> None:
        """Open the last sync."""
        self.services.navigate(Replace(OpenRun()))


def _plan_sync(db: Db, connection: Connection, audience_ids: tuple[int, ...]) -> Plan:
    return plan_sync(db, connection, [audience(db, audience_id) for audience_id in audience_ids])


def _under_way() -> Confirm:
    return Confirm(
        "A sync is running",
        ["The console runs one sync at a time. Nothing in this plan was sent."],
        yes="Watch it",
        no="Stay here",
    )
