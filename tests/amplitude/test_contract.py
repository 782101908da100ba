"""The client against the simulated Amplitude: both agree on the meaning of each call."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import msgspec
import pytest

from amp_console.amplitude import (
    BadRequest,
    CohortGone,
    KeysReason,
    KeysRefused,
    NoConnection,
    RateLimited,
    ServerTrouble,
    TooLarge,
    Upload,
)
from amp_console.amplitude.client import AmplitudeClient
from amp_console.simulator import (
    Answer,
    Behavior,
    Call,
    Cut,
    RefuseIds,
    Reset,
    Rule,
    Simulator,
    World,
)
from amp_console.simulator import TooLarge as TooLargeRule
from amp_console.values import Credentials, IdType, Operation, Secret

pytestmark = pytest.mark.anyio

OWNER = "ana@acme.example"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    unknown = ("ghost-", "9")
    world = World(unknown=lambda text: text.startswith(unknown), organization={OWNER})
    with Simulator(world) as running:
        yield running


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[AmplitudeClient]:
    async with AmplitudeClient(simulator.base_url, simulator.credentials) as opened:
        yield opened


def upload(simulator: Simulator, *ids: str, **more: object) -> Upload:
    fields = {"name": "Shoppers", "app_id": simulator.world.app_id, "owner": OWNER}
    return msgspec.convert({**fields, "id_type": "user_id", "ids": list(ids), **more}, Upload)


class TestUpload:
    async def test_makes_a_cohort_that_is_listed(
        self, simulator: Simulator, client: AmplitudeClient
    ) -> None:
        answer = await client.upload(upload(simulator, "u1", "ghost-1"))
        assert (answer.matched, answer.invalid_sample) == (1, ("ghost-1",))
        (cohort,) = await client.list_cohorts()
        assert (cohort.id, cohort.name, cohort.owners) == (answer.cohort_id, "Shoppers", (OWNER,))
        assert (cohort.app_id, cohort.is_static) == (simulator.world.app_id, True)
        assert simulator.world.members(cohort.id) == {"u1"}

    async def test_replaces_the_content_of_a_cohort(
        self, simulator: Simulator, client: AmplitudeClient
    ) -> None:
        made = await client.upload(upload(simulator, "u1"))
        await client.upload(upload(simulator, "u2", existing_cohort_id=made.cohort_id))
        assert simulator.world.members(made.cohort_id or "") == {"u2"}

    async def test_takes_amplitude_ids(self, simulator: Simulator, client: AmplitudeClient) -> None:
        number = simulator.world.add_user("u1")
        fields = upload(simulator, str(number), id_type="amplitude_id")
        made = await client.upload(fields)
        assert simulator.world.members(made.cohort_id or "") == {"u1"}

    async def test_of_unknown_users_names_them(
        self, simulator: Simulator, client: AmplitudeClient
    ) -> None:
        with pytest.raises(BadRequest) as refused:
            await client.upload(upload(simulator, "ghost-1"))
        assert refused.value.named_ids == ("ghost-1",)
        simulator.behavior = Behavior(refuses_all_invalid=False)
        assert (await client.upload(upload(simulator, "ghost-1"))).matched == 0

    @pytest.mark.parametrize(
        "wrong", [{"owner": "no-one@else.example"}, {"app_id": 7}, {"ids": []}], ids=str
    )
    async def test_that_cannot_be_names_no_culprits(
        self, simulator: Simulator, client: AmplitudeClient, wrong: dict[str, object]
    ) -> None:
        with pytest.raises(BadRequest) as refused:
            await client.upload(upload(simulator, "u1", **wrong))
        assert refused.value.named_ids == ()
        assert refused.value.message


class TestMembers:
    async def _cohort(self, simulator: Simulator, client: AmplitudeClient) -> str:
        made = await client.upload(upload(simulator, "u1"))
        assert made.cohort_id
        return made.cohort_id

    async def test_are_added_and_removed(
        self, simulator: Simulator, client: AmplitudeClient
    ) -> None:
        cohort = await self._cohort(simulator, client)
        ids = msgspec.Raw(b'["u2","ghost-1"]')
        added = await client.change_members(cohort, IdType.USER_ID, Operation.ADD, ids)
        assert added.skipped == ("ghost-1",)
        await client.change_members(cohort, IdType.USER_ID, Operation.REMOVE, ["u1"])
        assert simulator.world.members(cohort) == {"u2"}

    async def test_are_taken_by_amplitude_id(
        self, simulator: Simulator, client: AmplitudeClient
    ) -> None:
        cohort = await self._cohort(simulator, client)
        number = str(simulator.world.add_user("u2"))
        await client.change_members(cohort, IdType.AMPLITUDE_ID, Operation.ADD, [number])
        assert simulator.world.members(cohort) == {"u1", "u2"}

    async def test_skipped_numbers_come_back_as_text(
        self, simulator: Simulator, client: AmplitudeClient
    ) -> None:
        cohort = await self._cohort(simulator, client)
        simulator.behavior = Behavior(numeric_skipped_ids=True)
        answer = await client.change_members(cohort, IdType.USER_ID, Operation.ADD, ["917"])
        assert answer.skipped == ("917",)

    @pytest.mark.parametrize("status", [400, 404])
    async def test_of_a_cohort_that_is_gone(
        self, simulator: Simulator, client: AmplitudeClient, status: int
    ) -> None:
        simulator.behavior = Behavior(unknown_cohort_status=status)
        with pytest.raises(CohortGone):
            await client.change_members("abcdefgh", IdType.USER_ID, Operation.ADD, ["u1"])

    @pytest.mark.parametrize(
        ("trouble", "error"),
        [
            (Answer(429, retry_after="7"), RateLimited),
            (Answer(500), ServerTrouble),
            (Answer(502, html=True), ServerTrouble),
            (Answer(504), ServerTrouble),
            (Reset(), NoConnection),
            (Reset(applied=True), NoConnection),
            (Cut(), NoConnection),
            (TooLargeRule(above=1), TooLarge),
            (RefuseIds(frozenset({"u2"})), BadRequest),
        ],
        ids=str,
    )
    async def test_trouble_is_classified_by_its_kind(
        self,
        simulator: Simulator,
        client: AmplitudeClient,
        trouble: Answer | Reset | Cut | TooLargeRule | RefuseIds,
        error: type[Exception],
    ) -> None:
        cohort = await self._cohort(simulator, client)
        simulator.faults.set([Rule(trouble, frozenset({Call.MEMBERSHIP}))])
        with pytest.raises(error):
            await client.change_members(cohort, IdType.USER_ID, Operation.ADD, ["u2", "u3"])


class TestOtherCalls:
    async def test_usage(self, simulator: Simulator, client: AmplitudeClient) -> None:
        usage = await client.usage()
        assert usage
        assert (usage.limit, usage.used) == (500, 0)

    async def test_search_finds_users_with_odd_ids(
        self, simulator: Simulator, client: AmplitudeClient
    ) -> None:
        number = simulator.world.add_user("a+b&c=%é😀")
        (found,) = await client.find_users("a+b&c=%é😀")
        assert (found.user_id, found.amplitude_id) == ("a+b&c=%é😀", str(number))

    @pytest.mark.parametrize("redirect_above", [0, 10_000])
    @pytest.mark.parametrize("tabbed", [False, True])
    async def test_a_download_holds_the_members(
        self, simulator: Simulator, client: AmplitudeClient, redirect_above: int, tabbed: bool
    ) -> None:
        simulator.behavior = Behavior(redirect_above=redirect_above, tabbed_cells=tabbed)
        made = await client.upload(upload(simulator, "u1", "u2"))
        request = await client.start_download(made.cohort_id or "")
        while not await client.download_ready(request):
            pass
        async with aclosing(client.download(request)) as pieces:
            text = b"".join([piece async for piece in pieces]).decode()
        rows = list(csv.reader(io.StringIO(text)))[1:]
        assert {cells[1].strip() for cells in rows} == {"u1", "u2"}

    @pytest.mark.parametrize(
        ("credentials", "reason"),
        [
            (Credentials(Secret("wrong-key"), Secret("x")), KeysReason.UNKNOWN_KEY),
            (
                Credentials(Secret("simulated-api-key"), Secret("wrong-secret")),
                KeysReason.WRONG_SECRET,
            ),
        ],
    )
    async def test_refused_keys_say_which(
        self, simulator: Simulator, credentials: Credentials, reason: KeysReason
    ) -> None:
        async with AmplitudeClient(simulator.base_url, credentials) as client:
            with pytest.raises(KeysRefused) as refused:
                await client.list_cohorts()
        assert refused.value.reason is reason
