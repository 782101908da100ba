"""The jobs of this console: at most one of each kind, and the last one of each is kept."""

from amp_console.console.jobs.live import LiveJob
from amp_console.console.jobs.reconcile import ReconcileJob
from amp_console.console.jobs.runs import ImportJob, SyncJob


class Jobs:
    """The last job of each kind, under way or over. They belong to the console, not to a screen."""

    def __init__(self) -> None:
        self.sync: SyncJob | None = None
        self.importing: ImportJob | None = None
        self.reconciling: ReconcileJob | None = None
        self.live: LiveJob | None = None

    @property
    def under_way(self) -> list[SyncJob | ImportJob | ReconcileJob | LiveJob]:
        """The jobs that have not ended yet."""
        jobs = (self.sync, self.importing, self.reconciling, self.live)
        return [job for job in jobs if job is not None and not job.is_over]

    @property
    def is_busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self.under_way)
