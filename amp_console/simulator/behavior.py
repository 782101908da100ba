"""The settings of the simulated Amplitude, in one value."""

import msgspec


class Behavior(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated Amplitude answers; can be replaced while it runs.

    The limits are those of Amplitude's Behavioral Cohorts and Dashboard REST API pages. There is a
    switch where those pages say nothing, or where clients have seen more than one answer.
    """

    latency: float = 0.0
    """Seconds that every call takes, while it occupies a slot of its queue."""
    latency_per_1000: float = 0.0
    """Additional seconds for each 1,000 ids of a call."""

    unknown_cohort_status: int = 400
    """The status for a cohort that does not exist: 400 or 404."""
    wrong_app_id_status: int = 400
    """The status for an upload to another project: 400 or 403."""
    refuses_all_invalid: bool = True
    """Whether an upload without a known user gets a 400 with a sample, or a 200 with 0 matches."""
    uploads_by_amplitude_id: bool = True
    """Whether an upload may use BY_AMP_ID."""
    accepts_by_amp_id: bool = False
    """Whether membership accepts BY_AMP_ID as a synonym of BY_ID."""
    numeric_skipped_ids: bool = False
    """Whether skipped IDs that consist of digits are returned as numbers."""
    computes_sizes: bool = True
    """Whether cohorts are computed at once; otherwise `size` and `lastComputed` stay null."""
    tabbed_cells: bool = False
    """Whether the cells of a downloaded file start with a tab inside their quotes."""
    invalid_sample: int = 10
    """How many unknown ids an upload's answer names."""

    max_ids: int = 100_000
    """Ids in one request."""
    downloads_per_month: int = 500
    """Downloads started in one calendar month (UTC)."""
    starts_per_10_minutes: int = 60
    """Downloads started in any ten minutes."""
    jobs_at_once: int = 4
    """Downloads started in the last minute that are not ready yet."""
    searches_per_hour: int = 360
    """User searches in any hour."""
    searches_at_once: int = 10
    """User searches in progress at the same time."""
    downloads_at_once: int = 5
    """Download calls in progress at the same time."""

    job_polls: int = 1
    """How many times a download's status is "in progress" before it is ready."""
    job_seconds: float = 0.0
    """The minimum duration of a download, in seconds of the project's clock."""
    redirect_above: int = 10_000
    """Rows above which a file is fetched from a pre-signed link."""
    link_seconds: float = 60.0
    """How long a pre-signed link is valid."""
    file_seconds: float = 7 * 86_400.0
    """How long a finished file is available."""

    def seconds_for(self, ids: int) -> float:
        """Return how many seconds a call with so many IDs takes."""
        return self.latency + self.latency_per_1000 * ids / 1_000
