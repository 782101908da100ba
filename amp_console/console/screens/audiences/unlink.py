"""Forgetting an audience's cohort, after a question."""

from typing import TYPE_CHECKING

from amp_console.console import changing
from amp_console.console.dialogs.base import Confirm
from amp_console.console.texts import WARN, said
from amp_console.ledger.audiences import Audience
from amp_console.text import clean

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp


async def unlink(app: "ConsoleApp", known: Audience) -> bool:
    """Ask, and unlink; True where that was done. To be run in a worker."""
    name = clean(known.linked_name or known.cohort_id or "")
    stays = (
        "The cohort stays in Amplitude with whoever is in it, and is changed no more. The next "
        "sync makes a new cohort with all members of the audience."
    )
    question = Confirm(
        f"Unlink “{name}”?",
        [stays, "", said(("Amplitude's API can't delete cohorts.", WARN))],
        yes="Unlink",
        is_danger=True,
    )
    if not await app.push_screen_wait(question):
        return False
    return await changing.unlink(app, known) is not None
