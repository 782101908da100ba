"""Deletion requests against a plain model: random histories, and old files read again."""

import asyncio
import dataclasses
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.ledger import open_ledger
from amp_console.simulator import Simulator
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.forget import forget, plan_forget
from amp_console.values import IdType
from tests.examples import examples
from tests.sync.test_forget import files_with
from tests.sync.workspace import Clock, Workspace, event

HOUR = round(datetime(2026, 5, 3, 19, tzinfo=UTC).timestamp())
STEP = 60  # seconds from one step of a history to the next
AUDIENCES = {"shoppers": IdType.USER_ID, "buyers": IdType.AMPLITUDE_ID}


class Person(NamedTuple):
    """Someone with one or two identifiers, which every event carries."""

    user_id: str | None
    amplitude_id: int | None

    @property
    def ids(self) -> list[str]:
        return [str(id_) for id_ in self if id_ is not None]


PEOPLE = (
    Person("ana-7c41-user", 8_844_221_177),
    Person("ben-7c41-user", 8_844_221_178),
    Person("cem-7c41-user", None),
    Person(None, 8_844_221_180),
)


class Said(NamedTuple):
    """An event that is so many seconds old when first read."""

    person: int
    audience: str
    is_member: bool
    age: int


class Forget(NamedTuple):
    """A deletion request, by the person's first or last identifier."""

    person: int
    by_last: bool


class Again(NamedTuple):
    """An earlier file, by its number, is read again."""

    number: int


PERSON = st.integers(0, len(PEOPLE) - 1)
EVENT = st.builds(
    Said, PERSON, st.sampled_from(sorted(AUDIENCES)), st.booleans(), st.integers(0, 4 * STEP)
)
STEPS = st.lists(
    st.one_of(
        st.lists(EVENT, min_size=1, max_size=5),
        st.builds(Forget, PERSON, st.booleans()),
        st.builds(Again, st.integers(0, 9)),
        st.just("sync"),
    ),
    max_size=14,
)


class Model:
    """The newest valid event of each person and audience, and until when people are forgotten."""

    def __init__(self) -> None:
        self.files: list[list[tuple[int, Said]]] = []
        self._newest: dict[tuple[int, str], tuple[int, int, int, bool]] = {}
        self._until = dict.fromkeys(range(len(PEOPLE)), -1)

    def read(self, number: int) -> None:
        for line, (at, said) in enumerate(self.files[number]):
            if at <= self._until[said.person]:
                continue
            key, change = (said.person, said.audience), (at, number, line, said.is_member)
            self._newest[key] = max(self._newest.get(key, change), change)

    def forget(self, person: int, now: int) -> None:
        newest = [change[0] for key, change in self._newest.items() if key[0] == person]
        self._until[person] = max([self._until[person], now, *newest])
        self._newest = {key: item for key, item in self._newest.items() if key[0] != person}

    def members(self, audience: str) -> set[int]:
        return {key[0] for key, item in self._newest.items() if key[1] == audience and item[-1]}

    def unknown(self) -> set[int]:
        return set(self._until) - {person for person, _ in self._newest}


def events_of(file: list[tuple[int, Said]]) -> list[dict[str, object]]:
    return [
        event(
            PEOPLE[said.person].user_id,
            said.is_member,
            at,
            audience=said.audience,
            traits={"amplitude_id": PEOPLE[said.person].amplitude_id},
        )
        for at, said in file
    ]


async def carry_out(workspace: Workspace, person: Person, by_last: bool) -> None:
    id_ = person.ids[-1 if by_last else 0]
    plan = workspace.ledger.read(plan_forget, [id_])
    async with workspace.opened() as context:
        connection, ledger = workspace.connection, workspace.ledger
        report = await forget(plan, connection, ledger, context, now=workspace.timing.now)
    assert report.is_done, report


def opened(folder: Path, simulator: Simulator, workspace: Workspace, clock: Clock) -> None:
    """Two audiences, matched by each ID type, that everyone but their first member is not in."""
    for person in PEOPLE:
        simulator.world.add_user(person.user_id, person.amplitude_id)
    simulator.world.add_user("founder", 77)
    workspace.timing = dataclasses.replace(workspace.timing, now=clock)
    workspace.map_amplitude_ids()
    for key, id_type in AUDIENCES.items():
        workspace.read([event("founder", True, audience=key, traits={"amplitude_id": 77})])
        workspace.change(SettingsChange(id_type=id_type), key)


@examples(30, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_no_one_who_was_forgotten_returns_unless_a_newer_event_names_them(
    steps: list[object],
) -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        Simulator() as simulator,
        open_ledger(Path(name) / "ledger.db", is_durable=False) as ledger,
    ):
        folder, clock, model = Path(name), Clock(), Model()
        workspace = Workspace(simulator, ledger, folder)
        opened(folder, simulator, workspace, clock)
        paths: list[Path] = []
        for number, step in enumerate([*steps, "sync"]):
            second = 4 * STEP + number * STEP
            clock.now = (HOUR + second) * 1_000_000
            if isinstance(step, list):
                model.files.append([(second - said.age, said) for said in step])
                workspace.read(events_of(model.files[-1]))
                paths.append(folder / f"events-{workspace.files}.ndjson")
                model.read(len(paths) - 1)
            elif isinstance(step, Again) and paths:
                workspace.read_file(paths[step.number % len(paths)])
                model.read(step.number % len(paths))
            elif isinstance(step, Forget):
                asyncio.run(carry_out(workspace, PEOPLE[step.person], step.by_last))
                model.forget(step.person, second)
            elif step == "sync":
                asyncio.run(workspace.sync())
        for key in AUDIENCES:
            expected = {PEOPLE[number].ids[0] for number in wanted(model, key)}
            assert workspace.cohort(key) == {"founder", *expected}
        unknown = [id_ for number in model.unknown() for id_ in PEOPLE[number].ids]
        assert files_with(folder, *unknown) == []


def wanted(model: Model, key: str) -> set[int]:
    """The members with an identifier of the ID type that the audience is matched by."""
    is_user = AUDIENCES[key] is IdType.USER_ID
    return {
        number
        for number in model.members(key)
        if (PEOPLE[number].user_id if is_user else PEOPLE[number].amplitude_id) is not None
    }
