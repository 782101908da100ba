"""Forgetting the person on screen, after their identifier was typed again."""

from amp_console.console.context import Services
from amp_console.console.dialogs.forget import ForgetDialog, forget_question
from amp_console.console.failures import expected_failures
from amp_console.console.jobs.forget import ForgetJob
from amp_console.console.jobs.under_way import under_way
from amp_console.console.screens.actions import read_only_reason
from amp_console.ledger.erasures import PairedTooOften
from amp_console.sync.forget import IdTypeUnclear, plan_forget
from amp_console.values import IdType

ONE_AT_A_TIME = "A deletion request is under way. Start this one when it has ended."


async def ask_and_forget(services: Services, id_: str, id_type: IdType | None) -> None:
    """Ask, start the deletion request, and show its progress.

    `id_type` is the type of the identifier, if it is known.
    """
    session = services.session
    assert session is not None  # the screen is only opened with one
    if (reason := read_only_reason(session.connection)) is not None:
        services.notifications.post(reason, "warning")
        return
    if under_way(services.jobs.forgetting):
        services.notifications.post(ONE_AT_A_TIME, "warning", is_kept=False)
        return
    try:
        plan = await session.read(plan_forget, [id_], id_type)
    except expected_failures(IdTypeUnclear, PairedTooOften) as error:
        services.notifications.post(str(error), "error", is_kept=False)
        return
    if not await services.ask(forget_question(id_, plan)):
        return
    left_behind = services.environment.ledgers.left_behind(session.connection)
    job = ForgetJob(session, plan, services.timing, services.publish, left_behind)
    services.jobs.forgetting = job
    job.start()
    await services.ask(ForgetDialog(job))
