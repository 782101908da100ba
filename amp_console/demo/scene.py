"""Setting the scene: what has happened before the operator opens the console.

Everything goes through the product's own doors: files are imported, cohorts are made and filled
by real runs against the simulated Amplitude; only the clock is a scripted one.
"""

from typing import TYPE_CHECKING

from amp_console.amplitude import AmplitudeClient
from amp_console.demo.clock import DAY, HOUR, MINUTE, SECOND
from amp_console.demo.dataset import (
    ABANDONERS,
    CHURN,
    LAPSED,
    NEWSLETTER,
    SHOPPERS,
    TRIAL,
    Crossing,
    Role,
    amplitude_ids,
    event_lines,
    spread,
    user_ids,
)
from amp_console.demo.seeder import Seeder
from amp_console.sync.audience_settings import SettingsChange
from amp_console.values import IdType, Operation

if TYPE_CHECKING:
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
"""Cohorts beside ours: name, owner, type, size."""

FIRST_SHOPPERS = 7_500  # are in since the first run; the others came the day after
GHOSTS = tuple(f"ghost-{number:04x}" for number in range(0x2A7, 0x2A7 + 8 * 0x11, 0x11))
"""Shoppers whom Amplitude does not know."""
REFUSED = 2  # shoppers whom Amplitude refuses
UNIDENTIFIED = 3  # people at risk of churning whose events carry no Amplitude ID
IN_THE_CS_COHORT = 1_155  # people at risk of churning who were in the cohort before we came
LATE_TRIALS = 18  # people on trial who came after their cohort was deleted
NEWLY_IN, NEWLY_OUT = 312, 40  # shoppers within the last hour
GONE, BY_HAND = 212, 37  # lapsed people taken out, and others put in, behind our back


class Scene:
    """Fills a ledger and a simulated Amplitude."""

    def __init__(self, simulator: "Simulator", hand: Seeder, seed: int) -> None:
        self._simulator = simulator
        self._hand = hand
        self._seed = seed
        self._ago = hand.clock.ago
        self.progress = 0.0
        """How much of the past is played, from 0.0 to 1.0."""

    def refused(self) -> frozenset[str]:
        """Whom Amplitude refuses, with everybody they are sent together with."""
        return frozenset(user_ids(self._seed, SHOPPERS, FIRST_SHOPPERS, REFUSED))

    async def play(self, client: AmplitudeClient) -> None:
        """Play the past in its order, the small audiences first and the largest one last.

        Raises `Curtain` once the demo is over.
        """
        self._crowd()
        steps = (
            self._first_run,
            self._churn,
            self._shoppers,
            self._trial_breaks,
            self._lately,
            self._abandoners,
        )
        for number, step in enumerate(steps, 1):
            await step(client)
            self.progress = number / len(steps)

    async def _lately(self, _: AmplitudeClient) -> None:
        """What no run has delivered yet."""
        self._behind_our_back()
        self._shoppers_lately()
        self._newsletter()

    def _crowd(self) -> None:
        """Make the cohorts of other people."""
        world, clock = self._simulator.world, self._hand.clock
        for number, (name, owner, kind, size) in enumerate(OTHERS):
            clock.set(self._ago((95 - 11 * number) * DAY))
            ids = [f"{owner[:3]}-{number}-{n}" for n in range(size)]
            world.create_cohort(name, owner, world.resolve(ids, IdType.USER_ID).found, type=kind)

    async def _first_run(self, client: AmplitudeClient) -> None:
        for role, hours in ((LAPSED, 9), (TRIAL, 20)):
            self._enter(role, self._ago(6 * DAY + hours * HOUR), self._ago(6 * DAY + 3 * HOUR))
        await self._hand.sync(client, self._ago(6 * DAY + 2 * HOUR), LAPSED, TRIAL)

    async def _churn(self, client: AmplitudeClient) -> None:
        """An audience on Amplitude ID, linked to a cohort that was there before."""
        world, at = self._simulator.world, self._ago(5 * DAY + 3 * HOUR)
        people = user_ids(self._seed, CHURN, 0, CHURN.people)
        known = amplitude_ids(self._seed, CHURN.people - UNIDENTIFIED)
        for user_id, amplitude_id in zip(people, known, strict=False):
            world.add_user(user_id, int(amplitude_id))
        there = world.create_cohort(
            CHURN_COHORT, OTHER_OWNER, map(int, known[:IN_THE_CS_COHORT]), type=UPLOADED
        )
        crossings = [
            Crossing(at, True, people[: len(known)], known),
            Crossing(at + 40 * SECOND, True, people[len(known) :]),
        ]
        self._hand.read(CHURN, at + 20 * MINUTE, crossings)
        wish = SettingsChange(id_type=IdType.AMPLITUDE_ID, owner_email=OTHER_OWNER)
        self._hand.link(CHURN, there, wish)
        await self._hand.sync(client, self._ago(5 * DAY + 2 * HOUR), CHURN)

    async def _shoppers(self, client: AmplitudeClient) -> None:
        """Four runs: a rate limit, rejected users, Amplitude down, and up again."""
        from amp_console.simulator import Answer, Call

        faults, hand = self._simulator.faults, self._hand
        self._enter(SHOPPERS, self._ago(4 * DAY), self._ago(3 * DAY + HOUR), people=FIRST_SHOPPERS)
        faults.once(Answer(429, retry_after="12", words="Too many requests"), Call.MEMBERSHIP)
        await hand.sync(client, self._ago(3 * DAY), SHOPPERS)

        people = user_ids(self._seed, SHOPPERS, 0, SHOPPERS.people)
        since, until = self._ago(2 * DAY), self._ago(27 * HOUR)
        later = [*people[FIRST_SHOPPERS:-120], *GHOSTS]
        hand.read(SHOPPERS, until, spread(later, since, until, hand.dice))
        await hand.sync(client, self._ago(26 * HOUR), SHOPPERS)

        since, until = self._ago(26 * HOUR), self._ago(8 * HOUR)
        hand.read(SHOPPERS, until, spread(people[-120:], since, until, hand.dice))
        faults.once(Answer(503, html=True), Call.MEMBERSHIP, times=8)
        await hand.sync(client, self._ago(7 * HOUR), SHOPPERS)
        await hand.sync(client, self._ago(6 * HOUR), SHOPPERS)

    async def _trial_breaks(self, client: AmplitudeClient) -> None:
        """Somebody deletes the cohort in Amplitude, and a run finds out."""
        self._simulator.world.drop_cohort(self._hand.cohort(TRIAL))
        since, until = self._ago(5 * HOUR), self._ago(140 * MINUTE)
        late = user_ids(self._seed, TRIAL, TRIAL.people, LATE_TRIALS)
        self._hand.read(TRIAL, until, spread(late, since, until, self._hand.dice))
        self._hand.read_lines("webhook-batch", until + 5 * MINUTE, self._broken_events())
        await self._hand.sync(client, self._ago(2 * HOUR), TRIAL, LAPSED)

    def _broken_events(self) -> list[str]:
        good = event_lines(TRIAL, Crossing(self._ago(3 * HOUR), True, ["usr_0"]))
        return [
            good[: len(good) // 2] + "\n",
            good.replace('"usr_0"', "null"),
            good.replace('"usr_0"', '"  "'),
            good.replace(":true", ':"yes"'),
            "2026-05-03 connection closed by peer\n",
        ]

    def _behind_our_back(self) -> None:
        """Some lapsed people are gone, and some are in whom no event ever named."""
        world, cohort = self._simulator.world, self._hand.cohort(LAPSED)
        gone = user_ids(self._seed, LAPSED, 0, LAPSED.people)[:: LAPSED.people // GONE][:GONE]
        by_hand = [f"usr_imported_by_hand_{n:02}" for n in range(BY_HAND)]
        self._hand.clock.set(self._ago(50 * MINUTE))
        for operation, ids in ((Operation.REMOVE, gone), (Operation.ADD, by_hand)):
            world.change(cohort, operation, world.resolve(ids, IdType.USER_ID).found)

    def _shoppers_lately(self) -> None:
        """An hour of coming and going, not synced yet."""
        hand, read = self._hand, self._ago(MINUTE)
        newly_in = user_ids(self._seed, SHOPPERS, SHOPPERS.people, NEWLY_IN)
        newly_out = user_ids(self._seed, SHOPPERS, 1_000, NEWLY_OUT * 7)[::7]
        since = self._ago(58 * MINUTE)
        hand.read(
            SHOPPERS,
            read,
            [
                *spread(newly_in, since, read, hand.dice),
                *spread(newly_out, since, read, hand.dice, is_member=False),
            ],
        )

    def _newsletter(self) -> None:
        """Many people, and no cohort yet; every fourth of them is a shopper."""
        shoppers = user_ids(self._seed, SHOPPERS, 0, NEWSLETTER.people // 4)
        own = user_ids(self._seed, NEWSLETTER, 0, NEWSLETTER.people - len(shoppers))
        since, until = self._ago(9 * HOUR), self._ago(31 * MINUTE)
        crossings = spread([*shoppers, *own], since, until, self._hand.dice)
        self._hand.read(NEWSLETTER, self._ago(30 * MINUTE), crossings)

    async def _abandoners(self, client: AmplitudeClient) -> None:
        self._enter(ABANDONERS, self._ago(26 * HOUR), self._ago(6 * MINUTE))
        await self._hand.sync(client, self._ago(4 * MINUTE), ABANDONERS)

    def _enter(self, role: Role, since: int, until: int, *, people: int | None = None) -> None:
        """Let an audience's first people enter, and read of it two minutes later."""
        everybody = user_ids(self._seed, role, 0, people or role.people)
        crossings = spread(everybody, since, until, self._hand.dice)
        self._hand.read(role, min(until + 2 * MINUTE, self._ago(5 * MINUTE)), crossings)
