"""How audiences stand: for all of them at once exactly as for each alone."""

import msgspec
import pytest

from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.standing import outstanding, outstanding_of_all
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.queries.status import NOTHING_LEFT, Standing, Status, standing, standings
from amp_console.values import IdType, Operation
from tests.sync.office import Office, event

pytestmark = pytest.mark.anyio


def of(office: Office, key: str) -> Standing:
    found = office.ledger.read(standings, office.connection)
    return next(item for item in found if item.audience.key == key)


async def furnished(office: Office) -> None:
    """One audience of each kind."""
    for key in ("synced", "waiting", "ghosts", "off", "gone"):
        office.read(event(f"{key}-{n}", True, audience=key) for n in range(3))
    office.read([event("ghost-1", True, audience="ghosts")])
    await office.sync()
    office.read([event("new", True, 9, audience="waiting")])
    office.read([event("waiting-1", False, 9, audience="waiting")])
    office.read([event("u1", True, audience="fresh")])
    office.change(SettingsChange(enabled=False), "off")
    cohort = office.audience("gone").cohort_id
    assert cohort is not None
    office.simulator.world.drop_cohort(cohort)
    office.read([event("late", True, 9, audience="gone")])
    await office.sync()
    office.read([event("newer", True, 10, audience="waiting")])
    office.mapping = office.mapping.parse("$.userId", "$.traits.amplitude_id")
    office.read([event("u2", True, audience="by_number")])
    office.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), "by_number")


async def test_each_audience_is_told_in_one_word(office: Office) -> None:
    await furnished(office)
    office.read([event("last", True, audience="unlinked")])
    assert {key: of(office, key).status for key in ("synced", "waiting", "ghosts", "off")} == {
        "synced": Status.IN_SYNC,
        "waiting": Status.PENDING,
        "ghosts": Status.REJECTED,
        "off": Status.OFF,
    }
    assert of(office, "gone").status is Status.BROKEN
    assert of(office, "unlinked").status is Status.NOT_LINKED


async def test_no_state_hides_another_and_the_most_dangerous_comes_first(office: Office) -> None:
    await furnished(office)
    office.read([event("ghost-2", True, 12, audience="ghosts")])
    await office.sync()
    office.read([event("more", True, 13, audience="ghosts")])
    ghosts, gone, off = of(office, "ghosts"), of(office, "gone"), of(office, "off")
    assert [str(state) for state in ghosts.states()] == ["2 rejected", "1 pending"]
    assert ghosts.delivered == 3
    told = [str(state) for state in ghosts.states(size=1_009)]
    assert told == ["differs by 1,006", "2 rejected", "1 pending"]
    assert [str(state) for state in ghosts.states(size=3)] == ["2 rejected", "1 pending"]
    assert [str(state) for state in gone.states()] == ["broken link", "1 pending"]
    assert [str(state) for state in off.states()] == ["off"]
    assert [str(state) for state in of(office, "synced").states()] == ["in sync"]


async def test_strangers_that_a_comparison_found_are_told_until_they_are_removed(
    office: Office,
) -> None:
    office.enter("u-1", "u-2")
    await office.sync()
    world, cohort = office.simulator.world, office.audience().cohort_id
    assert cohort is not None
    world.change(cohort, Operation.ADD, {world.add_user("stranger")})
    await office.compare()
    (only,) = office.ledger.read(standings, office.connection)
    assert [str(state) for state in only.states()] == ["differs by 1"]
    assert only.status is Status.IN_SYNC


async def test_all_at_once_are_as_each_alone(office: Office) -> None:
    await furnished(office)
    together = office.ledger.read(outstanding_of_all)
    for audience in office.ledger.read(all_audiences):
        alone = office.ledger.read(outstanding, audience)
        assert together.get(audience.id, NOTHING_LEFT) == alone, audience.key
    assert together[office.audience("by_number").id].unidentified == 1


async def test_without_the_identifier_are_those_whom_no_event_gave_one(office: Office) -> None:
    office.mapping = office.mapping.parse("$.userId", "$.traits.amplitude_id")
    both = [event(f"b{n}", True, traits={"amplitude_id": f"4{n}"}) for n in range(3)]
    office.read([*both, event("u1", True), event("u2", True)])
    office.read([event(None, True, traits={"amplitude_id": "77"})])
    office.read([event("u2", False, at=5)])
    kinds = []
    for id_type in (IdType.AMPLITUDE_ID, IdType.USER_ID, IdType.AMPLITUDE_ID):
        office.change(SettingsChange(id_type=id_type))
        found = office.rejected()
        assert of(office, "shoppers").left.unidentified == len(found)
        kinds.append([item.id for item in found])
        assert of(office, "shoppers").members == 4
    assert kinds == [["u1"], ["77"], ["u1"]]


async def test_delivered_is_what_the_cohort_holds(office: Office) -> None:
    await furnished(office)
    for key in ("synced", "waiting", "ghosts"):
        assert of(office, key).delivered == len(office.cohort(key))
    waiting = of(office, "waiting")
    assert (waiting.members, waiting.left.add, waiting.left.remove) == (4, 1, 0)


async def test_one_alone_is_as_in_the_list(office: Office) -> None:
    await furnished(office)
    known = office.audience("ghosts")
    assert office.ledger.read(standing, office.connection, known.id) == of(office, "ghosts")


def test_members_may_be_left_uncounted(office: Office) -> None:
    office.enter("u1")
    found = office.ledger.read(standings, office.connection, count_members=False)
    assert [(item.members, item.delivered) for item in found] == [(None, None)]
    office.connection = msgspec.structs.replace(office.connection, prefix=True)
    assert of(office, "shoppers").cohort_name == "[Segment] shoppers"
