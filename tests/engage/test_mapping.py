import pytest

from amp_console.engage import FieldMapping, MappingError, ReadOptions
from amp_console.engage.mapping import FieldPath
from tests.engage.events import PERSONAS, event, lines, read


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("$.userId", ("userId",)),
        ("$.traits.amplitude_id", ("traits", "amplitude_id")),
        ("$.context.externalIds[0].id", ("context", "externalIds", 0, "id")),
        ("$.traits['odd.key']", ("traits", "odd.key")),
        ('$.traits["odd key"].x', ("traits", "odd key", "x")),
        ("$['userId']", ("userId",)),
        ("$.traits.amp-id", ("traits", "amp-id")),
    ],
)
def test_a_path(text: str, steps: tuple[str | int, ...]) -> None:
    assert FieldPath.parse(text).steps == steps


@pytest.mark.parametrize(
    "text",
    ["", "$", "userId", "$.", "$..userId", "$.a.", "$.a[", "$.a[-1]", "$.a[x]", "$.a['x]", "$a",
     "$.a b", ".userId", "$.userId "],
)  # fmt: skip
def test_no_path(text: str) -> None:
    with pytest.raises(MappingError, match=r"is not a path into an event\. Nothing was changed\."):
        FieldPath.parse(text)


def mapped(user_id: str = "$.userId", amplitude_id: str | None = None) -> ReadOptions:
    return ReadOptions(mapping=FieldMapping.parse(user_id, amplitude_id))


EVENT = event(
    traits={"shoppers": True, "amplitude_id": 123, "odd.key": "dotted"},
    context={"personas": PERSONAS, "externalIds": [{"id": "outer"}, {"id": "inner"}]},
    anonymousId="anon",
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.userId", "ana"),
        ("$.anonymousId", "anon"),
        ("$.traits.amplitude_id", "123"),
        ("$.traits['odd.key']", "dotted"),
        ("$.context.externalIds[1].id", "inner"),
    ],
)
@pytest.mark.parametrize("content", [lines(EVENT), lines([EVENT], [])], ids=["line", "array"])
def test_the_user_id_is_taken_from_where_the_mapping_says(
    content: bytes, path: str, found: str
) -> None:
    [change] = read(content, mapped(path)).changes
    assert (change.user_id, change.amplitude_id) == (found, None)


@pytest.mark.parametrize(
    "path",
    ["$.nothing", "$.traits.nothing", "$.userId.id", "$.userId[0]", "$.context.externalIds[2].id",
     "$.context.externalIds.id", "$.traits[0]", "$.properties.id"],
)  # fmt: skip
def test_a_path_that_leads_nowhere_finds_no_one(path: str) -> None:
    assert read(lines(EVENT), mapped(path)).refusals == [(1, f"no usable identifier at {path}")]


def test_both_identifiers_are_kept() -> None:
    [change] = read(lines(EVENT), mapped(amplitude_id="$.traits.amplitude_id")).changes
    assert (change.user_id, change.amplitude_id) == ("ana", "123")


def test_one_of_two_identifiers_suffices() -> None:
    options = mapped(amplitude_id="$.traits.amplitude_id")
    changes = read(lines({**EVENT, "userId": None}, event("ben")), options).changes
    assert [change[1:3] for change in changes] == [(None, "123"), ("ben", None)]


def test_two_missing_identifiers_are_reported_with_both_paths() -> None:
    options = mapped(amplitude_id="$.traits.amplitude_id")
    [refusal] = read(lines(event(None)), options).refusals
    assert refusal.reason == "no usable identifier at $.userId or $.traits.amplitude_id"


BOTH = "$.traits.amplitude_id, $.properties.amplitude_id"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"traits": {"shoppers": True, "amplitude_id": "1"}}, "1"),
        (
            {"type": "track", "event": "Audience Entered", "properties": {
                "audience_key": "shoppers", "shoppers": True, "amplitude_id": "2"}},
            "2",
        ),
        ({"traits": {"shoppers": True, "amplitude_id": ""},
          "properties": {"amplitude_id": "3"}}, "3"),
        ({"traits": {"shoppers": True, "amplitude_id": "4"},
          "properties": {"amplitude_id": "5"}}, "4"),
        ({"traits": {"shoppers": True}}, None),
    ],
)  # fmt: skip
def test_of_several_paths_the_first_that_is_there_counts(
    fields: dict[str, object], found: str | None
) -> None:
    batch = read(lines(event(**fields)), mapped(amplitude_id=BOTH))
    assert [change.amplitude_id for change in batch.changes] == [found]


def test_the_user_id_may_have_several_paths_too() -> None:
    paths = "$.userId, $.traits['odd.key']"
    batch = read(
        lines(event(userId=None, traits={"shoppers": True, "odd.key": "x"})), mapped(paths)
    )
    assert [change.user_id for change in batch.changes] == ["x"]
    with pytest.raises(MappingError):
        FieldPath.parse("$.userId, $.traits.")
