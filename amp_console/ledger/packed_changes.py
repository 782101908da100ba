"""How changes cross into the database: packed into integers, some audiences at a time.

A change is one integer, (time << 21 | line << 1 | member), its time counted from the beginning of
its epoch and its line from the first of its merge, and all changes of a part are one flat JSON
object of identifiers and integers: 1.5 times as fast as a row of values each. Of two such integers
the larger is the newer change, their last bits aside.
"""

from typing import NamedTuple

LINES = (1 << 20) - 1
EPOCH_BITS = 42  # microseconds: 50 days
TIMES = (1 << EPOCH_BITS) - 1


class Part(NamedTuple):
    """Changes of one audience, ID type (its code) and epoch, by identifier.

    `in_use` is 1 for the ID type of the audience, `delivered` what new members have as that;
    `first_at` is the beginning of the epoch (microseconds since 1970).
    """

    audience_id: int
    id_type: int
    in_use: int
    first_at: int
    delivered: int | None
    changes: dict[str, int]

    def unpacked(self, change: int, first_line: int) -> tuple[int, int, int]:
        """A change as its time (microseconds since 1970), its line, and 1 if someone enters."""
        return (change >> 21) + self.first_at, (change >> 1 & LINES) + first_line, change & 1

    def between(self, since: int, until: int) -> "Part | None":
        """The changes between these moments (microseconds since 1970); None if there are none."""
        least, most = (since - self.first_at) << 21, (until + 1 - self.first_at) << 21
        if max(self.changes.values()) < least:
            return None  # as in most files
        found = {id_: value for id_, value in self.changes.items() if least <= value < most}
        return self._replace(changes=found) if found else None


WITH_PARTS = """
    WITH part AS MATERIALIZED (
        SELECT key AS nth, json_extract(value, '$[0]') AS audience_id,
            json_extract(value, '$[1]') AS id_type, json_extract(value, '$[2]') AS in_use,
            json_extract(value, '$[3]') AS first_at, json_extract(value, '$[4]') AS delivered,
            json_extract(value, '$[5]') AS changes
        FROM json_each(:parts))
"""
"""Begins a query of SQLite's that reads parts, `as_json`, as a table."""
