"""People who asked to be deleted, so that old files do not bring them back.

The ledger keeps none of their identifiers, only keyed digests with a time: events up to then no
longer count. The key is in the ledger, too, so without the ledger a digest reveals nothing. With
it, anyone can test whether a given identifier was forgotten.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

from amp_console.ledger.db import ID_TYPE_CODE, Db
from amp_console.values import Change, IdType

_DIGEST_BYTES = 16
_KEY_BYTES = 32
_NEVER = -(1 << 63)  # before any event


class Identity(NamedTuple):
    """One identifier of a person, as in events."""

    id_type: IdType
    id: str


def _hasher(key: bytes, id_type: IdType) -> Callable[[str], bytes]:
    return partial(_digest, key, id_type.value.encode()) if key else lambda _: b""


def _digest(key: bytes, kind: bytes, id_: str) -> bytes:
    data = id_.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=_DIGEST_BYTES, key=key, person=kind).digest()


class Forgotten:
    """Who is forgotten, as the ledger knew it at `revision`; false if no one is.

    `newest` is the latest time up to which events no longer count, in microseconds since 1970.
    """

    def __init__(
        self, revision: int = 0, key: bytes = b"", until: Mapping[bytes, int] | None = None
    ) -> None:
        """`until` maps digests to times, in microseconds since 1970."""
        self.revision = revision
        self._until = until or {}
        self.newest = max(self._until.values(), default=_NEVER)
        self._digests = {id_type: _hasher(key, id_type) for id_type in IdType}

    def __bool__(self) -> bool:
        return bool(self._until)

    def covers(self, id_type: IdType, id_: str | None, at: int) -> bool:
        """Whether an event about an identifier at this time no longer counts: it was forgotten.

        `at` in microseconds since 1970; an identifier that is not known is None.
        """
        if id_ is None or at > self.newest:
            return False
        return at <= self._until.get(self._digests[id_type](id_), _NEVER)

    def covers_change(self, change: Change) -> bool:
        """Whether an event is about a forgotten person, by either identifier, and not newer."""
        return self.covers(IdType.USER_ID, change.user_id, change.at) or self.covers(
            IdType.AMPLITUDE_ID, change.amplitude_id, change.at
        )

    def without(self, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes that count; the same list if all of them do."""
        if not self:
            return changes
        return [change for change in changes if not self.covers_change(change)]


NO_ONE_FORGOTTEN = Forgotten()


def forgotten_people(db: Db, known: Forgotten = NO_ONE_FORGOTTEN) -> Forgotten:
    """Who is forgotten; `known` itself if nothing has changed since it was read."""
    (revision,) = db.execute("SELECT coalesce(max(revision), 0) FROM forgotten").fetchone()
    if revision == known.revision:
        return known
    (key,) = db.execute("SELECT key FROM forgotten_key").fetchone()
    until = dict(db.execute("SELECT digest, until FROM forgotten").fetchall())
    return Forgotten(revision, key, until)


def keep_forgotten(db: Db, identities: Iterable[Identity], until: int) -> None:
    """Discount events about these identifiers up to a time; an earlier time changes nothing.

    `until` in microseconds since 1970.
    """
    found = db.execute("SELECT key FROM forgotten_key").fetchone()
    key = found[0] if found else secrets.token_bytes(_KEY_BYTES)
    if not found:
        db.execute("INSERT INTO forgotten_key (key) VALUES (?)", (key,))
    (revision,) = db.execute("SELECT coalesce(max(revision), 0) + 1 FROM forgotten").fetchone()
    # The clock may have been set back since an earlier request.
    db.executemany(
        "INSERT INTO forgotten (digest, until, revision) VALUES (?, ?, ?) "
        "ON CONFLICT (digest) DO UPDATE SET until = CASE WHEN excluded.until > forgotten.until "
        "THEN excluded.until ELSE forgotten.until END, revision = excluded.revision",
        [(_hasher(key, id_type)(id_), until, revision) for id_type, id_ in identities],
    )


def pairs_to_drop(
    forgotten: Forgotten, at_of: Mapping[IdType, Mapping[str, int]], pairs: Mapping[str, str]
) -> set[Identity]:
    """Which identifiers of merged changes are forgotten, or belong to a forgotten person.

    `at_of` has the time of each identifier's newest change, `pairs` the Amplitude ID that an event
    had beside a User ID.
    """
    dropped = {
        Identity(id_type, id_)
        for id_type, by_id in at_of.items()
        for id_, at in by_id.items()
        if forgotten.covers(id_type, id_, at)
    }
    for user_id, amplitude_id in pairs.items():
        both = (Identity(IdType.USER_ID, user_id), Identity(IdType.AMPLITUDE_ID, amplitude_id))
        if any(identity in dropped for identity in both):
            dropped.update(
                identity
                for identity in both
                if at_of[identity.id_type].get(identity.id, _NEVER) <= forgotten.newest
            )
    return dropped


def code_of(identity: Identity) -> tuple[int, str]:
    """An identifier as columns hold it: the code of its type, and itself."""
    return ID_TYPE_CODE[identity.id_type], identity.id
