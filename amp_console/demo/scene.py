"""Setting the scene: what has happened before the operator opens the console.

Everything goes through the product's own doors: files are imported, cohorts are made and filled
by real runs against the simulated Amplitude, only the clock of those runs is a scripted one.
"""

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from amp_console.demo.cast import (
    ABANDONERS,
    CHURN,
    LAPSED,
    NEWSLETTER,
    SHOPPERS,
    TRIAL,
    Entrance,
    Role,
    amplitude_id,
    lines,
    user_id,
)
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import Audience, find_audience, set_name
from amp_console.sync.intake import Intake
from amp_console.sync.plan import draw_up
from amp_console.sync.settings import SettingsChange, change
from amp_console.sync.timing import Timing
from amp_console.sync.workplace import Workplace
from amp_console.values import IdType, Operation

if TYPE_CHECKING:
    from amp_console.simulator import Simulator

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000  # microseconds
OWNER, OTHER_OWNER = "ana@acme.example", "noor@acme.example"
OTHERS = (
    ("Power users (30 days)", True, 12_480),
    ("Signed up last week", True, 3_912),
    ("Beta testers", False, 214),
    ("Webinar guests, spring", False, 1_067),
    ("Churn risk – CS team (old)", False, 8_455),
)
"""Cohorts beside ours: name, computed from behaviour, size."""
REFUSED = 2  # shoppers whom Amplitude refuses
UNIDENTIFIED = 3  # people at risk of churning whose events carry no Amplitude ID


class SceneClock:
    """The time of runs that lie in the past: it is set, and goes on with every look."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> int:
        """The moment, in microseconds since 1970."""
        self.at += 370_000
        return self.at


async def _no_wait(_: float) -> None:
    await asyncio.sleep(0)


class Scene:
    """Fills a ledger and a simulated Amplitude; `begun` is the present, in microseconds."""

    def __init__(
        self, simulator: "Simulator", place: Workplace, folder: Path, *, seed: int, begun: int
    ) -> None:
        self._simulator = simulator
        self._place = place
        self._folder = folder
        self._seed = seed
        self._begun = begun
        self._files = 0
        self._clock = SceneClock(begun)
        self._timing = Timing(now=self._clock, sleep=_no_wait, rng=random.Random(seed))

    def refused(self) -> frozenset[str]:
        """Who is refused by Amplitude, with everybody they are sent together with."""
        return frozenset(user_id(self._seed, SHOPPERS, n) for n in range(100, 100 + REFUSED))

    def set(self) -> None:
        """Play the past in its order; the largest audience comes last."""
        self._crowd()
        self._lapsed()
        self._trial()
        self._churn()
        self._shoppers()
        self._trial_breaks()
        self._broken_events()
        self._newsletter()
        self._abandoners()
        self._lately()

    # The parts.

    def _crowd(self) -> None:
        world = self._simulator.world
        for name, is_computed, size in OTHERS:
            people = world.resolve([f"{name[:4]}-{n}" for n in range(size)], IdType.USER_ID).found
            kind = "redshift" if is_computed else "manual_upload"
            world.create_cohort(name, OTHER_OWNER, people, type=kind)

    def _lapsed(self) -> None:
        self._read(LAPSED, self._enter(LAPSED, self._ago(75 * HOUR)))
        self._sync(self._ago(74 * HOUR), LAPSED)
        # Behind our back: some are gone, and some are in whom no event ever named.
        world, cohort = self._simulator.world, self._audience(LAPSED).cohort_id
        gone = [user_id(self._seed, LAPSED, n) for n in range(0, 4240, 20)]
        strangers = [f"usr_imported_by_hand_{n:02}" for n in range(37)]
        assert cohort is not None
        for operation, ids in ((Operation.REMOVE, gone), (Operation.ADD, strangers)):
            world.change(cohort, operation, world.resolve(ids, IdType.USER_ID).found)

    def _trial(self) -> None:
        self._read(TRIAL, self._enter(TRIAL, self._ago(73 * HOUR)))
        self._sync(self._ago(72 * HOUR), TRIAL)

    def _trial_breaks(self) -> None:
        """Somebody deletes the cohort in Amplitude, and a run finds out."""
        cohort = self._audience(TRIAL).cohort_id
        assert cohort is not None
        self._simulator.world.drop_cohort(cohort)
        self._read(TRIAL, self._more(TRIAL, 18, self._ago(5 * HOUR)))
        self._sync(self._ago(2 * HOUR), TRIAL)

    def _churn(self) -> None:
        world = self._simulator.world
        first = [amplitude_id(self._seed, n) for n in range(8_455)]
        known = world.resolve(first, IdType.AMPLITUDE_ID).found
        there = world.create_cohort("Churn risk – CS team", OTHER_OWNER, known)
        at = self._ago(50 * HOUR)
        people = self._enter(CHURN, at)
        with_ids = [
            each._replace(amplitude_id=amplitude_id(self._seed, n))
            if n < CHURN.people - 3
            else each
            for n, each in enumerate(people)
        ]
        self._read(CHURN, with_ids)
        self._change(
            CHURN,
            SettingsChange(
                id_type=IdType.AMPLITUDE_ID, cohort_id=there.id, owner_email=OTHER_OWNER
            ),
        )
        self._sync(self._ago(49 * HOUR), CHURN)

    def _shoppers(self) -> None:
        ghosts = [
            Entrance(f"ghost-{n:04x}", True, self._ago(30 * HOUR)) for n in range(3, 3 * 9, 3)
        ]
        people = self._enter(SHOPPERS, self._ago(31 * HOUR))
        self._read(SHOPPERS, [*people, *ghosts])
        self._sync(self._ago(28 * HOUR), SHOPPERS)

    def _newsletter(self) -> None:
        self._read(NEWSLETTER, self._enter(NEWSLETTER, self._ago(40 * MINUTE)))

    def _abandoners(self) -> None:
        self._read(ABANDONERS, self._enter(ABANDONERS, self._ago(26 * HOUR)))
        self._sync(self._ago(4 * MINUTE), ABANDONERS)

    def _lately(self) -> None:
        """An hour of coming and going, not synced yet."""
        dice = random.Random(self._seed)
        entering = [
            Entrance(
                user_id(self._seed, SHOPPERS, SHOPPERS.people + n),
                True,
                self._ago(int(dice.triangular(0, 58, 20) * MINUTE)),
            )
            for n in range(312)
        ]
        leaving = [
            Entrance(
                user_id(self._seed, SHOPPERS, 1_000 + n * 7),
                False,
                self._ago(int(dice.triangular(0, 58, 45) * MINUTE)),
            )
            for n in range(40)
        ]
        self._read(SHOPPERS, [*entering, *leaving])

    def _broken_events(self) -> None:
        good = next(lines(TRIAL, [Entrance("usr_0", True, self._ago(6 * HOUR))]))
        broken = (
            good[: len(good) // 2] + "\n",
            good.replace('"usr_0"', "null"),
            good.replace('"userId":"usr_0"', '"userId":"  "'),
            "2026-05-03 connection closed by peer\n",
        )
        self._import(self._write("webhook-batch", broken))

    # Means.

    def _ago(self, microseconds: int) -> int:
        return self._begun - microseconds

    def _enter(self, role: Role, at: int) -> list[Entrance]:
        """Everybody of a role enters, over a quarter of an hour."""
        seed, step = self._seed, 15 * MINUTE // role.people
        return [Entrance(user_id(seed, role, n), True, at + n * step) for n in range(role.people)]

    def _more(self, role: Role, count: int, at: int) -> list[Entrance]:
        first = role.people
        people = range(first, first + count)
        return [Entrance(user_id(self._seed, role, n), True, at + n * SECOND) for n in people]

    def _read(self, role: Role, entrances: Iterable[Entrance]) -> None:
        self._import(self._write(role.key, lines(role, entrances)))
        found = self._audience(role)
        if found.name != role.name:
            self._place.ledger.write(set_name, found.id, role.name)

    def _write(self, name: str, text: Iterable[str]) -> Path:
        self._files += 1
        file = self._folder / f"{self._files:02}-{name}.ndjson"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(text)
        return file

    def _import(self, file: Path) -> None:
        ledger: Ledger = self._place.ledger
        Intake(ledger, self._place.read_options(), now=self._clock).run([str(file)])

    def _audience(self, role: Role) -> Audience:
        return self._place.ledger.read(find_audience, role.key)

    def _change(self, role: Role, wish: SettingsChange) -> None:
        place = self._place
        change(place.ledger, place.connection, self._audience(role), wish)

    def _sync(self, at: int, *roles: Role) -> None:
        """A run in the past, over real HTTP."""
        from amp_console.sync.delivery import deliver

        self._clock.at = at
        place = self._place
        plan = place.ledger.read(
            draw_up, place.connection, [self._audience(role) for role in roles]
        )

        async def run() -> None:
            async with place.client(self._simulator.credentials) as client:
                await deliver(plan, place.connection, place.ledger, client, timing=self._timing)

        asyncio.run(run())
        self._clock.at = self._begun
