"""Each kind of trouble affects requests, and ends again."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from amp_console.amplitude import KeysRefused, NoConnection, RateLimited, ServerTrouble
from amp_console.amplitude.client import AmplitudeClient
from amp_console.demo.trouble import KINDS, Troubles, occasional_faults
from amp_console.simulator import Answer, Call, RefuseIds, Rule, Simulator
from amp_console.values import IdType, Operation

pytestmark = pytest.mark.anyio


class FaultySimulator:
    """A simulated Amplitude whose sleeps are recorded instead of taken."""

    def __init__(self) -> None:
        self.naps: list[float] = []
        self.simulator = Simulator(sleep=self._sleep)
        self.troubles = Troubles()

    async def _sleep(self, seconds: float) -> None:
        self.naps.append(seconds)

    def client(self) -> AmplitudeClient:
        return AmplitudeClient(self.simulator.base_url, self.simulator.credentials)

    async def add(self, client: AmplitudeClient, *ids: str) -> None:
        cohort = self.simulator.world.cohort_named("Shoppers")
        await client.change_members(cohort.id, IdType.USER_ID, Operation.ADD, ids)


@pytest.fixture
def simulated() -> Iterator[FaultySimulator]:
    simulated = FaultySimulator()
    with simulated.simulator as simulator:
        simulator.world.create_cohort("Shoppers", "ana@acme.example")
        simulated.troubles.attach(simulator.faults)
        yield simulated


async def test_a_rate_limit_meets_most_changes_and_lets_a_sync_through(
    simulated: FaultySimulator,
) -> None:
    simulated.troubles.toggle("rate-limit")
    waits: list[float | None] = []
    async with simulated.client() as client:
        await client.list_cohorts()
        for number in range(12):
            try:
                await simulated.add(client, f"usr_{number}")
                waits.append(None)
            except RateLimited as limited:
                waits.append(limited.retry_after)
    assert waits[0] == 5
    assert waits.count(5) == 8
    assert all(None in waits[start : start + 4] for start in range(9))


async def test_when_amplitude_is_down_nothing_passes(simulated: FaultySimulator) -> None:
    simulated.troubles.toggle("down")
    met = set()
    async with simulated.client() as client:
        for _ in range(4):
            with pytest.raises((ServerTrouble, NoConnection)) as error:
                await client.list_cohorts()
            met.add(error.type)
    assert met == {ServerTrouble, NoConnection}


async def test_a_slow_amplitude_takes_two_to_four_seconds(simulated: FaultySimulator) -> None:
    simulated.troubles.toggle("slow")
    async with simulated.client() as client:
        await client.list_cohorts()
        await simulated.add(client, "usr_1")
    assert len(simulated.naps) == 2
    assert all(2 <= seconds <= 4 for seconds in simulated.naps)


async def test_wrong_keys_are_refused_for_every_call(simulated: FaultySimulator) -> None:
    simulated.troubles.toggle("keys")
    async with simulated.client() as client:
        with pytest.raises(KeysRefused, match="Invalid API Key"):
            await client.list_cohorts()
        with pytest.raises(KeysRefused):
            await simulated.add(client, "usr_1")
    assert "notices at the next sync, or with T" in simulated.troubles.toggle("keys")


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
async def test_trouble_goes_away(simulated: FaultySimulator, name: str) -> None:
    came, went = simulated.troubles.toggle(name), simulated.troubles.toggle(name)
    assert came != went
    async with simulated.client() as client:
        await client.list_cohorts()
        await simulated.add(client, "usr_1")
    assert simulated.naps == []
    assert not any(trouble.is_on for trouble in simulated.troubles.all())


async def test_trouble_goes_away_and_what_was_there_before_stays(
    simulated: FaultySimulator,
) -> None:
    refused = Rule(RefuseIds(frozenset({"usr_1"}), named=True))
    simulated.troubles.attach(simulated.simulator.faults, [refused])
    simulated.troubles.toggle("down")
    simulated.troubles.toggle("slow")
    assert [trouble.name for trouble in simulated.troubles.all() if trouble.is_on] == [
        "down",
        "slow",
    ]
    simulated.troubles.toggle("slow")
    simulated.troubles.toggle("down")
    assert simulated.simulator.faults.rules == (refused,)


async def test_trouble_that_is_on_before_seeding_takes_effect_after_it(
    simulated: FaultySimulator,
) -> None:
    early = Troubles()
    early.toggle("keys")
    async with simulated.client() as client:
        await client.list_cohorts()
        early.attach(simulated.simulator.faults)
        with pytest.raises(KeysRefused):
            await client.list_cohorts()


def test_an_unknown_trouble_is_an_error() -> None:
    with pytest.raises(ValueError, match="no trouble 'flood'"):
        Troubles().toggle("flood")


async def test_now_and_then_a_change_fails_but_most_pass(simulated: FaultySimulator) -> None:
    simulated.troubles.attach(simulated.simulator.faults, occasional_faults())
    async with simulated.client() as client:
        for number in range(35):
            with suppress(RateLimited, ServerTrouble, NoConnection):
                await simulated.add(client, f"usr_{number}")
    seen = [request.status for request in simulated.simulator.requests]
    assert {status for status in seen if status != 200} == {429, 502, 0}
    assert seen.count(200) > 20


async def test_an_answer_may_say_other_words(simulated: FaultySimulator) -> None:
    simulated.simulator.faults.once(Answer(429, words="Too many requests"), Call.LIST)
    async with simulated.client() as client:
        with pytest.raises(RateLimited) as error:
            await client.list_cohorts()
    assert error.value.message == "Too many requests"
