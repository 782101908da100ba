"""The fields of an event with the identifiers: the two fields of the destination's mapping."""

import re
from typing import Self

import msgspec

_SEVERAL = re.compile(r"\s*,\s*(?=\$)")
_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]'"\s]+)"""
    r"""|\[(?P<index>[0-9]{1,9})\]"""
    r"""|\[(?P<quote>['"])(?P<key>.+?)(?P=quote)\]"""
)


class MappingError(ValueError):
    """A path that can't be read; the text shows which, and how to write one."""


class FieldPath(msgspec.Struct, frozen=True):
    """The way from an event to one of its fields, written as in a Segment mapping.

    If the field is absent or empty, the first of the `others` that is present counts.
    """

    text: str
    steps: tuple[str | int, ...]
    others: tuple["FieldPath", ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `$.traits.amplitude_id`, `$.context.externalIds[0].id` or `$.traits['odd.key']`.

        Several are separated by commas. Raises MappingError.
        """
        first, *others = [cls._parse_one(part) for part in _SEVERAL.split(text)]
        return cls(text, first.steps, tuple(others)) if others else first

    @classmethod
    def _parse_one(cls, text: str) -> Self:
        steps: list[str | int] = []
        position = 1 if text.startswith("$") else 0
        while position and (step := _STEP.match(text, position)):
            index = step["index"]
            steps.append(int(index) if index else step["name"] or step["key"])
            position = step.end()
        if not steps or position != len(text):
            raise MappingError(
                f"{text!r} is not a path into an event. Nothing was changed. Write it as in a "
                "Segment mapping, e.g. $.userId or $.context.externalIds[0].id."
            )
        return cls(text, tuple(steps))

    def value_in(self, event: object) -> object:
        """Return the value at the path; None if the path leads nowhere."""
        found = self._own_value(event)
        for other in self.others:
            if found not in (None, ""):
                break
            found = other.value_in(event)
        return found

    def _own_value(self, event: object) -> object:
        found = event
        for step in self.steps:
            if isinstance(step, int):
                found = found[step] if isinstance(found, list) and step < len(found) else None
            else:
                found = found.get(step) if isinstance(found, dict) else None
        return found


class FieldMapping(msgspec.Struct, frozen=True):
    """The paths of the two identifiers. Segment's default maps the User ID only."""

    user_id: FieldPath
    amplitude_id: FieldPath | None = None

    @classmethod
    def parse(cls, user_id: str = "$.userId", amplitude_id: str | None = None) -> Self:
        """Read the paths as the operator wrote them. Raises MappingError."""
        other = FieldPath.parse(amplitude_id) if amplitude_id else None
        return cls(FieldPath.parse(user_id), other)

    def __str__(self) -> str:
        paths = [path.text for path in (self.user_id, self.amplitude_id) if path]
        return " or ".join(paths)
