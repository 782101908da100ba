"""The history of the demo: what happened before the operator opens the console.

The product's own use cases produce it: files are imported, and real runs create and fill cohorts
in the simulated Amplitude. Only the clock is scripted.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from amp_console.demo.clock import DAY, HOUR, MINUTE, SECOND
from amp_console.demo.dataset import (
    ABANDONERS,
    CHURN,
    LAPSED,
    NEWSLETTER,
    SHOPPERS,
    TRIAL,
    AudienceDefinition,
    ChangeGroup,
    amplitude_ids,
    event_lines,
    spread,
    user_ids,
)
from amp_console.demo.seeder import Seeder
from amp_console.demo.warehouse import QUERY, SOURCE, change_subscribers, write_subscribers
from amp_console.sync.audience_settings import SettingsChange
from amp_console.values import IdType, Operation

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient
    from amp_console.simulator import Simulator

OWNER, OTHER_OWNER = "ana@acme.example", "noor@acme.example"
CHURN_COHORT = "Churn risk – CS team"
COMPUTED, UPLOADED = "redshift", "manual_upload"  # Amplitude's words for the types of cohorts
OTHERS = (
    ("Power users (30 days)", "lin@acme.example", COMPUTED, 4_480),
    ("Signed up last week", OTHER_OWNER, COMPUTED, 3_912),
    ("Paying customers", "lin@acme.example", COMPUTED, 2_730),
    ("Beta testers", OWNER, UPLOADED, 214),
    ("Webinar guests, spring", "tomas@acme.example", UPLOADED, 1_067),
    ("Churn risk – CS team (old)", OTHER_OWNER, UPLOADED, 1_155),
    ("Do not contact", "legal@acme.example", UPLOADED, 2_203),
)
"""Other people's cohorts: name, owner, type, size."""

FIRST_SHOPPERS = 7_500  # members since the first run; the others entered a day later
GHOSTS = tuple(f"ghost-{number:04x}" for number in range(0x2A7, 0x2A7 + 8 * 0x11, 0x11))
"""Shoppers unknown to Amplitude."""
REFUSED = 2  # shoppers that Amplitude refuses
UNIDENTIFIED = 3  # people at risk of churning whose events carry no Amplitude ID
IN_CS_COHORT = 1_155  # of the people at risk were in the cohort before it was linked
LATE_TRIAL_MEMBERS = 18  # people on trial who entered after their cohort was deleted
RECENTLY_ENTERED, RECENTLY_LEFT = 312, 40  # shoppers within the last hour
REMOVED_IN_AMPLITUDE, ADDED_IN_AMPLITUDE = 212, 37  # of the cohort of lapsed people
NEW_SUBSCRIBERS, UNSUBSCRIBED = 26, 9  # subscribers since the newsletter's last refresh
MARGIN = 11 * MINUTE


class History:
    """Fills a ledger and a simulated Amplitude."""

    def __init__(self, simulator: "Simulator", seeder: Seeder, seed: int, warehouse: Path) -> None:
        """`warehouse` is the file of the warehouse, which this creates."""
        self._simulator = simulator
        self._seeder = seeder
        self._seed = seed
        self._warehouse = warehouse
        self.progress = 0.0
        """How much of the history is seeded, from 0.0 to 1.0."""

    def refused(self) -> frozenset[str]:
        """The users that make Amplitude refuse a whole request."""
        return frozenset(user_ids(self._seed, SHOPPERS, FIRST_SHOPPERS, REFUSED))

    def _ago(self, microseconds: int) -> int:
        """The time so many microseconds before the demo began, plus some minutes if it is hours.

        Otherwise "25 h ago" would become "26 h ago" soon after the demo opens.
        """
        return self._seeder.clock.ago(microseconds + (MARGIN if microseconds >= HOUR else 0))

    async def seed_all(self, client: "AmplitudeClient") -> None:
        """Seed the history in order, the small audiences first and the largest one last.

        Raises `SeedingStopped` once the demo has ended.
        """
        self._other_cohorts()
        steps = (
            self._first_run,
            self._churn,
            self._shoppers,
            self._break_trial,
            self._pending_changes,
            self._abandoners,
        )
        for number, step in enumerate(steps, 1):
            await step(client)
            self.progress = number / len(steps)

    async def _pending_changes(self, _: "AmplitudeClient") -> None:
        """Changes that no run has delivered yet."""
        self._change_in_amplitude()
        self._recent_shoppers()
        self._newsletter()

    def _other_cohorts(self) -> None:
        """Create other people's cohorts."""
        world, clock = self._simulator.world, self._seeder.clock
        for number, (name, owner, kind, size) in enumerate(OTHERS):
            clock.set(self._ago((95 - 11 * number) * DAY))
            ids = [f"{owner[:3]}-{number}-{n}" for n in range(size)]
            world.create_cohort(name, owner, world.resolve(ids, IdType.USER_ID).found, type=kind)

    async def _first_run(self, client: "AmplitudeClient") -> None:
        for definition, hours in ((LAPSED, 9), (TRIAL, 20)):
            self._enter(
                definition, self._ago(6 * DAY + hours * HOUR), self._ago(6 * DAY + 3 * HOUR)
            )
        await self._seeder.sync(client, self._ago(6 * DAY + 2 * HOUR), LAPSED, TRIAL)

    async def _churn(self, client: "AmplitudeClient") -> None:
        """An audience matched by Amplitude ID, linked to a cohort that already existed."""
        world, at = self._simulator.world, self._ago(5 * DAY + 3 * HOUR)
        people = user_ids(self._seed, CHURN, 0, CHURN.people)
        known = amplitude_ids(self._seed, CHURN.people - UNIDENTIFIED)
        for user_id, amplitude_id in zip(people, known, strict=False):
            world.add_user(user_id, int(amplitude_id))
        there = world.create_cohort(
            CHURN_COHORT, OTHER_OWNER, map(int, known[:IN_CS_COHORT]), type=UPLOADED
        )
        change_groups = [
            ChangeGroup(at, True, people[: len(known)], known),
            ChangeGroup(at + 40 * SECOND, True, people[len(known) :]),
        ]
        self._seeder.read(CHURN, at + 20 * MINUTE, change_groups)
        requested = SettingsChange(id_type=IdType.AMPLITUDE_ID, owner_email=OTHER_OWNER)
        self._seeder.link(CHURN, there, requested)
        await self._seeder.sync(client, self._ago(5 * DAY + 2 * HOUR), CHURN)

    async def _shoppers(self, client: "AmplitudeClient") -> None:
        """Four runs: rate limited, with rejected users, with Amplitude down, and up again."""
        from amp_console.simulator import Answer, Call

        faults, seeder = self._simulator.faults, self._seeder
        self._enter(SHOPPERS, self._ago(4 * DAY), self._ago(3 * DAY + HOUR), people=FIRST_SHOPPERS)
        faults.once(Answer(429, retry_after="12", words="Too many requests"), Call.MEMBERSHIP)
        await seeder.sync(client, self._ago(3 * DAY), SHOPPERS)

        people = user_ids(self._seed, SHOPPERS, 0, SHOPPERS.people)
        since, until = self._ago(2 * DAY), self._ago(27 * HOUR)
        later = [*people[FIRST_SHOPPERS:-120], *GHOSTS]
        seeder.read(SHOPPERS, until, spread(later, since, until, seeder.rng))
        await seeder.sync(client, self._ago(26 * HOUR), SHOPPERS)

        since, until = self._ago(26 * HOUR), self._ago(8 * HOUR)
        seeder.read(SHOPPERS, until, spread(people[-120:], since, until, seeder.rng))
        faults.once(Answer(503, html=True), Call.MEMBERSHIP, times=8)
        await seeder.sync(client, self._ago(7 * HOUR), SHOPPERS)
        await seeder.sync(client, self._ago(6 * HOUR), SHOPPERS)

    async def _break_trial(self, client: "AmplitudeClient") -> None:
        """A colleague deletes the cohort in Amplitude, and a run detects it."""
        self._simulator.world.drop_cohort(self._seeder.cohort(TRIAL))
        since, until = self._ago(5 * HOUR), self._ago(140 * MINUTE)
        late = user_ids(self._seed, TRIAL, TRIAL.people, LATE_TRIAL_MEMBERS)
        self._seeder.read(TRIAL, until, spread(late, since, until, self._seeder.rng))
        self._seeder.read_lines("webhook-batch", until + 5 * MINUTE, self._broken_events())
        await self._seeder.sync(client, self._ago(2 * HOUR), TRIAL, LAPSED)

    def _broken_events(self) -> list[str]:
        good = event_lines(TRIAL, ChangeGroup(self._ago(3 * HOUR), True, ["usr_0"]))
        return [
            good[: len(good) // 2] + "\n",
            good.replace('"usr_0"', "null"),
            good.replace('"usr_0"', '"  "'),
            good.replace(":true", ':"yes"'),
            "2026-05-03 connection closed by peer\n",
        ]

    def _change_in_amplitude(self) -> None:
        """Remove some lapsed people from the cohort, and add people who are in no event."""
        world, cohort = self._simulator.world, self._seeder.cohort(LAPSED)
        people = user_ids(self._seed, LAPSED, 0, LAPSED.people)
        gone = people[:: LAPSED.people // REMOVED_IN_AMPLITUDE][:REMOVED_IN_AMPLITUDE]
        by_hand = [f"usr_imported_by_hand_{n:02}" for n in range(ADDED_IN_AMPLITUDE)]
        self._seeder.clock.set(self._ago(50 * MINUTE))
        for operation, ids in ((Operation.REMOVE, gone), (Operation.ADD, by_hand)):
            world.change(cohort, operation, world.resolve(ids, IdType.USER_ID).found)

    def _recent_shoppers(self) -> None:
        """An hour of changes that are not synced yet."""
        seeder, read = self._seeder, self._ago(MINUTE)
        newly_in = user_ids(self._seed, SHOPPERS, SHOPPERS.people, RECENTLY_ENTERED)
        newly_out = user_ids(self._seed, SHOPPERS, 1_000, RECENTLY_LEFT * 7)[::7]
        since = self._ago(58 * MINUTE)
        seeder.read(
            SHOPPERS,
            read,
            [
                *spread(newly_in, since, read, seeder.rng),
                *spread(newly_out, since, read, seeder.rng, is_member=False),
            ],
        )

    def _newsletter(self) -> None:
        """Many people and no cohort; every fourth is a shopper."""
        shoppers = user_ids(self._seed, SHOPPERS, 0, NEWSLETTER.people // 4)
        own = user_ids(self._seed, NEWSLETTER, 0, NEWSLETTER.people - len(shoppers))
        since, until = self._ago(9 * HOUR), self._ago(31 * MINUTE)
        change_groups = spread([*shoppers, *own], since, until, self._seeder.rng)
        self._seeder.read(NEWSLETTER, self._ago(30 * MINUTE), change_groups)
        self._subscribers([*shoppers, *own])

    def _subscribers(self, people: list[str]) -> None:
        """Give the newsletter a query for the same people, whose result has changed since."""
        write_subscribers(self._warehouse, people)
        self._seeder.refresh(NEWSLETTER, SOURCE, QUERY, self._ago(29 * MINUTE))
        late = user_ids(self._seed, NEWSLETTER, NEWSLETTER.people, NEW_SUBSCRIBERS)
        change_subscribers(
            self._warehouse, late, people[:: len(people) // UNSUBSCRIBED][:UNSUBSCRIBED]
        )

    async def _abandoners(self, client: "AmplitudeClient") -> None:
        self._enter(ABANDONERS, self._ago(26 * HOUR), self._ago(6 * MINUTE))
        await self._seeder.sync(client, self._ago(4 * MINUTE), ABANDONERS)

    def _enter(
        self, definition: AudienceDefinition, since: int, until: int, *, people: int | None = None
    ) -> None:
        """Let the first people of an audience enter; import the file two minutes later."""
        people_ids = user_ids(self._seed, definition, 0, people or definition.people)
        change_groups = spread(people_ids, since, until, self._seeder.rng)
        self._seeder.read(definition, min(until + 2 * MINUTE, self._ago(5 * MINUTE)), change_groups)
