import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from amp_console.simulator import Known, World
from amp_console.values import IdType, Operation


def test_ids_are_given_in_order_of_first_sight_and_pass_over_those_taken() -> None:
    world = World()
    world.resolve(["300000000001"], IdType.AMPLITUDE_ID)
    assert [world.add_user(name) for name in "ab"] == [300_000_000_000, 300_000_000_002]


def test_the_same_world_gives_the_same_cohort_ids() -> None:
    first, second = (World(seed=5).create_cohort("a", "owner@acme.example") for _ in range(2))
    assert first.id == second.id


@pytest.mark.parametrize("text", ["ghost-1", "", "12x", "１２", "9" * 20])
def test_what_is_not_an_amplitude_id_matches_no_one(text: str) -> None:
    assert World().resolve([text], IdType.AMPLITUDE_ID).skipped == [text]


def test_a_user_can_only_be_added_once() -> None:
    world = World(Known.REGISTERED)
    world.add_user("ada", 7)
    with pytest.raises(ValueError, match="ada"):
        world.add_user("ada")
    with pytest.raises(ValueError, match="grace"):
        world.add_user("grace", 7)


def test_ghosts_are_a_choice_of_the_world() -> None:
    world = World(unknown=lambda text: text == "no-one")
    assert world.resolve(["ghost-1", "no-one"], IdType.USER_ID).skipped == ["no-one"]


def test_a_world_remembers_everyone_who_was_ever_in_a_cohort() -> None:
    world = World()
    cohort = world.create_cohort("a", "owner@acme.example")
    ada = world.resolve(["ada"], IdType.USER_ID).found
    world.change(cohort.id, Operation.ADD, ada)
    world.change(cohort.id, Operation.REMOVE, ada)
    assert world.members(cohort.id) == set()
    assert world.ever(cohort.id) == {"ada"}


def test_a_cohort_that_is_not_there_is_said_so() -> None:
    world = World()
    assert world.cohort("abcd1234") is None
    with pytest.raises(LookupError, match="Churn risk"):
        world.cohort_named("Churn risk")
    with pytest.raises(KeyError):
        world.drop_cohort("abcd1234")


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Let threads alternate so often that they interrupt each other's work."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("_hasty_threads")
def test_a_world_can_be_read_while_another_thread_changes_it() -> None:
    world = World()
    everyone = world.resolve([f"user-{i}" for i in range(3_000)], IdType.USER_ID).found
    cohort = world.create_cohort("a", "owner@acme.example", list(everyone)[:1_000])

    def grow() -> None:
        for number in list(everyone)[1_000:]:
            world.change(cohort.id, Operation.ADD, {number})

    with ThreadPoolExecutor(1) as pool:
        growing = pool.submit(grow)
        while not growing.done():
            world.members(cohort.id)
        growing.result()
    assert world.size(cohort.id) == 3_000
