"""Matching audiences in Segment with the ledger's, and when two sizes differ."""

import pytest

from amp_console.ledger.audiences import all_audiences, discover
from amp_console.ledger.membership_changes import MovedSince
from amp_console.ledger.segment_audiences import SpaceReading
from amp_console.sync.queries.segment import (
    Presence,
    compare_space,
    find_in_space,
    size_difference,
)
from amp_console.sync.queries.status import audience_summaries
from amp_console.values import AudienceRef, SegmentAudience
from tests.sync.workspace import Workspace


def listed(id_: str, key: str, **more: object) -> SegmentAudience:
    known = SegmentAudience(id_, key, key.title(), True, "Live", None, "USERS", None)
    return known._replace(**more)  # type: ignore[arg-type]


def reading(*audiences: SegmentAudience) -> SpaceReading:
    return SpaceReading("spa_1", audiences, 1, 1)


def found(workspace: Workspace, space: SpaceReading, *refs: tuple[str, str, str]) -> dict[str, str]:
    """The ID in Segment by the audience's space, computation ID and key."""
    for ref in refs:
        workspace.ledger.write(discover, AudienceRef(*ref))
    audiences = workspace.ledger.read(all_audiences)
    by_id = {audience.id: "/".join(audience.ref) for audience in audiences}
    return {by_id[id_]: item.id for id_, item in find_in_space(space, audiences).items()}


def test_the_computation_id_decides_whatever_the_key(workspace: Workspace) -> None:
    space = reading(listed("aud_1", "renamed"), listed("aud_2", "shoppers"))
    assert found(workspace, space, ("spa_1", "aud_1", "shoppers")) == {
        "spa_1/aud_1/shoppers": "aud_1"
    }


def test_an_audience_known_by_its_key_alone_is_found_by_it(workspace: Workspace) -> None:
    space = reading(listed("aud_1", "shoppers"))
    assert found(workspace, space, ("", "", "shoppers")) == {"//shoppers": "aud_1"}


def test_an_audience_that_was_made_again_is_found_by_its_key_and_marked(
    workspace: Workspace,
) -> None:
    space = reading(listed("aud_new", "shoppers"))
    assert found(workspace, space, ("spa_1", "aud_old", "shoppers")) == {
        "spa_1/aud_old/shoppers": "aud_new"
    }
    summaries = workspace.ledger.read(audience_summaries, workspace.connection)
    (row,) = compare_space(space, summaries, {}).audiences
    assert row.odd == ("another ID in Segment (aud_new)",)


def test_where_two_have_the_same_key_none_is_guessed(workspace: Workspace) -> None:
    space = reading(listed("aud_1", "shoppers"), listed("aud_2", "shoppers"))
    assert found(workspace, space, ("spa_1", "aud_0", "shoppers")) == {}
    alike = ("spa_1", "aud_8", "lapsed"), ("spa_1", "aud_9", "lapsed")
    assert found(workspace, reading(listed("aud_7", "lapsed")), *alike) == {}


def test_an_audience_of_another_space_is_none_of_this_one(workspace: Workspace) -> None:
    space = reading(listed("aud_1", "shoppers"))
    assert found(workspace, space, ("spa_2", "aud_1", "shoppers")) == {}
    summaries = workspace.ledger.read(audience_summaries, workspace.connection)
    compared = compare_space(space, summaries, {})
    assert compared.audiences[0].presence is Presence.OTHER_SPACE
    assert compared.only_in_segment == space.audiences


def test_before_the_first_reading_everything_is_unknown(workspace: Workspace) -> None:
    workspace.ledger.write(discover, AudienceRef("spa_1", "aud_1", "shoppers"))
    workspace.ledger.write(discover, AudienceRef("", "", "vip"))
    summaries = workspace.ledger.read(audience_summaries, workspace.connection)
    rows = compare_space(SpaceReading("spa_1"), summaries, {}).audiences
    assert [(row.presence, row.odd) for row in rows] == [(Presence.UNKNOWN, ())] * 2


def test_an_audience_that_failed_in_segment_is_marked(workspace: Workspace) -> None:
    workspace.ledger.write(discover, AudienceRef("spa_1", "aud_1", "shoppers"))
    summaries = workspace.ledger.read(audience_summaries, workspace.connection)
    space = reading(listed("aud_1", "shoppers", status="Error", size=0))
    (row,) = compare_space(space, summaries, {}).audiences
    assert row.odd == ("Error in Segment",)


@pytest.mark.parametrize(
    ("more", "difference"),
    [
        ({"size": 7}, 2),
        ({"size": 5}, 0),
        ({"size": 0}, -5),
        ({"size": None}, 0),
        ({"size": 7, "unit": ""}, 2),
        ({"size": 7, "unit": "PROFILES"}, 2),
        ({"size": 7, "unit": "ACCOUNTS"}, 0),
        ({"size": 7, "status": "Computing"}, 0),
        ({"size": 7, "status": None}, 2),
    ],
)
def test_only_sizes_of_people_that_segment_has_settled_are_compared(
    more: dict[str, object], difference: int
) -> None:
    assert size_difference(listed("aud_1", "shoppers", **more), 5) == difference
    assert size_difference(listed("aud_1", "shoppers", **more), None) == 0


@pytest.mark.parametrize(
    ("size", "since", "difference", "moved", "words"),
    [
        (1, MovedSince(), -2, 0, "2 fewer in Segment"),
        (
            1,
            MovedSince(1),
            -1,
            1,
            "1 fewer in Segment when asked, and the ledger has 1 more member since",
        ),
        (
            1,
            MovedSince(1, 4),
            -5,
            -3,
            "5 fewer in Segment when asked, and the ledger has 3 fewer members since",
        ),
        (
            9,
            MovedSince(4, 2),
            8,
            2,
            "8 more in Segment when asked, and the ledger has 2 more members since",
        ),
        (4, MovedSince(0, 1), 0, -1, ""),
        (2, MovedSince(4, 4, 1, 1), 0, 1, ""),
        (
            1,
            MovedSince(4, 4, 1, 1),
            -1,
            1,
            "1 fewer in Segment when asked, and the ledger has 1 more member since",
        ),
    ],
)
def test_who_moved_since_segment_counted_is_no_difference_and_the_rest_adds_up(
    workspace: Workspace,
    size: int,
    since: MovedSince,
    difference: int,
    moved: int,
    words: str,
) -> None:
    workspace.enter("u1", "u2", "u3")
    known = workspace.audience()
    space = reading(listed(known.computation_id, known.key, size=size))
    summaries = workspace.ledger.read(audience_summaries, workspace.connection)
    (row,) = compare_space(space, summaries, {}, {known.id: since}).audiences
    assert row.difference == difference
    assert row.moved == moved
    assert row.differs_in_segment is bool(difference)
    assert row.odd == ((words,) if words else ())
