"""Testing keys distinguishes a wrong region from wrong keys, with a simulator per region."""

from collections.abc import Iterator

import pytest

from amp_console.amplitude import KeysReason, KeysRefused
from amp_console.amplitude.client import AmplitudeClient
from amp_console.simulator import Simulator
from amp_console.sync.queries.key_check import WrongRegion, check_keys
from amp_console.values import Credentials, Region, Secret

pytestmark = pytest.mark.anyio

EUROPEAN = Credentials(Secret("european-key"), Secret("european-secret"))


@pytest.fixture
def regions() -> Iterator[dict[Region, Simulator]]:
    with Simulator() as america, Simulator(credentials=EUROPEAN) as europe:
        yield {Region.NORTH_AMERICA: america, Region.EUROPE: europe}


async def check(regions: dict[Region, Simulator], keys: Credentials, region: Region) -> object:
    return await check_keys(
        lambda named: AmplitudeClient(regions[named].base_url, keys), region, has_other=True
    )


async def test_good_keys_are_accepted_with_their_projects(
    regions: dict[Region, Simulator],
) -> None:
    world = regions[Region.EUROPE].world
    world.create_cohort("There before", "ana@acme.example")
    accepted = await check(regions, EUROPEAN, Region.EUROPE)
    assert getattr(accepted, "app_ids", None) == {world.app_id}


async def test_keys_of_the_other_region_are_recognized(regions: dict[Region, Simulator]) -> None:
    with pytest.raises(WrongRegion, match="a project in Europe"):
        await check(regions, EUROPEAN, Region.NORTH_AMERICA)


async def test_keys_that_no_one_knows_are_refused(regions: dict[Region, Simulator]) -> None:
    unknown = Credentials(Secret("unknown-key"), Secret("unknown-secret"))
    with pytest.raises(KeysRefused) as refused:
        await check(regions, unknown, Region.NORTH_AMERICA)
    assert refused.value.reason is KeysReason.UNKNOWN_KEY


async def test_a_wrong_secret_is_not_looked_for_elsewhere(
    regions: dict[Region, Simulator],
) -> None:
    half = Credentials(EUROPEAN.api_key, Secret("wrong-secret"))
    with pytest.raises(KeysRefused) as refused:
        await check(regions, half, Region.EUROPE)
    assert refused.value.reason is KeysReason.WRONG_SECRET
    assert regions[Region.NORTH_AMERICA].requests == []
