"""How large the next batch is, and how long to wait before it."""

import random

import pytest

from amp_console.amplitude import (
    NoConnection,
    RateLimited,
    ServerTrouble,
    TimedOut,
    TooLarge,
    Transient,
)
from amp_console.connections import Limits
from amp_console.sync.delivery.backoff import BatchSize, RetriesExhausted, RetryBudget, requests_for
from amp_console.sync.timing import Timing

LIMITS = Limits(first_batch=10_000, largest_batch=100_000, tries=5, longest_wait=100.0)


def sizes(*answers: Transient | None, pending: int = 1_000_000) -> list[int]:
    """The sizes allowed for the batches that meet these answers, and for the one after.

    There are never more than `pending` users to send.
    """
    size = BatchSize(LIMITS)
    found = [size.current]
    for answer in answers:
        sent = min(pending, size.current)
        if answer is None:
            size.grow(sent)
        else:
            size.shrink(answer, sent)
        found.append(size.current)
    return found


def test_after_the_first_clean_answer_batches_are_as_large_as_allowed() -> None:
    assert sizes(None, None) == [10_000, 100_000, 100_000]


def test_after_trouble_batches_double_up_to_the_largest() -> None:
    trouble = ServerTrouble(500)
    assert sizes(trouble, None, None) == [10_000, 5_000, 10_000, 20_000]
    assert sizes(None, trouble, None, None) == [10_000, 100_000, 50_000, 100_000, 100_000]


@pytest.mark.parametrize("trouble", [TooLarge(413), TimedOut()])
def test_what_was_too_much_is_not_tried_again_soon(trouble: Transient) -> None:
    assert sizes(None, trouble, *[None] * 7)[-1] == 50_000
    assert sizes(None, trouble, *[None] * 8)[-1] == 75_001


def test_a_time_out_of_what_passed_before_sets_no_ceiling() -> None:
    assert sizes(None, None, None, None, None, TimedOut(), None)[-1] == 100_000


def test_small_requests_that_pass_prove_nothing_about_large_ones() -> None:
    size = BatchSize(LIMITS)
    for _ in range(20):
        size.grow(3)
    size.shrink(TimedOut(), 100_000)
    assert size.current == 50_000
    for _ in range(20):
        size.grow(3)
    assert size.current == 50_000


def test_a_small_request_that_is_too_large_is_followed_by_a_smaller_one() -> None:
    assert sizes(None, TooLarge(413), TooLarge(413), pending=300) == [10_000, 100_000, 150, 75]


def test_batches_never_shrink_below_one() -> None:
    assert sizes(*[TooLarge(413)] * 20)[-1] == 1


@pytest.mark.parametrize(
    ("count", "requests"), [(0, 0), (1, 1), (10_000, 1), (10_001, 2), (30_000, 2), (250_000, 4)]
)
def test_a_plan_counts_the_requests_of_a_calm_run(count: int, requests: int) -> None:
    assert requests_for([count], LIMITS) == requests


class TestRetryBudget:
    def _budget(self) -> RetryBudget:
        return RetryBudget(LIMITS, Timing(rng=random.Random(1)))

    def test_waits_as_told(self) -> None:
        assert self._budget().wait_after(RateLimited(429, retry_after=17.0)) == 17.0

    def test_doubles_its_waits_otherwise_and_spreads_them(self) -> None:
        budget = self._budget()
        waits = [budget.wait_after(NoConnection()) for _ in range(4)]
        assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(waits))

    def test_ends_after_so_many_failures_in_a_row(self) -> None:
        budget = self._budget()
        for _ in range(4):
            budget.wait_after(ServerTrouble(500))
        with pytest.raises(RetriesExhausted, match="5 failures in a row"):
            budget.wait_after(ServerTrouble(500))

    def test_starts_over_after_a_clean_answer(self) -> None:
        budget = self._budget()
        for _ in range(20):
            budget.wait_after(ServerTrouble(500))
            budget.renew()

    def test_ends_when_it_waited_long_enough_in_all(self) -> None:
        budget = self._budget()
        for _ in range(5):
            budget.wait_after(RateLimited(429, retry_after=20.0))
            budget.renew()
        with pytest.raises(RetriesExhausted):
            budget.wait_after(RateLimited(429, retry_after=20.0))
