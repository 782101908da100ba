"""The newest list of members that was applied to an audience, by the ID type that it covers.

A list decides for everyone whether they were a member at its time, including people the ledger does
not know. Events that are not newer have no effect, in whatever order they are read, so applying a
list only writes the members who enter or leave.
"""

from collections.abc import Iterable
from typing import NamedTuple

from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, as_json
from amp_console.values import IdType


class AppliedList(NamedTuple):
    """When a list was true, in microseconds since 1970, and the source it was read from."""

    at: int
    source_id: int


def applied_lists(db: Db, audience_id: int) -> dict[IdType, AppliedList]:
    """The newest list of an audience by ID type; ID types without a list are left out."""
    return applied_lists_of(db, [audience_id]).get(audience_id, {})


def applied_lists_of(db: Db, audience_ids: Iterable[int]) -> dict[int, dict[IdType, AppliedList]]:
    """The `applied_lists` of several audiences, by id; audiences without any are left out."""
    found: dict[int, dict[IdType, AppliedList]] = {}
    for audience_id, id_type, *rest in db.execute(
        "SELECT audience_id, id_type, at, source_id FROM applied_list WHERE audience_id IN "
        "(SELECT CAST(value AS INTEGER) FROM json_each(?))",
        (as_json(list(audience_ids)),),
    ):
        found.setdefault(audience_id, {})[ID_TYPE_OF[id_type]] = AppliedList(*rest)
    return found


def keep_applied_list(
    db: Db, audience_id: int, id_types: Iterable[IdType], applied: AppliedList
) -> None:
    """Record that a list covering these ID types was applied; an older list changes nothing."""
    db.executemany(
        "INSERT INTO applied_list (audience_id, id_type, at, source_id) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (audience_id, id_type) DO UPDATE SET at = excluded.at, "
        "source_id = excluded.source_id WHERE excluded.at >= applied_list.at",
        [(audience_id, ID_TYPE_CODE[id_type], *applied) for id_type in id_types],
    )
