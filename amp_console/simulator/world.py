"""The simulated project: its users and cohorts. Plain and synchronous, without HTTP."""

import random
import string
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from amp_console.simulator.people import Known, Match, People, Resolved, User, is_ghost
from amp_console.values import IdType, Operation

UPLOADED = "manual_upload"
"""The type of a cohort of uploaded ids."""

Clock = Callable[[], float]
"""Returns the seconds since 1970."""


class Cohort(msgspec.Struct, frozen=True):
    """A cohort without its members. Times are seconds since 1970."""

    id: str
    name: str
    owners: tuple[str, ...]
    published: bool
    app_id: int
    created_at: int
    last_mod: int
    type: str = UPLOADED


class World:
    """One project of a simulated Amplitude. Thread-safe.

    `known` says which ids exist; if all do, `unknown` returns true for exceptions. A search finds
    ids that were in a request, or for which `is_found` returns true. `organization` holds the
    emails that may own a cohort; None allows any email.
    """

    def __init__(
        self,
        known: Known = Known.EVERYONE,
        *,
        unknown: Callable[[str], bool] = is_ghost,
        is_found: Callable[[str], bool] = lambda _: True,
        app_id: int = 123456,
        organization: Collection[str] | None = None,
        clock: Clock = time.time,
        seed: int = 0,
    ) -> None:
        self.app_id = app_id
        self.organization = organization
        self.clock = clock
        self._rng = random.Random(seed)
        self._people = People(known, unknown, is_found)
        self._expected: dict[str, float] = {}  # users to be added, and when
        self._cohorts: dict[str, Cohort] = {}
        self._members: dict[str, set[int]] = {}
        self._ever: dict[str, set[int]] = {}
        self._lock = threading.RLock()

    def add_user(self, user_id: str | None, amplitude_id: int | None = None) -> int:
        """Add a user and return the Amplitude ID. Raises ValueError if one ID is in use."""
        with self._lock:
            return self._people.add(user_id, amplitude_id)

    def add_users(self, user_ids: Iterable[str]) -> None:
        """Add many users. Raises ValueError at the first one that already exists."""
        with self._lock:
            for user_id in user_ids:
                self._people.add(user_id)

    def expect_users(self, user_ids: Iterable[str], at: float) -> None:
        """Add these users at `at`, in seconds since 1970, unless they exist by then."""
        with self._lock:
            self._expected |= dict.fromkeys(user_ids, at)

    def _admit_expected(self) -> None:
        """Add the expected users whose time has come."""
        if self._expected:
            now = self.clock()
            for user_id in [user_id for user_id, at in self._expected.items() if at <= now]:
                del self._expected[user_id]
                if not self._people.has(user_id):
                    self._people.add(user_id)

    def resolve(self, ids: Sequence[str], id_type: IdType) -> Resolved:
        """Find the users behind many ids of one type."""
        with self._lock:
            self._admit_expected()
            return self._people.resolve(ids, id_type)

    def search(self, text: str, limit: int = 100) -> tuple[Match, list[User]]:
        """Find users by user ID, Amplitude ID or the beginning of a user ID."""
        with self._lock:
            self._admit_expected()
            return self._people.search(text, limit)

    def accepts_owner(self, email: str) -> bool:
        """Return whether this login email may own a cohort."""
        return "@" in email if self.organization is None else email in self.organization

    def create_cohort(
        self,
        name: str,
        owner: str,
        members: Iterable[int] = (),
        *,
        published: bool = True,
        type: str = UPLOADED,  # noqa: A002  # Amplitude's word
    ) -> Cohort:
        """Create a cohort with these members (Amplitude IDs). Names need not be unique."""
        with self._lock:
            now = int(self.clock())
            cohort = Cohort(self._new_id(), name, (owner,), published, self.app_id, now, now, type)
            self._cohorts[cohort.id] = cohort
            self._members[cohort.id] = set(members)
            self._ever[cohort.id] = set(self._members[cohort.id])
            return cohort

    def change(self, cohort_id: str, operation: Operation, members: set[int]) -> None:
        """Add or remove members (Amplitude IDs). Raises KeyError if there is no such cohort."""
        with self._lock:
            if operation is Operation.ADD:
                self._members[cohort_id] |= members
                self._ever[cohort_id] |= members
            else:
                self._members[cohort_id] -= members
            self._touch(cohort_id)

    def replace(self, cohort_id: str, members: set[int]) -> Cohort:
        """Replace the members of a cohort. Raises KeyError if there is no such cohort."""
        with self._lock:
            self._members[cohort_id] = set(members)
            self._ever[cohort_id] |= members
            return self._touch(cohort_id)

    def drop_cohort(self, cohort_id: str) -> None:
        """Delete a cohort, as a person could in Amplitude's web application. Raises KeyError."""
        with self._lock:
            for table in (self._cohorts, self._members, self._ever):
                del table[cohort_id]

    def cohorts(self) -> list[Cohort]:
        """Return all cohorts in order of creation."""
        with self._lock:
            return list(self._cohorts.values())

    def cohort(self, cohort_id: str) -> Cohort | None:
        """Return a cohort as it is now, or None."""
        with self._lock:
            return self._cohorts.get(cohort_id)

    def cohort_named(self, name: str) -> Cohort:
        """Return the first cohort with this name. Raises LookupError if there is none."""
        for cohort in self.cohorts():
            if cohort.name == name:
                return cohort
        raise LookupError(f"There is no cohort named {name!r}.")

    def size(self, cohort_id: str) -> int:
        """Return how many members a cohort has. Raises KeyError."""
        with self._lock:
            return len(self._members[cohort_id])

    def users(self, cohort_id: str) -> list[User]:
        """Return a cohort's members in order of their Amplitude IDs. Raises KeyError."""
        with self._lock:
            return [User(self._people.name(n), n) for n in sorted(self._members[cohort_id])]

    def export(self, cohort_id: str) -> list[tuple[int, str]]:
        """Return a cohort's members as a download lists them: Amplitude ID, user ID or "".

        They are in order of their Amplitude IDs. Raises KeyError.
        """
        with self._lock:
            numbers = sorted(self._members[cohort_id])
            return [
                (n, name or "")
                for n, name in zip(numbers, self._people.names(numbers), strict=True)
            ]

    def members(self, cohort_id: str) -> set[str]:
        """Return the members' user IDs; Amplitude IDs for users without one. Raises KeyError."""
        with self._lock:
            return self._texts(self._members[cohort_id])

    def ever(self, cohort_id: str) -> set[str]:
        """Return everyone who was ever a member, by the same identifiers as `members`."""
        with self._lock:
            return self._texts(self._ever[cohort_id])

    def _texts(self, numbers: set[int]) -> set[str]:
        return {
            str(number) if (name := self._people.name(number)) is None else name
            for number in numbers
        }

    def _touch(self, cohort_id: str) -> Cohort:
        cohort = msgspec.structs.replace(self._cohorts[cohort_id], last_mod=int(self.clock()))
        self._cohorts[cohort_id] = cohort
        return cohort

    def _new_id(self) -> str:
        letters = string.ascii_lowercase + string.digits
        while (made := "".join(self._rng.choices(letters, k=8))) in self._cohorts:
            pass
        return made
