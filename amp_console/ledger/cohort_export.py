"""The users of a cohort, as Amplitude exported them: in temporary files until they are compared."""

from collections.abc import Collection, Iterator
from contextlib import closing

import msgspec

from amp_console.ledger.scratch_file import ScratchFile
from amp_console.ledger.stored_ids import StoredIds
from amp_console.values import MAX_IDENTIFIER_BYTES, IdType, identifier_fault

_MAX_CHARACTER = 4  # bytes of UTF-8
_USERS = msgspec.json.Decoder(dict[str, str])


class CohortExport:
    """User IDs by Amplitude ID ("": none), and those of one ID type as a set, `ids`.

    `entries` counts the users, repeated ones as often as they occur, and `unidentified` those of
    them without an identifier of the ID type. Its methods raise `ScratchFull`.
    """

    def __init__(self, id_type: IdType) -> None:
        self._id_type = id_type
        self._begin()

    def clear(self) -> None:
        """Begin again, without any users."""
        self.close()
        self._begin()

    def _begin(self) -> None:
        self._file = ScratchFile()
        self._pieces: list[tuple[int, int]] = []
        self._dropped: Collection[tuple[str, str]] = ()
        self._begin_ids()

    def _begin_ids(self) -> None:
        self.ids = StoredIds()
        self.entries = 0
        self.unidentified = 0

    def add(self, users: str) -> None:
        """Add users: a JSON object of some thousands of User IDs by Amplitude ID.

        A User ID that no ledger can store counts as none.
        """
        found = _USERS.decode(users)
        longest = max(map(len, found.values()), default=0)
        if "\\" in users or longest * _MAX_CHARACTER > MAX_IDENTIFIER_BYTES:
            found = {id_: "" if identifier_fault(user) else user for id_, user in found.items()}
            users = msgspec.json.encode(found).decode()
        piece = users.encode()
        self._pieces.append((self._file.append(piece), len(piece)))
        self._add_ids(found)

    def _add_ids(self, users: dict[str, str]) -> None:
        found = users.values() if self._id_type is IdType.USER_ID else users.keys()
        ids = list(filter(None, found))
        self.ids.add(ids)
        self.entries += len(users)
        self.unidentified += len(users) - len(ids)

    def drop(self, dropped: Collection[tuple[str, str]]) -> None:
        """Drop users, by both identifiers as in `users`."""
        self._dropped = dropped
        self.ids.close()
        self._begin_ids()
        for users in self._parts():
            self._add_ids(users)

    def users(self) -> Iterator[tuple[str, str]]:
        """Yield the Amplitude ID and the User ID of each user."""
        for users in self._parts():
            yield from users.items()

    def _parts(self) -> Iterator[dict[str, str]]:
        for piece in self._pieces:
            users = _USERS.decode(self._file.read(*piece))
            for amplitude_id, user_id in self._dropped:
                if users.get(amplitude_id) == user_id:
                    del users[amplitude_id]
            yield users

    def count_people(self) -> int:
        """Count the users, repeated ones once."""
        with closing(StoredIds()) as amplitude_ids:
            for users in self._parts():
                amplitude_ids.add(users)
            return amplitude_ids.count_distinct()

    def close(self) -> None:
        """Delete the files."""
        self._file.close()
        self.ids.close()
