"""Forgetting an audience's cohort, after a question."""

from amp_console.console import changing
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm
from amp_console.console.texts import WARN, said
from amp_console.ledger.audiences import Audience
from amp_console.text import clean


async def unlink(services: Services, known: Audience) -> bool:
    """Ask, and unlink; True where that was done. To be run in a worker."""
    name = clean(known.linked_name or known.cohort_id or "")
    stays = (
        "The cohort stays in Amplitude with its members and is no longer changed. The next "
        "sync makes a new cohort with all members of the audience."
    )
    question = Confirm(
        f"Unlink “{name}”?",
        [stays, "", said(("Amplitude's API can't delete cohorts.", WARN))],
        yes="Unlink",
        is_danger=True,
    )
    if not await services.ask(question):
        return False
    return await changing.unlink(services, known) is not None
