"""The time of a download: local unless it has an offset, and never in the future."""

from datetime import UTC, datetime

import pytest

from amp_console.engage.timestamps import read_download_time

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-05-03T11:59:59", "2026-05-02", "2026-05-03 08:00"])
def test_without_an_offset_it_is_local_time(text: str) -> None:
    local = datetime.fromisoformat(text).astimezone()
    assert read_download_time(text, local) == local
    assert read_download_time(text, local).tzinfo is not None


@pytest.mark.parametrize(
    ("text", "hour"), [("2026-05-03T10:00:00Z", 10), ("2026-05-03T12:30:00+02:00", 10)]
)
def test_an_offset_counts(text: str, hour: int) -> None:
    assert read_download_time(text, NOW).astimezone(UTC).hour == hour


@pytest.mark.parametrize(
    "text", ["2026-05-03T12:00:01Z", "2026-05-03T12:00:00-01:00", "9999-01-01"]
)
def test_a_time_in_the_future_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is in the future|is not a time"):
        read_download_time(text, NOW)
    assert read_download_time("2026-05-03T12:00:00Z", NOW) == NOW


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        read_download_time(text, NOW)
