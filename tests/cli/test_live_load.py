"""The live benchmark, a few seconds long: whatever its figures, every cohort is exact."""

import pytest

from tests.benchmarks.live import measure


@pytest.mark.parametrize("by", ["watch", "listen"])
def test_a_steady_stream_into_20_audiences_is_exact(by: str) -> None:
    found = measure(by, seconds=1, rate=1_000, audiences=20, flush=0.2, latency=0.05)
    assert found.last["read"] == 1_000
    assert (found.last["queue"], found.last["invalid"]) == (0, 0)
