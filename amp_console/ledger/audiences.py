"""Audiences: how they are discovered, what the operator set for them, and their links."""

import enum
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, as_json
from amp_console.values import AudienceHints, AudienceRef, IdType


class Link(enum.StrEnum):
    """How an audience got its cohort; it decides what is known of users never delivered."""

    NONE = "none"
    CREATED = "created"  # by us: it holds no one who was not delivered
    EXISTING = "existing"  # before us: it may hold any user
    UNLINKED = "unlinked"  # by the operator: no event links it again


class Audience(msgspec.Struct, frozen=True):
    """One audience with its settings and its link; overrides are None where the default holds.

    `name` is what screens show: with its computation ID if another audience has the same key or
    name (`is_alike`). `own_name` is the name alone.
    """

    id: int
    space_id: str
    computation_id: str
    key: str
    name: str
    enabled: bool
    id_type: IdType
    cohort_name: str | None
    owner_email: str | None
    seed_user: str | None
    cohort_id: str | None
    linked_name: str | None
    link: Link
    broken: str | None
    last_sync_at: int | None
    own_name: str
    is_alike: bool

    @property
    def handle(self) -> str:
        """Its name in a command: its key, or what distinguishes it from others of that key."""
        if not self.is_alike:
            return self.key
        return self.computation_id or f"{self.space_id}/{self.key}"

    @property
    def ref(self) -> AudienceRef:
        """Its identity, as events state it."""
        return AudienceRef(self.space_id, self.computation_id, self.key)


class AudienceNotFound(LookupError):
    """No audience has this name; the text lists the known ones."""


class AudienceAmbiguous(LookupError):
    """Several audiences have this name; the text shows how to tell them apart."""


NO_HINTS = AudienceHints()

_NAME = "coalesce(audience.name, audience.key)"
_TOLD_APART = (
    f"{_NAME} || ' (' || coalesce(nullif(audience.computation_id, ''), "
    "'space ' || audience.space_id) || ')'"
)
_IS_ALIKE = (
    "EXISTS (SELECT 1 FROM audience AS twin WHERE twin.id <> audience.id "
    f"AND (twin.key = audience.key OR coalesce(twin.name, twin.key) = {_NAME}))"
)
LABEL = f"CASE WHEN {_IS_ALIKE} THEN {_TOLD_APART} ELSE {_NAME} END"
"""What a row of the table `audience` is called, in SQL; see `Audience.name`."""

_COLUMNS = (
    f"id, space_id, computation_id, key, {LABEL}, enabled, id_type, cohort_name, owner_email, "
    f"seed_user, cohort_id, linked_name, link, broken, last_sync_at, {_NAME}, {_IS_ALIKE}"
)
# Of all audiences at once, those that are alike are found by sorting instead of by comparing each
# with each.
_ALIKE_OF_ALL = (
    f"max(count(*) OVER (PARTITION BY audience.key), count(*) OVER (PARTITION BY {_NAME})) > 1"
)
_COLUMNS_OF_ALL = _COLUMNS.replace(_IS_ALIKE, _ALIKE_OF_ALL)


def _audience(row: Sequence[Any]) -> Audience:
    values = list(row)
    values[5] = bool(values[5])
    values[6] = ID_TYPE_OF[values[6]]
    values[12] = Link(values[12])
    values[16] = bool(values[16])
    return Audience(*values)


def are_all_enabled(db: Db, audience_ids: Collection[int]) -> bool:
    """Whether no enabled audience is missing from these."""
    enabled = db.execute("SELECT id FROM audience WHERE enabled = 1").fetchall()
    return all(audience_id in audience_ids for (audience_id,) in enabled)


def all_audiences(db: Db) -> list[Audience]:
    """Every audience, by name."""
    rows = db.execute(f"SELECT {_COLUMNS_OF_ALL} FROM audience ORDER BY lower({_NAME}), id")
    return [_audience(row) for row in rows]


def audience(db: Db, audience_id: int) -> Audience:
    """The audience of this id, which must be there."""
    row = db.execute(f"SELECT {_COLUMNS} FROM audience WHERE id = ?", (audience_id,)).fetchone()
    return _audience(row)


def audiences_of(db: Db, audience_ids: Iterable[int]) -> dict[int, Audience]:
    """The audiences of these ids, by id."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM audience WHERE id IN "
        "(SELECT CAST(value AS INTEGER) FROM json_each(?))",
        (as_json(list(audience_ids)),),
    )
    return {known.id: known for known in map(_audience, rows)}


def same_key(db: Db, known: Audience) -> list[Audience]:
    """The other audiences with an audience's key: of another space, or another computation."""
    if not known.is_alike:
        return []
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM audience WHERE key = ? AND id <> ? ORDER BY id",
        (known.key, known.id),
    )
    return [_audience(row) for row in rows]


def find_audience(db: Db, name: str) -> Audience:
    """The audience that `name` means: its key, else its computation ID, else its name.

    SPACE/KEY, and the name with the computation ID as screens show it, are understood too. Raises
    `AudienceNotFound` and `AudienceAmbiguous`.
    """
    everything = all_audiences(db)
    for matches in (
        [a for a in everything if a.key == name],
        [a for a in everything if a.computation_id == name],
        [a for a in everything if a.own_name == name],
        [a for a in everything if name in (a.name, f"{a.space_id}/{a.key}")],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise AudienceAmbiguous(
                f"{len(matches)} audiences are called {name!r}. {_told_apart(matches)}"
            )
    known = ", ".join(a.handle for a in everything[:20])
    known = known or "none yet; import a file of events first"
    raise AudienceNotFound(f"There is no audience {name!r}. Known audiences: {known}.")


def _told_apart(alike: Sequence[Audience]) -> str:
    by = "computation ID" if all(item.computation_id for item in alike) else "space and key"
    return f"Name one by its {by}: {', '.join(item.handle for item in alike)}."


def audience_of(db: Db, ref: AudienceRef) -> int | None:
    """The id of the audience with exactly this identity, None if there is none."""
    row = db.execute(
        "SELECT id FROM audience WHERE (space_id, computation_id, key) = (?, ?, ?)", ref
    ).fetchone()
    return None if row is None else int(row[0])


def discover(db: Db, ref: AudienceRef, hints: AudienceHints = NO_HINTS) -> Audience:
    """Find the audience of an event, or add it with the settings that the event contains.

    An audience that so far was known by its key alone (from a CSV download) becomes the one that
    an event gives space and computation id for.
    """
    found = _by_identity(db, ref)
    if found is None:
        found = db.execute(
            "INSERT INTO audience (space_id, computation_id, key) VALUES (?, ?, ?) RETURNING id",
            ref,
        ).fetchone()[0]
    if hints != NO_HINTS and _is_untouched(db, found):
        _start_with(db, found, hints)
    return audience(db, found)


def _is_untouched(db: Db, audience_id: int) -> bool:
    """True until the first run or link: early events may lack what later ones contain."""
    known = audience(db, audience_id)
    begun = db.execute("SELECT 1 FROM creation WHERE audience_id = ?", (audience_id,)).fetchone()
    return known.last_sync_at is None and known.link is Link.NONE and begun is None


def _by_identity(db: Db, ref: AudienceRef) -> int | None:
    if not ref.computation_id:
        return _by_key_alone(db, ref)
    row = db.execute(
        "SELECT id FROM audience WHERE space_id = ? AND computation_id = ?",
        (ref.space_id, ref.computation_id),
    ).fetchone()
    if row is None:
        row = db.execute(
            "UPDATE audience SET space_id = ?, computation_id = ? WHERE id = ("
            " SELECT id FROM audience WHERE computation_id = '' AND key = ?"
            " AND space_id IN ('', ?) LIMIT 1) RETURNING id",
            (ref.space_id, ref.computation_id, ref.key, ref.space_id),
        ).fetchone()
    return None if row is None else int(row[0])


def _by_key_alone(db: Db, ref: AudienceRef) -> int | None:
    rows = db.execute(
        "SELECT id FROM audience WHERE key = ? AND (? IN ('', space_id) OR space_id = '')",
        (ref.key, ref.space_id),
    ).fetchall()
    if len(rows) > 1:
        alike = [audience(db, audience_id) for (audience_id,) in rows]
        raise AudienceAmbiguous(
            f"{len(rows)} audiences have the key {ref.key!r}. Nothing was read for them. "
            f"{_told_apart(alike)}"
        )
    return int(rows[0][0]) if rows else None


def _start_with(db: Db, audience_id: int, hints: AudienceHints) -> None:
    if hints.id_type:
        set_id_type(db, audience_id, hints.id_type)
    db.execute(
        "UPDATE audience SET cohort_name = coalesce(cohort_name, ?), "
        "owner_email = coalesce(owner_email, ?) WHERE id = ?",
        (hints.cohort_name, hints.owner_email, audience_id),
    )
    # Two audiences with one cohort would undo each other's changes.
    if hints.cohort_id and not linked_to(db, hints.cohort_id):
        link_existing(db, audience_id, hints.cohort_id)


def linked_to(db: Db, cohort_id: str) -> list[Audience]:
    """The audiences that are linked to a cohort."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM audience WHERE cohort_id = ?", (cohort_id,))
    return [_audience(row) for row in rows]


def link_existing(db: Db, audience_id: int, cohort_id: str, name: str | None = None) -> None:
    """Link to a cohort that others filled: its members are unknown until delivered.

    `name` is the cohort's own, None where it is not known.
    """
    set_link(db, audience_id, cohort_id, name, Link.EXISTING)
    in_use = ID_TYPE_CODE[audience(db, audience_id).id_type]
    db.execute(
        "UPDATE member SET delivered = CASE WHEN id_type = ? THEN NULL ELSE 0 END "
        "WHERE audience_id = ?",
        (in_use, audience_id),
    )


def set_link(db: Db, audience_id: int, cohort_id: str | None, name: str | None, link: Link) -> None:
    """Set the link alone; what is known to be delivered stays."""
    db.execute(
        "UPDATE audience SET cohort_id = ?, linked_name = ?, link = ?, broken = NULL WHERE id = ?",
        (cohort_id, name, link, audience_id),
    )
    db.execute("DELETE FROM creation WHERE audience_id = ?", (audience_id,))


def set_name(db: Db, audience_id: int, name: str) -> None:
    """Call an audience by a better name than its key."""
    db.execute("UPDATE audience SET name = ? WHERE id = ?", (name, audience_id))


def set_overrides(
    db: Db,
    audience_id: int,
    *,
    cohort_name: str | None,
    owner_email: str | None,
    seed_user: str | None,
    enabled: bool,
) -> None:
    """Keep what the operator set; None means the default."""
    db.execute(
        "UPDATE audience SET cohort_name = ?, owner_email = ?, seed_user = ?, enabled = ? "
        "WHERE id = ?",
        (cohort_name, owner_email, seed_user, enabled, audience_id),
    )


def set_id_type(db: Db, audience_id: int, id_type: IdType) -> None:
    """Match people by the other identifier from now on.

    Those delivered under the old ID type are no longer wanted under it, so the next delivery
    removes them first, and adds members under the new one.
    """
    known = audience(db, audience_id)
    if known.id_type is id_type:
        return
    new, old = ID_TYPE_CODE[id_type], ID_TYPE_CODE[known.id_type]
    db.execute("UPDATE audience SET id_type = ? WHERE id = ?", (new, audience_id))
    db.execute(
        "UPDATE member SET wanted = 0, rejection_id = NULL, refusals = 0 "
        "WHERE audience_id = ? AND id_type = ?",
        (audience_id, old),
    )
    db.execute(
        "UPDATE member SET wanted = is_member, delivered = "
        "CASE WHEN ? = 1 AND delivered = 0 THEN NULL ELSE delivered END "
        "WHERE audience_id = ? AND id_type = ?",
        (int(known.link is Link.EXISTING), audience_id, new),
    )
