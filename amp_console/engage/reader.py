"""Events in, changes and refusals out: the one place where an event is judged."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from amp_console.engage import json_text
from amp_console.engage.batch import LISTED, EventBatch, EventCounts, batched
from amp_console.engage.columns import MANY, ColumnReader
from amp_console.engage.envelopes import contents_of, may_be_envelope
from amp_console.engage.event import NO_PERSONAS, Event, event_in, personas_in
from amp_console.engage.hints import hints_in
from amp_console.engage.identifiers import BROKEN_IDENTIFIER, UnusableIdentifier, identifier
from amp_console.engage.json_text import (
    BOM,
    TOO_LONG,
    DocumentSplitter,
    documents_in,
    is_text,
)
from amp_console.engage.mapping import FieldMapping, FieldPath
from amp_console.engage.membership import FilterReason, audience_of, membership, undetermined
from amp_console.engage.timestamps import microseconds
from amp_console.values import AudienceHints, AudienceRef, Change, ChangeTable, identifier_fault

NO_TIME = "no readable timestamp"
NOT_AN_OBJECT = "not a JSON object"
NOT_UTF8 = "not UTF-8 text"
TOO_LONG_A_LINE = "longer than 32 MiB"
PLAIN_FAULTS = {
    "Extra data": "other text follows the first value of the line",
    "trailing characters": "other text follows the first value of the line",
    "Input data was truncated": "the line ends in the middle of an event",
}
"""What the decoders mean, for those who did not write them."""
BROKEN_LINE = "not JSON from some point on; the events before it in the line were read"
LONG_LINE = 64 * 1024  # bytes; a longer line may hold events by the million, and is read in pieces
BROKEN_AUDIENCE = "the audience's key or ID is not valid text: half of a character, or not UTF-8"

MAX_NAMED = 1_000
"""Texts of personas that are not decoded again: 50 events of 20 audiences take half the time."""

# What is read at once stays in the processor's cache while it is cut into lines and judged. But
# events of many audiences are judged audience by audience, where more of each are worth more.
FEW_AUDIENCES = 3
BYTES_OF_FEW = 120 * 1024
BYTES_OF_MANY = 1024 * 1024

_decode = msgspec.json.Decoder(Event).decode
_new = tuple.__new__  # Change(…) goes through a Python function, and takes twice as long


class _Named(NamedTuple):
    """The audience that personas name, or why they name none, and the hint to report."""

    audience: AudienceRef | FilterReason
    hint: tuple[AudienceRef, AudienceHints] | None = None


class EventReader:
    """Judges events under one mapping; with an audience's key, other audiences are filtered.

    `ref` says which audience of this key is meant; an event that has no computation ID is judged by
    its key alone.
    """

    def __init__(
        self, mapping: FieldMapping, audience: str | None = None, ref: AudienceRef | None = None
    ) -> None:
        self._only_key = audience
        self._only = ref
        self._amplitude_id = mapping.amplitude_id
        is_default = mapping.user_id.steps == ("userId",) and not mapping.user_id.others
        self._user_path = None if is_default else mapping.user_id
        self._columns = ColumnReader() if is_default and mapping.amplitude_id is None else None
        self._no_identifier = f"no usable identifier at {mapping}"
        self._reported_hints: set[tuple[AudienceRef, AudienceHints]] = set()
        self._named: dict[bytes, _Named] = {}
        paths = (mapping.user_id, mapping.amplitude_id)
        every = [item for path in paths if path for item in (path, *path.others)]
        self.fields = frozenset(str(path.steps[0]) for path in every)
        """The fields of an event that may hold an identifier."""

    @property
    def block_bytes(self) -> int:
        """How many bytes are judged best at once, after what was judged so far."""
        is_few = self._columns is None or self._columns.audiences <= FEW_AUDIENCES
        return BYTES_OF_FEW if is_few else BYTES_OF_MANY

    def forget_hints(self) -> None:
        """Report the hints about an audience again, as if none of its events was read before."""
        self._reported_hints.clear()

    def read(self, lines: Sequence[bytes], first: int) -> EventBatch:
        """Judge the lines, of which `first` is the number of the first one."""
        counts = EventCounts()
        counts.lines = len(lines)
        if first == 1 and lines and lines[0].startswith(BOM):
            lines = [lines[0].removeprefix(BOM), *lines[1:]]
        if self._columns is not None and len(lines) >= MANY:
            return self._read_columns(self._columns, lines, first, counts)
        self._judge(enumerate(lines, first), counts, _decode, json_text.decode)
        return counts.batch()

    def _read_columns(
        self, reader: ColumnReader, lines: Sequence[bytes], first: int, counts: EventCounts
    ) -> EventBatch:
        """Judge the lines column by column, and the remaining ones one by one."""
        reported = set(self._reported_hints)
        judged = reader.judge(lines, first, lambda personas: self._audience(personas, counts))
        counts.filtered += judged.filtered
        left = [(number, lines[number - first]) for number in judged.left]
        self._judge(left, counts, _decode, json_text.decode)
        if len(counts.hints) > 1:  # which comes first, only the lines can say
            self._reported_hints, counts = reported, EventCounts()
            counts.lines = len(lines)
            self._judge(enumerate(lines, first), counts, _decode, json_text.decode)
        elif not counts.changes:
            return counts.batch(judged.columns)
        elif judged.columns:
            counts.changes += ChangeTable(judged.columns)
            counts.changes.sort(key=attrgetter("line"))
        return counts.batch()

    def batches(self, lines: Sequence[bytes], first: int) -> Iterator[EventBatch]:
        """Judge lines as `read` does, in batches that take a fraction of a second each."""
        begin = 0
        may_be_long = max(map(len, lines), default=0) > LONG_LINE
        for at, line in enumerate(lines) if may_be_long else ():
            if len(line) > LONG_LINE and _holds_documents(line):
                yield from self._batches_of(lines[begin:at], first + begin)
                yield from self._read_long(line, first + at)
                begin = at + 1
        yield from self._batches_of(lines[begin:], first + begin)

    def _batches_of(self, lines: Sequence[bytes], first: int) -> Iterator[EventBatch]:
        for some in batched(lines):
            yield self.read(some, first)
            first += len(some)

    def _read_long(self, line: bytes, number: int) -> Iterator[EventBatch]:
        """Judge the documents of a line and the elements of its arrays, all with its number."""
        splitter, listed, is_empty = DocumentSplitter(unwraps=True), LISTED, True
        for at in range(0, len(line), LONG_LINE):
            for some in batched(splitter.push(line[at : at + LONG_LINE])):
                counts, is_empty = EventCounts(listed), False
                self._judge_elements(some, number, counts)
                listed = max(0, listed - len(counts.refusals))
                yield counts.batch()
            if splitter.is_broken:
                break
        if not (splitter.is_broken or splitter.is_inside):
            return
        if is_empty:
            yield self.read([line], number)
        else:
            counts = EventCounts()
            counts.refuse(number, BROKEN_LINE)
            yield counts.batch()

    def _judge_elements(self, texts: Sequence[bytes], number: int, counts: EventCounts) -> None:
        """Judge the elements of an array; those that can't be events are skipped."""
        events = [(number, text) for text in texts if text.startswith((b"{", b"["))]
        counts.lines = len(texts)
        self._judge(events, counts, _decode, json_text.decode)
        for _ in range(len(texts) - len(events)):
            counts.refuse(number, NOT_AN_OBJECT)

    def judge(self, number: int, contents: Iterable[object], counts: EventCounts) -> None:
        """Count events that were decoded by `json_text.decode`."""
        own = EventCounts()
        events = []
        for content in contents:
            if isinstance(content, dict):
                events.append((number, content))
            else:
                own.refuse(number, NOT_AN_OBJECT)
        self._judge(events, own, event_in, _unchanged)
        changes, own.changes = own.changes, []
        for change in changes:
            if not all(map(is_text, change.audience)):
                own.refuse(number, BROKEN_AUDIENCE)
            elif not is_text(f"{change.user_id}{change.amplitude_id}"):
                own.refuse(number, BROKEN_IDENTIFIER)
            else:
                own.changes.append(change)
        own.hints = [hint for hint in own.hints if all(map(is_text, hint[0]))]
        counts.absorb(own)

    def _judge(
        self,
        numbered: Iterable[tuple[int, Any]],
        counts: EventCounts,
        decode: Callable[[Any], Event],
        whole: Callable[[Any], Any],
    ) -> None:
        """Count the event of every line, exactly once.

        A line is a text for `decode` and `whole`, or was decoded already. An import spends its time
        in this loop, hence the local names. Lines that it refuses are judged again with the exact
        decoder.
        """
        add, filtered = counts.changes.append, counts.filtered
        user_path, amplitude_path = self._user_path, self._amplitude_id
        known: msgspec.Raw | None = None
        audience: AudienceRef | FilterReason = FilterReason.NOT_AN_AUDIENCE
        for number, line in numbered:
            try:
                event = decode(line)
                context = event.context
                personas = context.personas if context is not None else NO_PERSONAS
                if personas != known:  # events of one audience come in runs
                    audience = self._audience(personas, counts)
                    known = personas
                if not isinstance(audience, AudienceRef):
                    if context is not None or not self._judge_envelope(number, line, counts):
                        filtered[audience if event.type else FilterReason.NO_EVENT] += 1
                    continue
                is_member = membership(event, audience.key)
                if not isinstance(is_member, bool):
                    filtered[undetermined(is_member, event, personas_in(personas))] += 1
                    continue
                user_id = identifier(
                    _at(user_path, event, line, whole) if user_path else event.user_id
                )
                other = (
                    identifier(_at(amplitude_path, event, line, whole)) if amplitude_path else None
                )
                if user_id is None and other is None:
                    counts.refuse(number, self._no_identifier)
                    continue
                at = microseconds(event.timestamp)
                if at is None and (at := _other_time(whole(line))) is None:
                    counts.refuse(number, NO_TIME)
                    continue
                add(_new(Change, (audience, user_id, other, is_member, at, number)))
            except (ValueError, RecursionError) as error:
                self._judge_odd(number, line, error, counts)

    def _audience(
        self, found: msgspec.Raw | Mapping[str, Any], counts: EventCounts
    ) -> AudienceRef | FilterReason:
        """The audience that an event names, or why it names none. Raises ValueError."""
        text = bytes(found) if isinstance(found, msgspec.Raw) else b""  # "": decoded before
        named = self._named.get(text)
        if named is None:
            named = self._named_in(found)
            if len(self._named) == MAX_NAMED:
                self._named.clear()
            if text:
                self._named[text] = named
        if named.hint is not None and named.hint not in self._reported_hints:
            self._reported_hints.add(named.hint)
            counts.hints.append(named.hint)
        return named.audience

    def _named_in(self, found: msgspec.Raw | Mapping[str, Any]) -> _Named:
        """What the personas of an event name. Raises ValueError."""
        personas = personas_in(found)
        audience = audience_of(personas)
        if personas is None or not isinstance(audience, AudienceRef):
            return _Named(audience)
        if self._only_key not in (None, audience.key) or self._is_another(audience):
            return _Named(FilterReason.OTHER_AUDIENCE)
        if fault := identifier_fault("".join(audience)):
            raise UnusableIdentifier(f"the audience's key with its IDs {fault}")
        hints = hints_in(personas)
        return _Named(audience, None if hints is None else (audience, hints))

    def _is_another(self, audience: AudienceRef) -> bool:
        """Whether it only has the key of the audience that is meant."""
        only = self._only
        if only is None or not (only.computation_id and audience.computation_id):
            return False
        return only.computation_id != audience.computation_id

    def _judge_envelope(self, number: int, line: Any, counts: EventCounts) -> bool:
        """Judge the events in an envelope. Return False if the line is not an envelope."""
        if isinstance(line, bytes):
            line = json_text.decode(line) if may_be_envelope(line) else None
        contents = contents_of(line) if isinstance(line, dict) else None
        if contents is not None:
            self.judge(number, contents, counts)
        return contents is not None

    def _judge_odd(self, number: int, line: Any, error: Exception, counts: EventCounts) -> None:
        """Judge a line that the fast decoder does not accept as one event."""
        if not isinstance(line, bytes):  # it was decoded with care already
            counts.refuse(number, str(error))
        elif line is TOO_LONG:
            counts.refuse(number, TOO_LONG_A_LINE)
        elif json_text.SCALAR.fullmatch(line):
            counts.refuse(number, NOT_AN_OBJECT)
        elif line.strip():
            self._judge_carefully(number, line, error, counts)

    def _judge_carefully(
        self, number: int, line: bytes, error: Exception, counts: EventCounts
    ) -> None:
        try:
            content = json_text.decode(line)
        except ValueError as worse:
            documents, rest = documents_in(line)
            if not documents or documents == [line]:
                counts.refuse(number, _fault(error, worse))
                return
            self._judge(((number, text) for text in documents), counts, _decode, json_text.decode)
            if rest.strip():
                self._judge_odd(number, rest, error, counts)
        else:
            self.judge(number, content if isinstance(content, list) else [content], counts)


def _holds_documents(line: bytes) -> bool:
    return line[:LONG_LINE].removeprefix(BOM).lstrip().startswith((b"{", b"["))


def _fault(error: Exception, worse: ValueError) -> str:
    """Return what is wrong with a text, in the words of the decoder that checked its grammar.

    The position is left out, so that one fault in a thousand lines is one reason, not a thousand.
    """
    is_grammar = isinstance(error, msgspec.DecodeError)
    is_grammar = is_grammar and not isinstance(error, msgspec.ValidationError)
    fault = str(error if is_grammar else worse).removeprefix("JSON is malformed: ")
    fault = fault.partition(" (byte ")[0].partition(": line ")[0]
    return f"not JSON: {PLAIN_FAULTS.get(fault, fault)}"


def _unchanged(content: Any) -> Any:
    return content


def _at(path: FieldPath, event: Event, line: Any, whole: Callable[[Any], Any]) -> object:
    """Follow a path, without decoding once more what is decoded already."""
    if path.others:
        return path.value_in(whole(line))
    match path.steps[0]:
        case "traits":
            return path.value_in({"traits": event.traits})
        case "properties":
            return path.value_in({"properties": event.properties})
    return path.value_in(whole(line))


def _other_time(whole: Mapping[str, Any]) -> int | None:
    original = microseconds(whole.get("originalTimestamp"))
    return original if original is not None else microseconds(whole.get("receivedAt"))
