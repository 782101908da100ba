"""Each kind of trouble meets requests, and goes away again."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from amp_console.amplitude import (
    AmplitudeClient,
    KeysRefused,
    NoConnection,
    RateLimited,
    ServerTrouble,
)
from amp_console.demo.trouble import KINDS, Troubles, now_and_then
from amp_console.simulator import Answer, Call, RefuseIds, Rule, Simulator
from amp_console.values import IdType, Operation

pytestmark = pytest.mark.anyio


class Scene:
    """A simulated Amplitude whose naps are remembered instead of taken."""

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
def scene() -> Iterator[Scene]:
    scene = Scene()
    with scene.simulator as simulator:
        simulator.world.create_cohort("Shoppers", "ana@acme.example")
        scene.troubles.meet(simulator.faults)
        yield scene


async def test_a_rate_limit_meets_most_changes_and_lets_a_sync_through(scene: Scene) -> None:
    scene.troubles.toggle("rate-limit")
    waits: list[float | None] = []
    async with scene.client() as client:
        await client.list_cohorts()
        for number in range(12):
            try:
                await scene.add(client, f"usr_{number}")
                waits.append(None)
            except RateLimited as limited:
                waits.append(limited.retry_after)
    assert waits[0] == 5
    assert waits.count(5) == 8
    assert all(None in waits[start : start + 4] for start in range(9))


async def test_when_amplitude_is_down_nothing_passes(scene: Scene) -> None:
    scene.troubles.toggle("down")
    met = set()
    async with scene.client() as client:
        for _ in range(4):
            with pytest.raises((ServerTrouble, NoConnection)) as error:
                await client.list_cohorts()
            met.add(error.type)
    assert met == {ServerTrouble, NoConnection}


async def test_a_slow_amplitude_takes_two_to_four_seconds(scene: Scene) -> None:
    scene.troubles.toggle("slow")
    async with scene.client() as client:
        await client.list_cohorts()
        await scene.add(client, "usr_1")
    assert len(scene.naps) == 2
    assert all(2 <= seconds <= 4 for seconds in scene.naps)


async def test_wrong_keys_are_refused_for_every_call(scene: Scene) -> None:
    scene.troubles.toggle("keys")
    async with scene.client() as client:
        with pytest.raises(KeysRefused, match="Invalid API Key"):
            await client.list_cohorts()
        with pytest.raises(KeysRefused):
            await scene.add(client, "usr_1")


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
async def test_trouble_goes_away(scene: Scene, name: str) -> None:
    came, went = scene.troubles.toggle(name), scene.troubles.toggle(name)
    assert came != went
    async with scene.client() as client:
        await client.list_cohorts()
        await scene.add(client, "usr_1")
    assert scene.naps == []
    assert not any(trouble.is_on for trouble in scene.troubles.all())


async def test_trouble_goes_away_and_what_was_there_before_stays(scene: Scene) -> None:
    refused = Rule(RefuseIds(frozenset({"usr_1"}), named=True))
    scene.troubles.meet(scene.simulator.faults, [refused])
    scene.troubles.toggle("down")
    scene.troubles.toggle("slow")
    assert [trouble.name for trouble in scene.troubles.all() if trouble.is_on] == ["down", "slow"]
    scene.troubles.toggle("slow")
    scene.troubles.toggle("down")
    assert scene.simulator.faults.rules == (refused,)


async def test_trouble_asked_for_before_the_scene_is_set_comes_with_it(scene: Scene) -> None:
    early = Troubles()
    early.toggle("keys")
    async with scene.client() as client:
        await client.list_cohorts()
        early.meet(scene.simulator.faults)
        with pytest.raises(KeysRefused):
            await client.list_cohorts()


def test_trouble_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no trouble 'flood'"):
        Troubles().toggle("flood")


async def test_now_and_then_a_change_fails_but_most_pass(scene: Scene) -> None:
    scene.troubles.meet(scene.simulator.faults, now_and_then())
    async with scene.client() as client:
        for number in range(35):
            with suppress(RateLimited, ServerTrouble, NoConnection):
                await scene.add(client, f"usr_{number}")
    seen = [request.status for request in scene.simulator.requests]
    assert {status for status in seen if status != 200} == {429, 502, 0}
    assert seen.count(200) > 20


async def test_an_answer_may_say_other_words(scene: Scene) -> None:
    scene.simulator.faults.once(Answer(429, words="Too many requests"), Call.LIST)
    async with scene.client() as client:
        with pytest.raises(RateLimited) as error:
            await client.list_cohorts()
    assert error.value.words == "Too many requests"
