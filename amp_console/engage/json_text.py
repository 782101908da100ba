"""JSON at its full width: what the fast decoder refuses although the grammar allows it.

msgspec refuses half of a surrogate pair, numbers beyond a double and deep nesting, even in fields
that no one asked for. Texts that it refuses come here, so the usual event pays nothing.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import msgspec

DEPTH = 64  # nesting that is decoded; all that Engage says lies within four levels
ELEMENT_LIMIT = 32 * 1024 * 1024  # bytes

# Takes the place of a document that was skipped for its length. It is broken as JSON and as CSV, so
# readers need no check for it until one of them turns out to be broken.
TOO_LONG = b'"longer than 32 MiB"!'
BOM = b"\xef\xbb\xbf"  # how some programs begin a file in UTF-8; it is no part of its first line

# A text that is cut off has no closing quote. Possessive, so that it takes linear time.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]++|[\]}]++', re.DOTALL)
_REST_OF_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+(?:"|(\\?)\Z)', re.DOTALL)
SCALAR = re.compile(rb"-?[0-9][0-9.eE+-]*|-?Infinity|NaN|true|false|null")
_SPACE = b" \t\r\n"

# Most documents are objects, and end at the first brace that another object follows.
_START = re.compile(rb"[ \t\r\n]*+(,?)[ \t\r\n]*+(?=\{)")
_SEAM = re.compile(rb"\}(?=[ \t\r\n]*+,?[ \t\r\n]*+\{)")
_SEAM_WITHIN = 64 * 1024  # bytes


def decode(text: bytes) -> Any:
    """Decode a JSON text without losing anything that is valid.

    A number with a fraction or an exponent is a Decimal. Half of a surrogate pair and bytes that
    are not UTF-8 are lone surrogates in a str. What is nested deeper than `DEPTH` is None. Raises
    ValueError for what is not JSON.
    """
    try:
        return _fast(text)
    except (ValueError, RecursionError):
        pass
    try:
        return _careful.decode(text.decode("utf-8", "surrogateescape"))
    except RecursionError:
        return _careful.decode(_shallow(text).decode("utf-8", "surrogateescape"))


def is_text(value: str) -> bool:
    """Whether a decoded text consists of whole characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class DocumentSplitter:
    """Splits a stream of JSON documents, with or without space between them.

    With `unwraps`, a document that is an array gives its elements. Only their ends are looked for:
    the reader checks whether they are valid. One longer than the limit becomes `TOO_LONG`.
    """

    def __init__(self, *, unwraps: bool = False, limit: int = ELEMENT_LIMIT) -> None:
        self.is_broken = False
        """Whether something was met that is no document: the splitter stops there."""
        self._unwraps = unwraps
        self._limit = limit
        self._text = b""
        self._scanned = 0  # how far the tokens of the text are known
        self._unquoted = 0  # how far it is known to have no closing quote; 0 if none is awaited
        self._begin = 0  # where the document under way begins, or may begin
        self._depth = 0  # how deep in it the scan is
        self._in_array = False
        self._needs_comma = False
        self._is_too_long = False
        self._found: list[bytes] = []

    @property
    def rest(self) -> bytes:
        """What was pushed but does not belong to a document yet."""
        return self._text[self._begin :]

    @property
    def is_inside(self) -> bool:
        """Whether a document has begun and not ended."""
        return self._depth > 0 or self._in_array or bool(self.rest.strip(_SPACE))

    def push(self, block: bytes) -> list[bytes]:
        """Return the documents that the block completes."""
        if self.is_broken:
            return []
        self._text = self._text[self._begin :] + block
        self._scanned -= self._begin
        self._unquoted = max(0, self._unquoted - self._begin)
        self._begin = 0
        self._scan()
        self._cut_scalars()
        if self._depth and len(self._text) - self._begin > self._limit:
            self._is_too_long = True
            rest = self._text[self._scanned :]
            # An unfinished text is known by its quote, and by a backslash that may end a block.
            is_escaping = (len(rest) - len(rest.rstrip(b"\\"))) % 2 == 1
            self._text = rest[:1] + (b"\\" if is_escaping and len(rest) > 1 else b"")
            self._begin = self._scanned = self._unquoted = 0
        found, self._found = self._found, []
        return found

    def _scan(self) -> None:
        while not self.is_broken:
            if self._depth == 0:
                self._guess()
            if not self._scan_document():
                return

    def _guess(self) -> None:
        """Cut objects while their apparent ends are right: ten times as fast as reading tokens."""
        text = self._text
        while start := _START.match(text, self._begin):
            needs_comma = self._in_array and self._needs_comma
            seam = _SEAM.search(text, start.end(), start.end() + _SEAM_WITHIN)
            if bool(start[1]) is not needs_comma or seam is None:
                return
            document = text[start.end() : seam.end()]
            try:
                _skip(document)
            except (ValueError, RecursionError):
                return
            self._found.append(document)
            self._begin = self._scanned = seam.end()
            self._needs_comma = True

    def _scan_document(self) -> bool:
        """Read tokens up to the end of a document; False if the text ends before that."""
        text, found = self._text, len(self._found)
        if self._awaits_quote():
            return False
        for token in _TOKEN.finditer(text, self._scanned):
            start, end = token.span()
            first = text[start]
            if first == 0x22:
                if end == len(text) and not _is_closed(text, start):
                    self._scanned, self._unquoted = start, start + 1
                    return False
                if self._depth == 0:
                    self._begin_document(start)
                    self._end_document(end)
            elif first in b"[{":
                self._open(start, end)
            else:
                self._close(start, end)
            self._scanned = end
            if self.is_broken or len(self._found) > found:
                return True
        self._scanned = len(text)
        return False

    def _awaits_quote(self) -> bool:
        """Whether a text that was cut off is longer still; none of its blocks is searched twice."""
        if self._unquoted:
            rest = _REST_OF_TEXT.match(self._text, self._unquoted)
            assert rest is not None  # it may be empty
            self._unquoted = 0 if rest[1] is None else rest.start(1)
        return self._unquoted > 0

    def _open(self, start: int, end: int) -> None:
        if self._depth:
            self._depth += end - start
            return
        if self._unwraps and not self._in_array and self._text[start] == 0x5B:
            self._begin_document(start)
            self._begin = start + 1
            self._in_array, self._needs_comma = True, False
            start += 1
        if start < end and not self.is_broken:
            self._begin_document(start)
            self._depth = end - start

    def _close(self, start: int, end: int) -> None:
        if self._depth:
            closed = min(self._depth, end - start)
            self._depth -= closed
            start += closed
            if self._depth == 0:
                self._end_document(start)
        if start == end or self.is_broken:
            return
        self.is_broken = not self._in_array or self._text[start] != 0x5D
        if not self.is_broken:
            self._cut_between(start, is_last=True)
            self._begin = start + 1
            self._in_array = False
            self._close(start + 1, end)

    def _begin_document(self, start: int) -> None:
        self._cut_between(start)
        if not self.is_broken:
            self._begin = start

    def _end_document(self, end: int) -> None:
        if self.is_broken:
            return
        self._found.append(TOO_LONG if self._is_too_long else self._text[self._begin : end])
        self._begin = end
        self._is_too_long = False
        self._needs_comma = True

    def _cut_between(self, end: int, *, is_last: bool = False) -> None:
        """Check what is between two documents: space, or in an array commas and scalars."""
        between = self._text[self._begin : end].strip(_SPACE)
        if not self._in_array:
            self.is_broken = bool(between) and between != BOM
            return
        parts = [part.strip(_SPACE) for part in between.split(b",")]
        if self._needs_comma:
            self.is_broken = bool(parts.pop(0)) or not (parts or is_last)
        last = parts.pop() if parts else b""
        if is_last and last:
            parts.append(last)
        elif last:
            self.is_broken = True
        if not self.is_broken:
            for part in parts:
                self.is_broken = self.is_broken or not SCALAR.fullmatch(part)
                if not self.is_broken:
                    self._found.append(part)
            self._needs_comma = False

    def _cut_scalars(self) -> None:
        """Let go of the scalars of an array as far as a comma follows them."""
        if not self._in_array or self._depth or self.is_broken:
            return
        comma = self._text.rfind(b",", self._begin, self._scanned)
        if comma >= 0 and self._text[self._begin : comma].strip(_SPACE):
            self._cut_between(comma + 1)
            self._begin = comma + 1


def documents_in(text: bytes) -> tuple[list[bytes], bytes]:
    """Split a text into the objects and arrays that it begins with, and the rest."""
    if not text.removeprefix(BOM).lstrip(_SPACE).startswith((b"{", b"[")):
        return [], text
    splitter = DocumentSplitter()
    return splitter.push(text), splitter.rest


def _shallow(text: bytes) -> bytes:
    """Write null for what is nested deeper than `DEPTH`. Raises ValueError if it never ends."""
    return b"".join(_shallow_pieces(text))


def _shallow_pieces(text: bytes) -> Iterator[bytes]:
    depth, kept = 0, 0
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        first = text[start]
        if first in b"[{":
            if depth <= DEPTH < depth + end - start:
                yield text[kept : start + DEPTH - depth] + b"null"
            depth += end - start
        elif first in b"]}":
            if depth > DEPTH >= depth - (end - start):
                kept = start + depth - DEPTH
            depth -= end - start
    if depth > DEPTH:
        raise ValueError("Input data was truncated")
    yield text[kept:]


def _is_closed(text: bytes, start: int) -> bool:
    """Tell whether the quoted text that ends the bytes has its closing quote."""
    if len(text) - start < 2 or text[-1] != 0x22:
        return False
    backslashes = len(text) - 1 - len(text[start + 1 : -1].rstrip(b"\\")) - start - 1
    return backslashes % 2 == 0


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all reason
        return None


def _integer(text: str) -> int | Decimal | None:
    return int(text) if len(text) < 4_000 else _number(text)  # more digits are refused by int


def _constant(text: str) -> NoReturn:
    raise ValueError(f"invalid value {text}")


_skip = msgspec.json.Decoder(msgspec.Raw).decode
_fast = msgspec.json.Decoder(float_hook=_number).decode
_careful = json.JSONDecoder(parse_float=_number, parse_int=_integer, parse_constant=_constant)
