"""What has happened before the operator opens the console."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from amp_console.demo import SimulatedSession
from amp_console.demo.dataset import (
    ABANDONERS,
    AUDIENCES,
    CHURN,
    LAPSED,
    NEWSLETTER,
    SHOPPERS,
    SPACE,
    TRIAL,
    AudienceDefinition,
    user_ids,
)
from amp_console.ledger.audience_queries import RefreshOutcome, query_of
from amp_console.ledger.audiences import Link
from amp_console.ledger.counts import InCohort, Outstanding
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.membership_changes import recent_movement
from amp_console.ledger.rejected import rejection_groups
from amp_console.ledger.requests import requests_page
from amp_console.ledger.runs import RunStatus, all_runs
from amp_console.ledger.segment_audiences import space_reading
from amp_console.ledger.sources import invalid_events
from amp_console.simulator.people import Match
from amp_console.sync.queries.person import explain_person
from amp_console.sync.queries.segment import compare_space
from amp_console.sync.queries.status import Status, audience_summaries
from amp_console.sync.segment_space import profiles_client, public_client
from amp_console.sync.sources.warehouse import open_engine
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh
from amp_console.values import IdType
from tests.demo.demo_workspace import (
    DAY,
    MINUTE,
    NOW,
    DemoWorkspace,
    content,
    files_read,
    still_timing,
    tables,
)


def left(*, add: int = 0, remove: int = 0, rejected: int = 0, unidentified: int = 0) -> Outstanding:
    return Outstanding(add, remove, rejected, unidentified)


@pytest.mark.parametrize(
    ("definition", "status", "members", "delivered", "outstanding"),
    [
        (SHOPPERS, Status.PENDING, 8_490, 8_208, left(add=312, remove=40, rejected=10)),
        (ABANDONERS, Status.NOT_COMPARED, 11_774, 11_774, left()),
        (CHURN, Status.NO_IDENTIFIER, 1_506, 1_503, left(unidentified=3)),
        (NEWSLETTER, Status.NO_COHORT, 12_120, 0, left(add=12_120)),
        (TRIAL, Status.BROKEN, 1_222, 1_204, left(add=18)),
        (LAPSED, Status.NOT_COMPARED, 5_310, 5_310, left()),
    ],
    ids=lambda value: value.key if isinstance(value, AudienceDefinition) else "",
)
def test_the_audiences_stand_as_they_should(
    demo: DemoWorkspace,
    definition: AudienceDefinition,
    status: Status,
    members: int,
    delivered: int,
    outstanding: Outstanding,
) -> None:
    found = demo.audience_summary(definition)
    assert found.audience.name == definition.name
    assert (found.status, found.members, found.held) == (status, members, InCohort(delivered, 0))
    assert found.left == outstanding


def test_there_are_six_audiences(demo: DemoWorkspace) -> None:
    found = demo.ledger.read(audience_summaries, demo.session.connection)
    assert {item.audience.key for item in found} == {definition.key for definition in AUDIENCES}


def test_the_cohorts_hold_what_the_books_say_but_for_the_one_that_drifted(
    demo: DemoWorkspace,
) -> None:
    for definition in (SHOPPERS, ABANDONERS, CHURN):
        assert demo.audience_summary(definition).held == InCohort(demo.size(definition), 0)
    assert demo.size(LAPSED) == 5_310 - 212 + 37


def test_an_audience_uses_the_amplitude_id_and_a_cohort_that_was_there_before(
    demo: DemoWorkspace,
) -> None:
    churn = demo.audience_summary(CHURN).audience
    assert (churn.id_type, churn.link) == (IdType.AMPLITUDE_ID, Link.EXISTING)
    assert churn.owner_email == "noor@acme.example"
    assert churn.linked_name == "Churn risk – CS team" != churn.name
    cohort = demo.simulator.world.cohort(churn.cohort_id or "")
    assert cohort is not None
    assert (cohort.name, cohort.owners) == (churn.linked_name, (churn.owner_email,))


def test_one_link_is_broken_and_says_why(demo: DemoWorkspace) -> None:
    trial = demo.audience_summary(TRIAL).audience
    assert trial.broken is not None
    assert "Amplitude has no cohort" in trial.broken
    assert demo.simulator.world.cohort(trial.cohort_id or "") is None


def test_people_are_rejected_for_three_reasons(demo: DemoWorkspace) -> None:
    groups = demo.ledger.read(rejection_groups)
    assert {(group.audience, group.code, group.count) for group in groups} == {
        (SHOPPERS.key, Reason.UNKNOWN, 8),
        (SHOPPERS.key, Reason.REFUSED, 2),
        (CHURN.key, Reason.NO_IDENTIFIER, 3),
    }


def test_invalid_events_stand_in_a_file_that_can_be_looked_into(demo: DemoWorkspace) -> None:
    found = demo.ledger.read(invalid_events)
    assert [item.line for item in found] == [1, 2, 3, 5]
    for item in found:
        assert len(Path(item.source).read_text(encoding="utf-8").splitlines()) == 5


def test_the_runs_lie_in_the_past_and_ended_in_different_ways(demo: DemoWorkspace) -> None:
    runs = demo.ledger.read(all_runs)
    assert Counter(run.status for run in runs) == {
        RunStatus.DELIVERED: 5,
        RunStatus.PARTIAL: 1,
        RunStatus.STOPPED: 2,
    }
    assert sum(run.retries for run in runs) == 8
    begun = [run.started_at for run in runs]
    assert begun == sorted(begun, reverse=True)
    assert NOW - 7 * DAY < begun[-1] < NOW - 6 * DAY
    assert NOW - 5 * MINUTE < begun[0] < NOW - 3 * MINUTE
    for run in runs:
        assert run.ended_at is not None
        assert run.started_at < run.ended_at < run.started_at + 5 * MINUTE < NOW + 5 * MINUTE


def test_nothing_lies_in_the_future(demo: DemoWorkspace) -> None:
    runs = demo.ledger.read(all_runs)
    assert all((run.ended_at or 0) <= NOW for run in runs)
    for run in runs:
        for request in demo.ledger.read(requests_page, run.id, 0, 100):
            assert request.sent_at <= (request.settled_at or 0) <= NOW
    assert all(read_at <= NOW for read_at, _ in files_read(demo.session))
    assert all(cohort.created_at * 1_000_000 <= NOW for cohort in demo.simulator.world.cohorts())


def test_every_event_that_was_read_belongs_to_one_run_or_is_new(demo: DemoWorkspace) -> None:
    told = sum(run.tally.read for run in demo.ledger.read(all_runs))
    new = 312 + 40
    assert told + new == sum(read for _, read in files_read(demo.session))


def test_the_newsletter_is_a_query_that_has_changed_since_it_was_read(
    demo: DemoWorkspace,
) -> None:
    known = demo.audience_summary(NEWSLETTER).audience
    query = demo.ledger.read(query_of, known.id)
    assert query is not None
    assert query.last is not None
    assert (query.last.rows, query.last.outcome) == (12_120, RefreshOutcome.APPLIED)
    url = demo.session.connection.sources[0].url
    refresh = AudienceRefresh(
        demo.ledger, known, query, lambda: open_engine(url, None), is_dry=True
    )
    report = refresh.run()
    assert (report.entering, report.leaving, report.notes) == (26, 9, ())


def test_people_have_come_and_gone_within_the_hour(demo: DemoWorkspace) -> None:
    shoppers = demo.audience_summary(SHOPPERS).audience
    moves = demo.ledger.read(recent_movement, shoppers, NOW, 31)
    assert (sum(moves.entered), sum(moves.left)) == (312, 40)
    assert sum(1 for entered in moves.entered if entered) > 8


def test_there_are_cohorts_of_others_to_choose_from(demo: DemoWorkspace) -> None:
    ours = {demo.audience_summary(definition).audience.cohort_id for definition in AUDIENCES}
    others = [cohort for cohort in demo.simulator.world.cohorts() if cohort.id not in ours]
    assert Counter(other.type for other in others) == {"redshift": 3, "manual_upload": 4}
    assert len({owner for other in others for owner in other.owners}) == 5
    assert all(demo.simulator.world.size(other.id) > 0 for other in others)


def test_one_person_may_be_in_several_audiences(demo: DemoWorkspace) -> None:
    (who,) = user_ids(1, SHOPPERS, 7, 1)
    answers = demo.ledger.read(explain_person, who)
    assert {answer.record.audience.key for answer in answers} == {SHOPPERS.key, NEWSLETTER.key}


def test_segment_was_asked_and_has_something_to_see(demo: DemoWorkspace) -> None:
    reading = demo.ledger.read(space_reading, SPACE)
    assert reading.read_at is not None
    assert NOW - 12 * MINUTE < reading.read_at < NOW
    summaries = demo.ledger.read(audience_summaries, demo.session.connection)
    compared = compare_space(reading, summaries, {})
    assert {row.summary.audience.key: row.odd for row in compared.audiences if row.odd} == {
        CHURN.key: ("23 more in Segment",),
        TRIAL.key: ("Error in Segment",),
    }
    assert [item.key for item in compared.only_in_segment] == [
        "renewal_next_month",
        "win_back_candidates",
    ]


def test_the_demos_console_has_the_tokens_and_segment_knows_the_people(
    demo: DemoWorkspace,
) -> None:
    tokens, space = demo.session.environment.segment_tokens, demo.session.connection.segment
    assert tokens is not None
    assert space is not None
    (who,) = user_ids(1, SHOPPERS, 0, 1)

    async def ask() -> list[object]:
        async with public_client(space, tokens.public) as public:
            listed = len(await public.audiences(space.id))
        async with profiles_client(space, tokens.profiles) as profiles:
            return [listed, *[await profiles.audiences_of(item) for item in (who, "no-one")]]

    listed, known, unknown = asyncio.run(ask())
    answers = demo.ledger.read(explain_person, who)
    assert listed == 8
    assert known == {answer.record.audience.key: answer.record.is_member for answer in answers}
    assert known
    assert unknown is None


def test_the_same_seed_is_the_same_ledger(demo: DemoWorkspace) -> None:
    with SimulatedSession(has_traffic=False, timing=still_timing()) as again:
        again.open()
        again.wait()
        for table in tables(again):
            assert content(again, table) == content(demo.session, table), table


def test_another_seed_is_other_people() -> None:
    assert not set(user_ids(1, SHOPPERS, 0, 1_000)) & set(user_ids(2, SHOPPERS, 0, 1_000))


def test_no_person_is_in_two_audiences_by_accident() -> None:
    played = [
        who for definition in AUDIENCES for who in user_ids(1, definition, 0, definition.people)
    ]
    assert len(set(played)) == len(played)


def test_amplitude_knows_the_people_of_the_demo_and_no_one_who_is_only_spelled_like_them(
    demo: DemoWorkspace,
) -> None:
    world = demo.simulator.world
    (newcomer,) = user_ids(1, SHOPPERS, 500_000, 1)
    assert world.search(newcomer)[0] is Match.ID
    for text in ("usr_000c6ea000000001", "usr_000c6ea0", "usr_", "usr_zzzz", newcomer.upper()):
        assert world.search(text)[0] in {Match.NO_ONE, Match.PREFIX}, text
    assert user_ids(2, SHOPPERS, 0, 1)[0] != user_ids(1, SHOPPERS, 0, 1)[0]


def test_a_user_that_was_rejected_becomes_known_within_a_minute(
    demo: DemoWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = demo.simulator.world
    assert world.search("ghost-02a7")[0] is Match.NO_ONE
    monkeypatch.setattr(world, "clock", lambda: NOW / 1_000_000 + 60)
    assert world.search("ghost-02a7")[0] is Match.ID
    assert world.search("ghost-02b8")[0] is Match.NO_ONE
