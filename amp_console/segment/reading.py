"""Converting Segment's answers to values or errors."""

from typing import NamedTuple

from amp_console.http.json_values import dig, items, one_line, parse, text, whole
from amp_console.segment.errors import (
    SegmentBusy,
    SegmentError,
    SegmentTrouble,
    SpaceNotFound,
    TokenRefused,
)
from amp_console.values import SegmentAudience, SegmentDestination

MAX_WORDS = 300  # characters
MAX_SIZE = 10**12  # a larger number is no count of people
MAX_WAIT = 10**12  # milliseconds, about 30 years


class Page(NamedTuple):
    """One page of a space's audiences, and the cursor of the next one; None on the last."""

    audiences: tuple[SegmentAudience, ...]
    next: str | None


class Connections(NamedTuple):
    """One page of the destinations that Segment sends an audience to, and the next one's cursor.

    `listed` counts the page's destinations; `destinations` are those in Amplitude. `total` is the
    count of all pages: more than are listed if the token can't see all of them.
    """

    destinations: tuple[SegmentDestination, ...]
    listed: int
    total: int
    next: str | None


class AudienceTraits(NamedTuple):
    """One page of a profile's audience traits, and the cursor of the next one.

    The profile says nothing about an audience that is not in `members`.
    """

    members: dict[str, bool]
    next: str | None


def page(tree: object) -> Page:
    """Return a page of audiences; entries without an ID or a key are left out.

    Raises ValueError if it is not a list of audiences.
    """
    listed = dig(tree, "data", "audiences")
    if not isinstance(listed, list):
        raise ValueError("The answer has no list of audiences.")
    found = (_audience(entry) for entry in listed)
    return Page(
        tuple(audience for audience in found if audience is not None),
        text(dig(tree, "data", "pagination", "next")) or None,
    )


def connections(tree: object) -> Connections:
    """Return a page of an audience's destinations.

    Raises ValueError if it is not a list of destinations.
    """
    listed = dig(tree, "data", "connections")
    if not isinstance(listed, list):
        raise ValueError("The answer has no list of destinations.")
    return Connections(
        tuple(_destination(entry) for entry in listed if _is_amplitude(entry)),
        len(listed),
        whole(dig(tree, "data", "pagination", "totalEntries")) or len(listed),
        text(dig(tree, "data", "pagination", "next")) or None,
    )


def _is_amplitude(entry: object) -> bool:
    names = (text(dig(entry, "metadata", "slug")), text(dig(entry, "metadata", "name")))
    known = [name for name in names if name] or [text(dig(entry, "name")) or ""]
    return any("amplitude" in name.casefold() for name in known)


def _destination(entry: object) -> SegmentDestination:
    name = text(dig(entry, "name")) or text(dig(entry, "metadata", "name")) or "Amplitude"
    return SegmentDestination(one_line(name[:MAX_WORDS]), dig(entry, "enabled") is not False)


def _audience(entry: object) -> SegmentAudience | None:
    audience_id, key = text(dig(entry, "id")), text(dig(entry, "key"))
    if not audience_id or not key:
        return None
    return SegmentAudience(
        id=audience_id,
        key=key,
        name=one_line(text(dig(entry, "name")) or "") or key,
        is_enabled=dig(entry, "enabled") is not False,
        status=one_line(text(dig(entry, "status")) or "") or None,
        size=_size(dig(entry, "size")),
        unit=one_line(text(dig(entry, "size", "type")) or ""),
        definition=text(dig(entry, "definition", "query")),
    )


def _size(size: object) -> int | None:
    """Return the size of an audience, None if Segment does not say."""
    for field in ("count", "uniqueCount"):
        count = whole(dig(size, field))
        if count is not None and 0 <= count <= MAX_SIZE:
            return count
    return None


def traits(tree: object) -> AudienceTraits:
    """Return the traits of a profile that are true or false.

    Raises ValueError if it is not an answer about traits.
    """
    found = dig(tree, "traits")
    if not isinstance(found, dict):
        raise ValueError("The answer has no traits.")
    has_more = dig(tree, "cursor", "has_more") is True
    following = text(dig(tree, "cursor", "next")) or None
    if has_more and following is None:
        raise ValueError("The answer has more traits, but no cursor to read them from.")
    return AudienceTraits(
        {str(key): value for key, value in found.items() if isinstance(value, bool)},
        following if has_more else None,
    )


def judge(status: int, body: str, wait: float | None) -> SegmentError:
    """Return the error that an answer represents; `wait` is its Retry-After, in seconds.

    The Public API lists its errors, the Profile API has one. An answer in neither form came from a
    proxy or a firewall, and says nothing about the token or the space.
    """
    try:
        tree = parse(body)
    except ValueError:
        tree = None
    if status == 429:
        return SegmentBusy(status, _words(tree), retry_after=_first(wait, _milliseconds(tree)))
    is_segments = bool(items(tree, "errors")) or isinstance(dig(tree, "error"), dict)
    if is_segments and status in {401, 403}:
        return TokenRefused(status, _words(tree))
    if is_segments and status == 404:
        return SpaceNotFound(status, _words(tree))
    return SegmentTrouble(status, _words(tree))


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _milliseconds(tree: object) -> float | None:
    wait = dig(tree, "errors", 0, "data", "msBeforeNext")
    return wait / 1000 if isinstance(wait, int | float) and 0 <= wait <= MAX_WAIT else None


def _words(tree: object) -> str:
    for path in (("errors", 0, "message"), ("error", "message"), ("errors", 0, "type")):
        found = dig(tree, *path)
        if isinstance(found, str) and found:
            return one_line(found[:MAX_WORDS])
    return ""
