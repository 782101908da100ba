"""The jobs of this console: the current or last one of each kind."""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # a job is imported by the screen or dialog that starts it
    from amp_console.console.jobs.base import Job
    from amp_console.console.jobs.forget import ForgetJob
    from amp_console.console.jobs.imports import ImportJob
    from amp_console.console.jobs.live import LiveJob
    from amp_console.console.jobs.reconcile import ReconcileJob
    from amp_console.console.jobs.refresh import RefreshJob
    from amp_console.console.jobs.runs import SyncJob

J = TypeVar("J", bound="Job")


def under_way(job: J | None) -> J | None:
    """Return the job if it is under way, otherwise None."""
    return None if job is None or job.is_over else job


class Jobs:
    """The current or last job of each kind. They belong to the console, not to a screen."""

    def __init__(self) -> None:
        self.sync: SyncJob | None = None
        self.importing: ImportJob | None = None
        self.reconciling: ReconcileJob | None = None
        self.live: LiveJob | None = None
        self.refreshing: RefreshJob | None = None
        self.forgetting: ForgetJob | None = None

    @property
    def under_way(self) -> "list[Job]":
        """The jobs that have not ended."""
        jobs: tuple[Job | None, ...] = (
            self.sync,
            self.importing,
            self.reconciling,
            self.live,
            self.refreshing,
            self.forgetting,
        )
        return [job for job in jobs if job is not None and not job.is_over]

    def holds(self, audience_id: int) -> bool:
        """Whether a sync, comparison or repair of this console holds the audience's lease."""
        jobs = (self.sync, self.reconciling)
        return any(job is not None and job.holds(audience_id) for job in jobs)

    def sync_of(self, audience_id: int) -> "SyncJob | None":
        """The sync of this console that is under way for the audience, if any."""
        return self.sync if self.sync is not None and self.sync.holds(audience_id) else None

    def syncs(self, audience_id: int) -> bool:
        """Whether a sync of this console is under way for the audience."""
        return self.sync_of(audience_id) is not None

    def carries_out(self, run_id: int) -> bool:
        """Whether a sync, comparison or repair of this console is this run."""
        jobs = (self.sync, self.reconciling)
        return any(job is not None and job.run_id == run_id for job in jobs)

    def stop_sending(self) -> None:
        """Send nothing after the requests in flight are answered. Jobs that only read continue."""
        for run in filter(None, (under_way(self.sync), under_way(self.reconciling))):
            if run.operation.planned:
                run.cancel()
        if self.forgetting is not None:
            self.forgetting.cancel()
        if live := under_way(self.live):
            live.pause()

    @property
    def is_busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self.under_way)
