"""Which members to make a cohort from, when Amplitude does not take the first ones."""

from amp_console.amplitude import BadRequest
from amp_console.ledger.deliveries import DeliveryBatch
from amp_console.sync.delivery.uploading import UploadOutcome
from amp_console.sync.delivery.worker import words_of
from amp_console.values import IdType

FIRST_UPLOAD = 100  # members; more only where Amplitude knows none of them
LARGEST_UPLOAD = 100_000
MOST_REFUSALS = 4  # of different members; then it is not about the members
MOST_SINGLES = 20  # members tried one by one
MOST_NAMED = 3  # refusals in a row that name somebody: it may be a sample of very many


class SeedStrategy:
    """Which members to try next: others after each failure, more or fewer as it failed.

    At the end of the members, some of those who were refused together are tried one by one.
    """

    def __init__(self, id_type: IdType) -> None:
        self.id_type = id_type
        self.after = 0
        self.size = FIRST_UPLOAD
        self.last: DeliveryBatch | None = None
        self.refusal: BadRequest | None = None  # one that names nobody
        self.words = ""  # of one that names somebody
        self.avoid: set[str] = set()  # who was named
        self._named = 0
        self._refusals = 0
        self._singles: int | None = None

    def went(self, outcome: UploadOutcome, row: int) -> None:
        """Draw the lesson from an upload that made no cohort."""
        if outcome is UploadOutcome.LOST:
            self.size = max(1, self.size // 2)  # it may have been too much at once
            return
        self.after, self._named = row, 0
        if self._singles is not None:
            self._singles += 1
        elif outcome is UploadOutcome.UNKNOWN:
            self.size = min(LARGEST_UPLOAD, self.size * 10)

    def refused(self, refusal: BadRequest, row: int) -> None:
        """Draw the lesson from a refusal."""
        if refusal.culprits:
            self.words = words_of(refusal)
            self._without(set(refusal.culprits), row)
            return
        self.refusal = refusal
        self._refusals += 1
        self.size = max(1, self.size // 10)
        self.went(UploadOutcome.REFUSED, row)

    def _without(self, named: set[str], row: int) -> None:
        """Try the same members without those who were named; the others may be known."""
        is_news = not named <= self.avoid
        self.avoid |= named
        self._named += 1
        if not is_news or self._named > MOST_NAMED:
            self.went(UploadOutcome.UNKNOWN, row)

    @property
    def is_over(self) -> bool:
        """True when it is not about the members, or enough of them were tried alone."""
        return self._refusals >= MOST_REFUSALS or (self._singles or 0) >= MOST_SINGLES

    def starts_over(self) -> bool:
        """At the end of the members: once more, one by one, where they were refused together."""
        if self._singles is not None or not (self.refusal or self.words):
            return False
        self._singles, self.after, self.size = 0, 0, 1
        return True
