from datetime import UTC, datetime
from itertools import product

import pytest

from amp_console.amplitude.errors import (
    AmplitudeError,
    BadRequest,
    CohortGone,
    ForeignResponse,
    KeysReason,
    KeysRefused,
    NoConnection,
    RateLimited,
    ServerTrouble,
    TimedOut,
    TooLarge,
    Transient,
    Unconfirmed,
)
from amp_console.amplitude.refusals import RefusedCall, judge, message_in, named_ids
from amp_console.http.session import retry_after

CHANGE = RefusedCall("abcd1234", True, True)
CREATION = RefusedCall(None, True, True)
DOWNLOAD = RefusedCall("abcd1234", False, False)
LISTING = RefusedCall(None, False, False)


def said(text: str) -> str:
    return f'{{"error":{{"message":"{text}"}}}}'


def refusing(entries: str) -> str:
    return f'{{"error":{{"metadata":{{"memberships_result":[{entries}]}}}}}}'


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (said("first"), "first"),
        ('{"error":{"message":"first","metadata":{"details":"second"}}}', "first"),
        ('{"error":{"message":"","metadata":{"details":"second"}}}', "second"),
        ('{"error":{"message":null,"metadata":{"details":"second"},"error":"third"}}', "second"),
        ('{"error":{"metadata":{"details":7},"error":"third"}}', "third"),
        ('{"error":{"metadata":[1],"error":"third"}}', "third"),
        ('{"error":"fourth","errors":[{"message":"fifth"}]}', "fourth"),
        ('{"error":null,"errors":[{"message":"fifth"}]}', "fifth"),
        ('{"errors":[]}', '{"errors":[]}'),
        ('{"errors":["x"]}', '{"errors":["x"]}'),
        ("[1, 2]", "[1, 2]"),
        ("17", "17"),
        ("null", ""),
        ("", ""),
        ("<html>\n <b>502</b>\x1b[31m\n</html>", "502 [31m"),
        ("<!DOCTYPE html><title>No</title><style>b{}</style><h1>Bad &amp; slow</h1>", "Bad & slow"),
        ("<head><title>Gateway</title></head><body></body>", "Gateway"),
        ("<script>" * 2, ""),
        ("<" * 300, ""),
        ("<p>" + "z" * 300, "z" * 200),
        ("x" * 300, "x" * 200),
        ("[" * 100_000, "[" * 200),
        (said("y" * 600), "y" * 500),
    ],
)
def test_the_words_are_found_in_their_order(body: str, found: str) -> None:
    assert message_in(body) == found


@pytest.mark.parametrize(
    ("status", "body", "asked", "kind"),
    [
        (401, said("No"), LISTING, KeysRefused),
        (403, said("No"), CHANGE, KeysRefused),
        (404, said("No"), CHANGE, CohortGone),
        (404, said("No"), DOWNLOAD, CohortGone),
        (404, said("No"), LISTING, BadRequest),
        (400, said("Cohort abcd1234 not found"), CHANGE, CohortGone),
        (400, said("cohort_id 'abcd1234' does not exist"), CHANGE, CohortGone),
        (400, said("Cohort with id abcd1234 doesn't exist"), DOWNLOAD, CohortGone),
        (400, said("Invalid cohort id: abcd1234."), CHANGE, CohortGone),
        (400, said("Cohort owner not found"), CHANGE, BadRequest),
        (400, said("Invalid cohort owner"), CHANGE, BadRequest),
        (400, said("Cohort not found"), CREATION, BadRequest),
        (413, "", CHANGE, TooLarge),
        (400, said("Too many ids: 100001 of 100000"), CHANGE, TooLarge),
        (400, said("No more than 100,000 ids in a request"), CREATION, TooLarge),
        (400, said("Request body is too large"), CHANGE, TooLarge),
        (400, said("Too many requests of yours were odd"), CHANGE, BadRequest),
        (400, '{"error":"No"}', CHANGE, BadRequest),
        (422, '{"errors":[{"message":"No"}]}', CHANGE, BadRequest),
        (400, '{"error":{"http_code":400,"type":"invalid_request"}}', CHANGE, BadRequest),
        (429, "", CHANGE, RateLimited),
        (429, said("Exceeded concurrent limit with query of cost 415"), CHANGE, RateLimited),
        (429, said("Another update is in progress"), CHANGE, RateLimited),
        (429, said("Exceeded concurrent limit"), CREATION, RateLimited),
        (429, said("Exceeded concurrent limit"), DOWNLOAD, RateLimited),
        (408, "", CHANGE, TimedOut),
        (408, said("Slow"), CHANGE, TimedOut),
        (500, "", CHANGE, ServerTrouble),
        (503, "[]", LISTING, ServerTrouble),
        (302, "", LISTING, ServerTrouble),
        (200, "<html>", LISTING, ServerTrouble),
    ],
)
def test_each_status_means_one_error(
    status: int, body: str, asked: RefusedCall, kind: type[AmplitudeError]
) -> None:
    error = judge(status, body, asked, None)
    assert type(error) is kind
    assert (error.status, error.message, error.text) == (status, message_in(body), body)


@pytest.mark.parametrize(
    ("status", "maybe"),
    [(200, True), (500, True), (504, True), (302, False), (400, False), (408, False), (429, False)],
)
def test_only_a_lost_answer_may_have_taken_effect(status: int, maybe: bool) -> None:
    error = judge(status, said("No"), CHANGE, None)
    assert error.may_be_applied is maybe
    assert ("may or may not" in str(error)) is maybe


IN_ANOTHER_FORM = (
    "",
    "null",
    "[]",
    "17",
    '"Invalid API Key"',
    "Access denied",
    "<html><title>Blocked</title><body>Cohort abcd1234 not found</body></html>",
    "{}",
    '{"message":"Forbidden"}',
    '{"status":"blocked","detail":"Invalid API Key"}',
    '{"error":null}',
    '{"error":""}',
    '{"error":{}}',
    '{"errors":[]}',
    '{"errors":["x"]}',
    '{"error":{"message"',
)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 422, 451])
def test_a_refusal_in_another_form_than_amplitudes_is_trouble_on_the_way(status: int) -> None:
    for asked, body in product((CHANGE, CREATION, DOWNLOAD, LISTING), IN_ANOTHER_FORM):
        error = judge(status, body, asked, None)
        assert type(error) is ForeignResponse, (asked, body)
        assert (error.status, error.message) == (status, message_in(body)), (asked, body)
        assert error.may_be_applied is asked.has_effect, (asked, body)


def test_an_answer_from_the_way_is_quoted() -> None:
    page = "<html><title>Blocked</title><body>Ask <b>IT</b> for access</body></html>"
    assert str(judge(403, page, LISTING, None)) == (
        "A proxy or another server answered instead of Amplitude (status 403): Ask IT for access. "
        "The request changed nothing in Amplitude. Check any proxy, firewall or login page on the "
        "way, then try again."
    )


@pytest.mark.parametrize("body", ["", "<html>Too big</html>", said("Too big")])
def test_a_413_is_about_the_size_whatever_sends_it(body: str) -> None:
    assert type(judge(413, body, CHANGE, None)) is TooLarge


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ("Invalid API Key", KeysReason.UNKNOWN_KEY),
        ("Invalid API/Secret Key combination", KeysReason.WRONG_SECRET),
        ("Not allowed", KeysReason.OTHER),
    ],
)
def test_refused_keys_say_why(details: str, reason: KeysReason) -> None:
    body = f'{{"error":{{"http_code":403,"metadata":{{"details":"{details}"}}}}}}'
    error = judge(403, body, LISTING, None)
    assert isinstance(error, KeysRefused)
    assert error.reason is reason


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (refusing('{"skipped_ids":["a",7]},{},{"skipped_ids":["a",8.0]}'), ("a", "7", "8")),
        ('{"error":{"metadata":{"invalid_ids_sample":["a","b"]}}}', ("a", "b")),
        ('{"metadata":{"invalid_ids_sample":["a"]}}', ("a",)),
        ('{"invalid_ids_sample":["a", null, true, {}]}', ("a",)),
        ('{"error":{"metadata":{"memberships_result":{"skipped_ids":["a"]}}}}', ()),
        ('{"error":{"metadata":null}}', ()),
        ("null", ()),
        ("<html>", ()),
    ],
)
def test_the_named_ids_are_the_culprits(body: str, named: tuple[str, ...]) -> None:
    assert named_ids(body) == named
    error = judge(400, body, CHANGE, None)
    assert getattr(error, "named_ids", ()) == named
    assert isinstance(error, BadRequest if named else ForeignResponse)


def test_a_refusal_that_names_ids_is_about_them_and_not_about_their_number() -> None:
    body = '{"error":{"message":"Too many invalid ids","metadata":{"invalid_ids_sample":["a"]}}}'
    assert isinstance(judge(400, body, CHANGE, None), BadRequest)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:28:30 -0000", 30.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("Wed, 99 Oct 2026 07:00:00 GMT", None),
        ("Wed, 21 Oct 2026 07:00:00 +99999999999999", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    header: str | None, seconds: float | None
) -> None:
    now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    assert retry_after(header, lambda: now) == seconds


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            KeysRefused(403, "Invalid API Key"),
            (
                "Amplitude refused the keys: Invalid API Key. "
                "The request changed nothing in Amplitude. "
                "Copy the API key again from Amplitude, and check the region: a key works in "
                "one region only."
            ),
        ),
        (
            BadRequest(400, "Bad owner."),
            (
                "Amplitude refused the request (status 400): Bad owner. The request changed "
                "nothing in Amplitude. Correct what Amplitude's answer mentions, then try again."
            ),
        ),
        (
            RateLimited(429, retry_after=7.0),
            (
                "Amplitude asked for fewer requests. The request changed nothing in Amplitude. "
                "Wait 7 s, then try again."
            ),
        ),
        (
            ServerTrouble(502, may_be_applied=True),
            (
                "Amplitude could not answer (status 502). The request may or may not have taken "
                "effect. Try again later."
            ),
        ),
        (
            ServerTrouble(302),
            (
                "Amplitude's address answered with a redirect (status 302). The request changed "
                "nothing in Amplitude. Check the base URL, and any proxy on the way, then try "
                "again."
            ),
        ),
        (
            NoConnection(),
            (
                "Amplitude could not be reached. Nothing was sent. "
                "Check the network, then try again."
            ),
        ),
    ],
)
def test_an_error_says_what_happened_what_was_kept_and_what_to_do(
    error: AmplitudeError, text: str
) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    "kind",
    [
        RateLimited,
        TooLarge,
        ServerTrouble,
        NoConnection,
        TimedOut,
        ForeignResponse,
        Unconfirmed,
    ],
)
def test_passing_trouble_is_transient(kind: type[AmplitudeError]) -> None:
    assert issubclass(kind, Transient)


@pytest.mark.parametrize(
    ("text", "asked", "is_busy"),
    [
        ("Exceeded concurrent limit with query of cost 415", CHANGE, True),
        ("Another update is in progress", CHANGE, True),
        ("Exceeded concurrent limit", CREATION, False),
        ("Exceeded concurrent limit", DOWNLOAD, False),
        ("Slow down", CHANGE, False),
    ],
)
def test_a_rate_limit_says_whether_another_change_of_the_cohort_is_under_way(
    text: str, asked: RefusedCall, is_busy: bool
) -> None:
    error = judge(429, said(text), asked, None)
    assert isinstance(error, RateLimited)
    assert error.is_cohort_busy is is_busy
    assert ("busy with another change to this cohort" in str(error)) is is_busy


@pytest.mark.parametrize("kind", [KeysRefused, CohortGone, BadRequest])
def test_lasting_trouble_is_not_transient(kind: type[AmplitudeError]) -> None:
    assert not issubclass(kind, Transient)
