"""Amplitude's list of cohorts: one call that uses no download."""

from typing import TYPE_CHECKING

from amp_console.amplitude import Cohort

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient


async def sizes(client: "AmplitudeClient") -> dict[str, int | None]:
    """The size of each cohort by its id; None until Amplitude has computed it.

    Raises `AmplitudeError`.
    """
    return {cohort.id: cohort.size for cohort in await client.list_cohorts()}


async def static_cohorts(client: "AmplitudeClient") -> list[Cohort]:
    """The cohorts that a sync can change, by name: those whose members were uploaded.

    Amplitude computes the others from behaviour. Raises `AmplitudeError`.
    """
    found = [
        cohort for cohort in await client.list_cohorts() if cohort.is_static and not cohort.archived
    ]
    return sorted(found, key=lambda item: (item.name.casefold(), item.id))
