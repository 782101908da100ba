"""Testing a connection's keys before they are saved."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from amp_console.amplitude import AmplitudeError, KeysReason, KeysRefused
from amp_console.text import plural
from amp_console.values import Region

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient


class KeysAccepted(msgspec.Struct, frozen=True):
    """The keys work. `app_ids` are the projects of the listed cohorts."""

    cohorts: int
    app_ids: frozenset[int]

    @property
    def sentences(self) -> str:
        """That they work, and for how many cohorts."""
        cohorts = plural(self.cohorts, "cohort") if self.cohorts else "no cohorts yet"
        return f"Amplitude accepted the keys. This project has {cohorts}."


class WrongRegion(Exception):
    """The keys are unknown in the given region but work in the other one."""

    def __init__(self, named: Region) -> None:
        super().__init__(
            f"Amplitude does not know these keys in {named.label}; they belong to a project in "
            f"{named.other.label}. Nothing was saved. Connect it with that region."
        )
        self.region = named.other


async def check_keys(
    client_for: "Callable[[Region], AmplitudeClient]", region: Region, *, has_other: bool
) -> KeysAccepted:
    """Ask Amplitude for its cohorts with the keys; the call costs none of the quotas.

    Raises `KeysRefused`, saying whether key or secret is wrong, `WrongRegion` where the other
    region (if `has_other`: there is one) accepts the keys, and other `AmplitudeError`s.
    """
    try:
        return await _ask(client_for(region))
    except KeysRefused as error:
        if has_other and error.reason is KeysReason.UNKNOWN_KEY:
            await _check_other_region(client_for(region.other), region)
        raise


async def _check_other_region(client: "AmplitudeClient", named: Region) -> None:
    try:
        await _ask(client)
    except AmplitudeError:
        return  # the first refusal is the one to report
    raise WrongRegion(named)


async def _ask(client: "AmplitudeClient") -> KeysAccepted:
    async with client:
        cohorts = await client.list_cohorts()
    ids = frozenset(cohort.app_id for cohort in cohorts if cohort.app_id is not None)
    return KeysAccepted(len(cohorts), ids)
