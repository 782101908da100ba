import pytest
from msgspec import structs

from amp_console.console.glyphs import ASCII
from amp_console.console.run_words import (
    Except,
    advice,
    compared,
    did,
    ended,
    request_answer,
    shortened,
    so_far,
    verdict,
    waiting,
)
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.requests import RequestRecord, RequestState
from amp_console.ledger.runs import AudienceCounts, ComparisonTotals, RunKind
from amp_console.ledger.sources import ReadCounts
from amp_console.values import IdType, Operation


def test_waits_are_counted_down_with_the_try_that_comes() -> None:
    state = "rate limited, trying again (try 2)"

    assert waiting(state, 11.2, 2) == "rate limited, trying again in 12 s (2nd try)"
    assert waiting(state, 0.0, 2) == "rate limited, trying again now (2nd try)"
    assert waiting("checking whether the cohort was created", 5.0, 1) == (
        "checking whether the cohort was created in 5 s"
    )


def test_a_request_that_is_not_sent_yet_is_the_next_one_until_its_run_has_ended() -> None:
    under_way = RequestRecord(
        *(1, 1, 1, "shoppers", RequestKind.MEMBERSHIP, IdType.USER_ID, Operation.ADD, 5, 0, None),
        *(RequestState.OPEN, None, "", 0),
    )
    waiting_for_it = structs.replace(under_way, is_sent=False)
    left = structs.replace(waiting_for_it, is_abandoned=True)
    withdrawn = structs.replace(waiting_for_it, state=RequestState.VOID)

    requests = (under_way, waiting_for_it, left, withdrawn)
    answers = [request_answer(request, ASCII).text for request in requests]
    assert answers == ["> sent", "- next", "- unsent", "- unsent"]


def test_what_a_run_did_is_one_sentence() -> None:
    counts = AudienceCounts(added=22_745, removed=40, requests=14, retries=1)

    assert did(counts, 42.0) == "22,745 added, 40 removed in 14 requests (1 retry), 42 s."
    assert did(AudienceCounts(added=1, requests=1), 2.0) == "1 added in 1 request, 2.0 s."
    assert did(AudienceCounts(requests=2), 2.0) == (
        "Amplitude confirmed none of the changes in 2 requests, 2.0 s."
    )
    assert did(AudienceCounts(), 0.2) == "No request was sent. It took 0.2 s."


def test_a_repair_says_what_its_outcome_does_not() -> None:
    repair, none = RunKind.REPAIR, AudienceCounts()

    assert ended(repair, "delivered", none, Except(), "shoppers") == "No known difference is left."
    assert (
        ended(repair, "partial", none, Except(), "shoppers")
        == "The cohort still differs from its audience."
    )


def test_a_verdict_names_who_is_left() -> None:
    none = AudienceCounts()

    assert (
        verdict("delivered", none, Except(0), "shoppers")
        == "All changes to shoppers were delivered."
    )
    assert verdict("delivered", none, Except(3), "shoppers") == (
        "Everything planned is delivered. 3 changes have become pending since."
    )
    assert verdict("partial", AudienceCounts(rejected=1), Except(0), "shoppers") == (
        "Delivered, except 1 rejected user."
    )
    assert verdict("partial", AudienceCounts(rejected=2), Except(1), "shoppers") == (
        "Delivered, except 2 rejected users. 1 change has become pending since."
    )
    assert verdict("delivered", none, Except(3, 0, 1), "shoppers") == (
        "Everything that could be sent is delivered. Not sent: 1 user with a missing ID. "
        "Errors lists who is left now. 3 changes have become pending since."
    )
    assert verdict("partial", none, Except(0, 12, 0), "shoppers") == (
        "Delivered, except 12 users that earlier runs rejected. Errors lists who is left now."
    )
    assert verdict("partial", none, Except(0, 1, 3, 2), "shoppers") == (
        "Delivered, except 1 user that earlier runs rejected, 3 users with missing IDs "
        "and 2 invalid events. Errors lists who is left now."
    )
    assert verdict("delivered", none, Except(0, 12, 3), "shoppers") == (
        "Everything that could be sent is delivered. Not sent: 12 users that earlier runs rejected "
        "and 3 users with missing IDs. Errors lists who is left now."
    )
    assert verdict("partial", none, Except(0), "shoppers") == (
        "Delivered, except users that earlier runs rejected or that have missing IDs."
    )
    assert (
        verdict("partial", none, Except(0, 0, 0, 2), "shoppers")
        == "Delivered, except 2 invalid events."
    )
    waiting = ("Newsletter (no cohort)", "Trial day 7 (broken link)")
    assert verdict("stopped", none, Except(12_138, 0, 0, 0, waiting), "shoppers") == (
        "12,138 changes wait: Newsletter (no cohort), Trial day 7 (broken link). "
        "Everything else is delivered."
    )
    assert verdict(
        "stopped", AudienceCounts(rejected=1), Except(1, 0, 0, 1, waiting[:1]), "shoppers"
    ) == (
        "1 change waits: Newsletter (no cohort). "
        "Everything else is delivered, except 1 rejected user and 1 invalid event."
    )
    assert (
        verdict("stopped", none, Except(1_000), "shoppers")
        == "Ended with 1,000 changes still pending."
    )
    assert verdict("stopped", none, Except(), "shoppers") == "Ended with changes still pending."
    said = verdict("stopped", none, Except(0), "shoppers")
    assert said == "No changes are pending. The audience's row says what is left to do."


def test_advice_says_what_to_look_at_next() -> None:
    told = list(advice("stopped", AudienceCounts(rejected=12), ReadCounts(read=3, invalid=3)))

    assert told == [
        "12 users were rejected: press x to see who and why.",
        "3 invalid events were read since the sync before this one: press 2 for Errors, then v.",
        "The next sync delivers what is pending.",
    ]
    assert list(advice("delivered", AudienceCounts(added=1), ReadCounts())) == []


@pytest.mark.parametrize(
    ("rejected", "still", "said"),
    [
        (10, 10, "10 users were rejected: press x to see who and why."),
        (
            *(10, 8),
            "10 users were rejected; 2 have since been retried or changed: press x for the others.",
        ),
        (10, 0, "10 users were rejected, and all of them have since been retried or changed."),
        (1, 0, "1 user was rejected, and has since been retried or changed."),
    ],
)
def test_advice_on_rejected_users_knows_who_was_seen_to_since(
    rejected: int, still: int, said: str
) -> None:
    counts = AudienceCounts(rejected=rejected)
    assert list(advice("partial", counts, ReadCounts(), still=still)) == [said]


def test_advice_for_who_is_stuck_is_their_own_note() -> None:
    nothing = AudienceCounts(), ReadCounts()
    gone = ("trial", "Link another cohort.")

    assert list(advice("stopped", *nothing, [gone], goes_on=False)) == [
        "trial: Link another cohort."
    ]
    assert list(advice("stopped", *nothing, [gone, ("x", "?")])) == [
        "trial: Link another cohort.",
        "1 more audience needs attention: their rows say why.",
        "The next sync delivers the other pending changes.",
    ]
    assert list(advice("stopped", *nothing, goes_on=False)) == []


def test_a_narrow_column_never_cuts_off_how_long_it_waits() -> None:
    limited = "rate limited, trying again in 12 s (2nd try)"
    trouble = "Amplitude has trouble of its own, trying again in 12 s (2nd try)"

    assert shortened(limited, 44, "…") == limited
    assert shortened(limited, 33, "…") == "rate limited, again in 12 s (2nd)"
    assert shortened(trouble, 33, "…") == "Amplitude has tro…, again in 12 s"
    assert shortened(limited, 27, "…") == "rate limited, again in 12 s"
    assert shortened(limited, 14, "…") == "again in 12 s"
    assert shortened("waiting", 8, "…") == "waiting"  # the grid cuts it


def test_how_far_a_run_is_names_speed_and_time_only_where_they_are_known() -> None:
    counts = AudienceCounts(added=7, removed=3)
    assert so_far(counts, 100, 100, 0.0, None) == "10 of 100 changes delivered."
    counts = AudienceCounts(added=4_000, rejected=2)
    assert so_far(counts, 12_032, 12_032, 4_016.0, 42.4) == (
        "4,000 of 12,032 changes delivered, 2 rejected, 4,016/s, about 40 s left."
    )


@pytest.mark.parametrize(("planned", "since"), [(490, "69 more since"), (600, "41 fewer since")])
def test_how_far_a_run_is_says_why_it_is_not_for_as_many_users_as_planned(
    planned: int, since: str
) -> None:
    assert (
        so_far(AudienceCounts(added=203), 559, planned, 0.0, None)
        == f"203 of 559 changes delivered ({planned} in the plan, {since})."
    )


def test_what_the_comparisons_of_a_run_found_is_one_sentence() -> None:
    assert compared(RunKind.COMPARE, ComparisonTotals(4, 249, 3, 1)) == (
        "4 cohorts compared: 249 users differ, 3 pending, 1 rejected. Press d to see who."
    )
    assert compared(RunKind.REPAIR, ComparisonTotals(1)) == (
        "1 cohort compared again after the repair: no user differs."
    )
    assert compared(RunKind.REPAIR, ComparisonTotals()) == ""
