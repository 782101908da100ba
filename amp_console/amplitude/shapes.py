"""The arguments and results of Amplitude's calls."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from amp_console.values import IdType

Ids: TypeAlias = msgspec.Raw | Sequence[str]
"""Identifiers for a request; a Raw is the JSON text of an array of strings, sent unchanged."""


class Cohort(msgspec.Struct, frozen=True, kw_only=True):
    """A cohort as Amplitude lists it. Times are seconds since 1970.

    `size` and `last_computed` are None until Amplitude first computes it. Names need not be unique.
    """

    id: str
    name: str = ""
    app_id: int | None = None
    owners: tuple[str, ...] = ()
    size: int | None = None
    type: str = ""
    description: str = ""
    published: bool = True
    archived: bool = False
    finished: bool = False
    created_at: int | None = None
    last_modified: int | None = None
    last_computed: int | None = None

    @property
    def is_static(self) -> bool:
        """Whether its members were uploaded; other cohorts are computed from behavior."""
        return self.type == "manual_upload"


class Usage(msgspec.Struct, frozen=True):
    """The month's quota of downloads; `resets_at` is Amplitude's own text."""

    limit: int
    used: int
    resets_at: str | None = None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A new static cohort or, with `existing_cohort_id`, all new members of an existing one.

    `owner` is the email address of a login at Amplitude. Ids that Amplitude does not know are
    skipped; a cohort without any known id is refused.
    """

    name: str
    app_id: int
    id_type: IdType
    ids: Ids
    owner: str
    published: bool = True
    existing_cohort_id: str | None = None


class Uploaded(msgspec.Struct, frozen=True):
    """The result of an upload; Amplitude returns only a sample of the unknown ids.

    `cohort_id` is None if no cohort was created. `text` is the first 2000 characters of the body.
    """

    cohort_id: str | None
    matched: int | None
    total: int | None
    invalid_sample: tuple[str, ...]
    text: str


class MembersChanged(msgspec.Struct, frozen=True):
    """The result of a change of members, which skips the ids that Amplitude does not know.

    `text` is the first 2000 characters of the body.
    """

    skipped: tuple[str, ...]
    text: str


class UserMatch(msgspec.Struct, frozen=True):
    """A user found by a search; anonymous users have no user ID."""

    user_id: str | None
    amplitude_id: str
