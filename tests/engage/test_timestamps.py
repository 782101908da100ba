from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.engage.timestamps import all_microseconds, microseconds
from tests.engage.events import AT, event, lines, read

SECOND = 1_000_000
WHOLE = AT - 66_000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-05-03T19:42:50.066Z", AT),
        ("2026-05-03T19:42:50Z", WHOLE),
        ("2026-05-03T19:42:50.0Z", WHOLE),
        ("2026-05-03T19:42:50.066179717Z", AT + 179),
        ("2026-05-03T19:42:50.066179999999999999999Z", AT + 179),
        ("2026-05-03T21:42:50.066+02:00", AT),
        ("2026-05-03T14:12:50.066-05:30", AT),
        ("2026-05-03T19:42:50.066-00:00", AT),
        ("2026-05-03t19:42:50.066z", AT),
        ("2026-05-03 19:42:50.066Z", AT),
        ("1970-01-01T00:00:00.000Z", 0),
        ("1969-12-31T23:59:59.999Z", -1000),
        ("0001-01-01T00:00:00+14:00", -62_135_596_800 * SECOND - 14 * 3600 * SECOND),
    ],
)
def test_an_instant(text: str, instant: int) -> None:
    assert microseconds(text) == instant
    assert microseconds(text) == instant  # now from what was looked up before


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-05-03", "2026-05-03T19:42:50", "2026-05-03T19:42:50.066", "1777837370",
        "2026-02-30T19:42:50.066Z", "2026-05-03T25:42:50.066Z", "2026-05-03T19:61:50.066Z",
        "2026-05-03T19:42:61.066Z", "２026-05-03T19:42:50.066Z", "2026-05-03T19:42:50.06٣Z",
        "2026-05-03T19:42:50.066Z ", "2026-05-03T19:42:50+24:00", None, 1777837370, 1.5, True,
        {}, [], ["2026-05-03T19:42:50.066Z"],
    ],
)  # fmt: skip
def test_no_instant(text: object) -> None:
    assert microseconds(text) is None


def test_halves_that_were_looked_up_in_different_times_fit_together() -> None:
    assert microseconds("2031-01-01T00:00:41.007Z") is not None
    assert microseconds("2031-01-01T00:01:42.008Z") is not None
    minute = microseconds("2031-01-01T00:01:00Z")
    assert minute is not None
    assert microseconds("2031-01-01T00:01:41.007Z") == minute + 41_007_000


@given(
    st.datetimes(min_value=datetime(1000, 1, 3), max_value=datetime(9999, 12, 28)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_every_time_and_offset_means_what_datetime_says(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert microseconds(moment.isoformat()) == expected


@given(st.datetimes(min_value=datetime(1000, 1, 1)))  # noqa: DTZ001
def test_segments_own_shape_is_read_to_the_millisecond(naive: datetime) -> None:
    text = f"{naive.isoformat(timespec='milliseconds')}Z"
    expected = naive.replace(microsecond=naive.microsecond // 1000 * 1000, tzinfo=UTC)
    since = expected - datetime(1970, 1, 1, tzinfo=UTC)
    assert microseconds(text) == since // timedelta(microseconds=1)


_SHAPES = r"2026-0[2-5]-[03][0-3][Tt ]?[12]\d:[56]\d:[56]\d[.,]?\d{0,4}[Zz]?"
_WITHOUT_SIGNS = r"20260503T1942[56]\d\.\d{0,7}Z"
_NO_TIMES: list[object] = [
    None,
    7,
    "",
    [],
    {},
    ["2026-05-03T19:42:50.066Z"],
    "2026-05-03T19:42:50.06٣Z",
]
_TEXTS: st.SearchStrategy[object] = st.one_of(
    st.datetimes(datetime(2026, 5, 3), datetime(2026, 5, 4)).map(  # noqa: DTZ001
        lambda naive: f"{naive.isoformat(timespec='milliseconds')}Z"
    ),
    st.from_regex(_SHAPES, fullmatch=True),
    st.from_regex(_WITHOUT_SIGNS, fullmatch=True),
    st.sampled_from(_NO_TIMES),
)


@given(st.lists(_TEXTS, max_size=5))
def test_times_are_read_together_as_each_by_itself(texts: list[object]) -> None:
    assert all_microseconds(texts) == [microseconds(text) for text in texts]


def test_more_times_than_are_kept_are_read_as_well() -> None:
    times = [datetime(2026, 5, 3, tzinfo=UTC) + n * timedelta(seconds=7) for n in range(10_000)]
    texts = [f"{time.isoformat()[:19]}.007Z" for time in times]
    assert all_microseconds(texts) == [round(time.timestamp()) * SECOND + 7_000 for time in times]


@pytest.mark.parametrize(
    "times",
    [
        {"timestamp": "2026-05-03T19:42:50.066Z", "receivedAt": "2030-01-01T00:00:00Z"},
        {"timestamp": None, "originalTimestamp": "2026-05-03T19:42:50.066Z"},
        {"timestamp": "soon", "originalTimestamp": 7, "receivedAt": "2026-05-03T19:42:50.066Z"},
        {"timestamp": 1777837370, "originalTimestamp": "2026-05-03T19:42:50.066000717Z"},
    ],
)
def test_the_first_readable_time_counts(times: dict[str, object]) -> None:
    [change] = read(lines(event(**times))).changes
    assert change.at == AT


def test_a_change_without_any_time_is_invalid() -> None:
    batch = read(lines(event(timestamp="soon", receivedAt=None)))
    assert batch.refusals == [(1, "no readable timestamp")]
