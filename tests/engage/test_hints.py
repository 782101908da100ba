import pytest

from amp_console.values import AudienceHints, AudienceRef, IdType
from tests.engage.events import PERSONAS, event, lines, read

REF = AudienceRef("spa_1", "aud_1", "shoppers")


def told(**personas: object) -> bytes:
    return lines(event(context={"personas": {**PERSONAS, **personas}}))


@pytest.mark.parametrize(
    ("personas", "hints"),
    [
        ({"external_audience_id": "26umsb5"}, AudienceHints(cohort_id="26umsb5")),
        (
            {"audience_settings": {"id_type": "BY_USER_ID"}},
            AudienceHints(id_type=IdType.USER_ID),
        ),
        (
            {"audience_settings": {"id_type": "BY_AMP_ID", "owner_email": "ana@acme.example"}},
            AudienceHints(id_type=IdType.AMPLITUDE_ID, owner_email="ana@acme.example"),
        ),
        ({"audience_settings": {"cohort_name": "Best"}}, AudienceHints(cohort_name="Best")),
        ({"audience_settings": {"audience_name": "Best"}}, AudienceHints(cohort_name="Best")),
    ],
)
def test_hints_of_segments_destination_are_read(
    personas: dict[str, object], hints: AudienceHints
) -> None:
    assert read(told(**personas)).hints == [(REF, hints)]


@pytest.mark.parametrize(
    "personas",
    [
        {},
        {"external_audience_id": ""},
        {"external_audience_id": 7},
        {"audience_settings": None},
        {"audience_settings": "BY_USER_ID"},
        {"audience_settings": {}},
        {"audience_settings": {"id_type": ["BY_USER_ID"], "owner_email": 5, "cohort_name": " "}},
        {"audience_settings": {"id_type": "BY_EMAIL"}},
    ],
)
def test_odd_shapes_are_no_hints_and_no_trouble(personas: dict[str, object]) -> None:
    batch = read(told(**personas))
    assert (len(batch.changes), batch.hints) == (1, [])


def test_each_hint_is_reported_once_in_the_order_of_the_lines() -> None:
    first, second = told(external_audience_id="first"), told(external_audience_id="second")
    for content in (first + told() + second, first + second + first + second):
        for block_bytes in (100, 1 << 20):
            found = read(content, block_bytes=block_bytes).hints
            assert found == [(REF, AudienceHints("first")), (REF, AudienceHints("second"))]
