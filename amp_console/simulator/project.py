"""The state of every call: the world, its behavior, used quotas and current work."""

from dataclasses import dataclass, field

from amp_console.simulator.behavior import Behavior
from amp_console.simulator.calls import Refused
from amp_console.simulator.quotas import Quotas
from amp_console.simulator.world import Cohort, World


@dataclass(slots=True)
class Job:
    """The download of one cohort's members as of its start."""

    request_id: str
    cohort_id: str
    rows: list[tuple[int, str]]
    started: float
    polls: int = 0


@dataclass(slots=True)
class Project:
    """One simulated project. `behavior` can be replaced at any time."""

    world: World
    behavior: Behavior
    quotas: Quotas = field(init=False)
    jobs: dict[str, Job] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.quotas = Quotas(self.world.clock)

    def cohort(self, cohort_id: str) -> Cohort:
        """Return a cohort. Raises Refused if it does not exist."""
        cohort = self.world.cohort(cohort_id)
        if cohort is None:
            raise Refused(self.behavior.unknown_cohort_status, f"Cohort {cohort_id} not found")
        return cohort

    def open_job(self, cohort_id: str) -> Job:
        """Start a download. Its request id has six characters."""
        job = Job(
            request_id=f"Rq{len(self.jobs) + 1:04}",
            cohort_id=cohort_id,
            rows=self.world.export(cohort_id),
            started=self.world.clock(),
        )
        self.jobs[job.request_id] = job
        return job

    def is_ready(self, job: Job) -> bool:
        """Return whether a download's file is ready."""
        waited = self.world.clock() - job.started
        return job.polls >= self.behavior.job_polls and waited >= self.behavior.job_seconds
