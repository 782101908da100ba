"""Which error a refusal represents, by its status and body."""

import re
from html import unescape
from typing import NamedTuple

from amp_console.amplitude.errors import (
    AmplitudeError,
    BadRequest,
    CohortGone,
    ForeignResponse,
    KeysRefused,
    RateLimited,
    ServerTrouble,
    TimedOut,
    TooLarge,
)
from amp_console.amplitude.reading import skipped_ids
from amp_console.http.json_values import dig, items, one_line, parse, texts, whole

# Guesses: Amplitude documents neither the statuses nor the texts of these refusals.
_GONE = re.compile(  # with the cohort's id removed
    r"\bcohort(?: with)?(?:[ _]?id)?\W*(?:does not exist|doesn't exist|not found|was deleted)"
    r"|\b(?:unknown|invalid|no|no such) cohort(?: with)?(?:[ _]?id)?\W*$",
    re.IGNORECASE,
)
_BUSY = re.compile(
    r"concurren|in[ _-]?progress|simultaneous|another (?:request|change|update)", re.IGNORECASE
)
_TOO_MANY = re.compile(
    r"\btoo many (?:\w+ )?(?:ids|users|members|identifiers)\b"
    r"|\b(?:request|payload|body|entity)\b.*\btoo large\b"
    r"|\b100[,_ ]?000\b",
    re.IGNORECASE,
)

_MESSAGE_PATHS: tuple[tuple[str | int, ...], ...] = (
    ("error", "message"),
    ("error", "metadata", "details"),
    ("error", "error"),
    ("error",),
    ("errors", 0, "message"),
)
_ID_PATHS: tuple[tuple[str, ...], ...] = (("error", "metadata"), ("error",), ("metadata",), ())
_TITLE = re.compile(r"<title\b[^>]*>.*?</title\s*>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(
    r"<(script|style)\b.*?(</\1\s*>|\Z)|<!--.*?(-->|\Z)|<[^>]*(>|\Z)",
    re.IGNORECASE | re.DOTALL,
)

MAX_MESSAGE = 500  # characters; a refusal may name thousands of ids
MAX_PAGE = 10_000  # characters of a web page that are read


class RefusedCall(NamedTuple):
    """What a call was for: the cohort it names, whether it changes that, or has any effect."""

    cohort_id: str | None
    is_change: bool
    has_effect: bool


def judge(status: int, body: str, asked: RefusedCall, wait: float | None) -> AmplitudeError:
    """Return the error that an unexpected answer represents.

    `wait` is its Retry-After, in seconds. Only Amplitude itself can refuse keys, users or a cohort,
    so a 4xx in none of its forms came from something on the way there.
    """
    response = (status, message_in(body), body[:2000])
    if not 400 <= status < 500:
        # A redirect is not followed, so the request was not carried out; a GET changes nothing.
        is_unsure = asked.has_effect and not 300 <= status < 400
        return ServerTrouble(*response, may_be_applied=is_unsure)
    if status == 429:
        is_about_cohort = asked.is_change and asked.cohort_id is not None
        return RateLimited(
            *response,
            retry_after=wait,
            is_about_cohort=is_about_cohort,
            is_cohort_busy=is_about_cohort and _BUSY.search(response[1]) is not None,
        )
    if status == 413:
        return TooLarge(*response)
    if not is_amplitudes(body):
        # The proxy that answered may have forwarded the request.
        kind = TimedOut if status == 408 else ForeignResponse
        return kind(*response, may_be_applied=asked.has_effect)
    return _refusal(response, body, asked)


def _refusal(response: tuple[int, str, str], body: str, asked: RefusedCall) -> AmplitudeError:
    """Return the error that one of Amplitude's own 4xx answers represents."""
    status, text, _ = response
    if asked.cohort_id and _is_gone(status, text.replace(asked.cohort_id, "")):
        return CohortGone(*response)
    if status == 408:
        return TimedOut(*response)
    if status in {401, 403}:
        return KeysRefused(*response)
    named = named_ids(body)
    if status == 400 and not named and _TOO_MANY.search(text):
        return TooLarge(*response)
    return BadRequest(*response, named_ids=named)


def is_amplitudes(body: str) -> bool:
    """Whether a refusal has one of the forms that Amplitude uses.

    That is a JSON object with an error's text or number, or with the refused ids.
    """
    try:
        tree = parse(body)
    except ValueError:
        return False
    if whole(dig(tree, "error", "http_code")) is not None:
        return True
    return any(_message_at(tree, path) for path in _MESSAGE_PATHS) or bool(named_ids(body))


def _message_at(tree: object, path: tuple[str | int, ...]) -> str:
    found = dig(tree, *path)
    return one_line(found[:MAX_MESSAGE]) if isinstance(found, str) else ""


def _is_gone(status: int, message: str) -> bool:
    return status == 404 or (status == 400 and _GONE.search(message) is not None)


def message_in(body: str) -> str:
    """Return Amplitude's own message in an error's body, on one line; "" if there is none.

    The envelope is not always the documented one, so several places are tried; if none has a text,
    it is the first 200 characters of the body. For a web page, usually from a proxy, it is the
    page's text.
    """
    if body.lstrip().startswith("<"):
        page = body[:MAX_PAGE]
        return _text_of(_TITLE.sub(" ", page)) or _text_of(page)
    try:
        tree = parse(body)
    except ValueError:
        return one_line(body[:200])
    if tree is None:
        return ""
    return next(
        filter(None, (_message_at(tree, path) for path in _MESSAGE_PATHS)), one_line(body[:200])
    )


def _text_of(page: str) -> str:
    return one_line(unescape(_TAGS.sub(" ", page)))[:200]


def named_ids(body: str) -> tuple[str, ...]:
    """Return the ids that a refusal names, without duplicates."""
    try:
        tree = parse(body)
    except ValueError:
        return ()
    named: list[str] = []
    for path in _ID_PATHS:
        value = dig(tree, *path)
        named += skipped_ids(value)
        named += texts(items(value, "invalid_ids_sample"))
    return tuple(dict.fromkeys(named))
