"""Events in, changes and refusals out: the one place where an event is judged."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from amp_console.engage.batch import Batch, Tally
from amp_console.engage.event import NO_PERSONAS, Event, personas_in, regular
from amp_console.engage.hints import hints_in
from amp_console.engage.identifiers import identifier
from amp_console.engage.lines import BOM, TOO_LONG
from amp_console.engage.mapping import FieldMapping, FieldPath
from amp_console.engage.membership import Filtered, audience_of, membership
from amp_console.engage.timestamps import microseconds
from amp_console.values import AudienceHints, AudienceRef, Change

NO_TIME = "no readable timestamp"
NOT_AN_OBJECT = "not a JSON object"
NOT_UTF8 = "not UTF-8 text"
TOO_DEEP = "nested too deep"
TOO_LONG_A_LINE = "longer than 32 MiB"

_decode = msgspec.json.Decoder(Event).decode
_decode_whole = msgspec.json.Decoder().decode
_new = tuple.__new__  # Change(…) goes through a Python function, and takes twice as long


class EventReader:
    """Judges events under one mapping; with an audience's key, other audiences are filtered."""

    def __init__(self, mapping: FieldMapping, audience: str | None = None) -> None:
        self._only_key = audience
        self._user_id = mapping.user_id
        self._amplitude_id = mapping.amplitude_id
        self._no_identifier = f"no usable identifier at {mapping}"
        self._told: dict[AudienceRef, AudienceHints] = {}

    def read(self, lines: Sequence[bytes], first: int) -> Batch:
        """Judge the lines, of which `first` is the number of the first one."""
        tally = Tally()
        if first == 1 and lines and lines[0].startswith(BOM):
            lines = [lines[0].removeprefix(BOM), *lines[1:]]
        self.judge(enumerate(lines, first), tally, are_ascii=all(map(bytes.isascii, lines)))
        return tally.batch()

    def judge(
        self, numbered: Iterable[tuple[int, bytes]], tally: Tally, *, are_ascii: bool = False
    ) -> None:
        """Enter the event of every line in the tally, exactly once.

        This loop is where an import spends its time, hence the local names.
        """
        add, filtered = tally.changes.append, tally.filtered
        user_path = None if self._user_id.steps == ("userId",) else self._user_id
        amplitude_path = self._amplitude_id
        known: msgspec.Raw | None = None
        audience: AudienceRef | Filtered = Filtered.NOT_AN_AUDIENCE
        for number, line in numbered:
            try:
                if not are_ascii:
                    line.decode()  # the decoder does not look into the texts that it skips
                event = _decode(line)
                context = event.context
                personas = context.personas if context is not None else NO_PERSONAS
                if personas != known:  # events of one audience come in runs
                    audience = self._audience(personas, tally)
                    known = personas
                if not isinstance(audience, AudienceRef):
                    filtered[audience] += 1
                    continue
                is_member = membership(event, audience.key)
                if not isinstance(is_member, bool):
                    filtered[is_member] += 1
                    continue
                user_id = identifier(_at(user_path, event, line) if user_path else event.user_id)
                other = identifier(_at(amplitude_path, event, line)) if amplitude_path else None
                if user_id is None and other is None:
                    tally.refuse(number, self._no_identifier)
                    continue
                at = microseconds(event.timestamp)
                if at is None and (at := _other_time(line)) is None:
                    tally.refuse(number, NO_TIME)
                    continue
                add(_new(Change, (audience, user_id, other, is_member, at, number)))
            except (ValueError, RecursionError) as error:
                self._judge_odd(number, line, error, tally)

    def _audience(self, text: msgspec.Raw, tally: Tally) -> AudienceRef | Filtered:
        personas = personas_in(text)
        audience = audience_of(personas)
        if personas is None or not isinstance(audience, AudienceRef):
            return audience
        if self._only_key not in (None, audience.key):
            return Filtered.OTHER_AUDIENCE
        hints = hints_in(personas)
        if hints is not None and self._told.get(audience) != hints:
            self._told[audience] = tally.hints[audience] = hints
        return audience

    def _judge_odd(self, number: int, line: bytes, error: Exception, tally: Tally) -> None:
        """Judge a line that is not shaped like one event."""
        if isinstance(error, msgspec.ValidationError):
            try:
                content = _decode_whole(line)
            except (ValueError, RecursionError) as worse:
                error = worse
            else:
                for event in content if isinstance(content, list) else [content]:
                    self._judge_alone(number, event, tally)
                return
        if line.strip():
            tally.refuse(number, _fault(line, error))

    def _judge_alone(self, number: int, event: object, tally: Tally) -> None:
        if not isinstance(event, dict):
            tally.refuse(number, NOT_AN_OBJECT)
            return
        try:
            line = regular(event)
        except RecursionError:
            tally.refuse(number, TOO_DEEP)
        else:
            self.judge([(number, line)], tally)


def _fault(line: bytes, error: Exception) -> str:
    if line is TOO_LONG:
        return TOO_LONG_A_LINE
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, UnicodeDecodeError):
        return NOT_UTF8
    # The position is left out: one fault in a thousand lines is one reason, not a thousand.
    fault = str(error).removeprefix("JSON is malformed: ")
    return f"not JSON: {fault.partition(' (byte ')[0].partition(' - at ')[0]}"


def _at(path: FieldPath, event: Event, line: bytes) -> object:
    """Follow a path, without decoding once more what is decoded already."""
    match path.steps[0]:
        case "traits":
            return path.value_in({"traits": event.traits})
        case "properties":
            return path.value_in({"properties": event.properties})
    return path.value_in(_decode_whole(line))


def _other_time(line: bytes) -> int | None:
    whole: dict[str, Any] = _decode_whole(line)
    original = microseconds(whole.get("originalTimestamp"))
    return original if original is not None else microseconds(whole.get("receivedAt"))
