"""What Amplitude lists: the cohorts that can be synced to, and how large they are."""

import pytest

from amp_console.amplitude import AmplitudeError
from amp_console.amplitude.client import AmplitudeClient
from amp_console.simulator import Answer, Rule
from amp_console.sync.queries.cohorts import sizes, static_cohorts
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio


def client(workspace: Workspace) -> AmplitudeClient:
    return AmplitudeClient(workspace.simulator.base_url, workspace.simulator.credentials)


async def test_only_those_whose_members_were_uploaded_can_be_synced_to(
    workspace: Workspace,
) -> None:
    world = workspace.simulator.world
    for name in ("zebra", "Apple"):
        world.create_cohort(name, "noor@acme.example")
    world.create_cohort("computed", "noor@acme.example", type="redshift")
    world.create_cohort("hidden", "noor@acme.example", published=False)
    async with client(workspace) as asked:
        assert [static_cohort.name for static_cohort in await static_cohorts(asked)] == [
            "Apple",
            "zebra",
        ]


async def test_sizes_are_told_for_every_cohort(workspace: Workspace) -> None:
    world = workspace.simulator.world
    number = world.add_user("u1")
    static = world.create_cohort("static", "noor@acme.example", [number])
    computed = world.create_cohort("computed", "noor@acme.example", type="redshift")
    async with client(workspace) as asked:
        assert set(await sizes(asked)) == {static.id, computed.id}


async def test_trouble_is_left_to_who_asks(workspace: Workspace) -> None:
    workspace.set_faults(Rule(Answer(500)))
    async with client(workspace) as asked:
        with pytest.raises(AmplitudeError):
            await sizes(asked)
        with pytest.raises(AmplitudeError):
            await static_cohorts(asked)
