"""Which audiences of the ledger the events speak of, as they are met."""

from contextlib import suppress

from amp_console.engage import EventBatch
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import NO_HINTS, AudienceAmbiguous, audience_of, discover
from amp_console.sync.ingest.buffer import ChangeBuffer
from amp_console.values import AudienceHints, AudienceRef


class KnownAudiences:
    """The audiences met so far, and their ids in the ledger; new ones are entered there."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.ids: dict[AudienceRef, int] = {}

    def meet(self, part: ChangeBuffer, batch: EventBatch) -> None:
        """Make the audiences known that are spoken of for the first time; raises `LedgerError`.

        The batch is the one added to the part last. Events whose key alone means several
        audiences are refused.
        """
        # Those known by their key alone come after those they may mean.
        unknown = sorted(
            part.gathered.audiences - self.ids.keys(), key=lambda ref: (not ref.computation_id, ref)
        )
        for ref in unknown:
            try:
                self.discover(ref, batch.hints.get(ref, NO_HINTS))
            except AudienceAmbiguous:
                part.refuse(ref, batch)
        for ref, hints in batch.hints.items():
            with suppress(AudienceAmbiguous):  # whose events, if there are any, were refused above
                self.discover(ref, hints)

    def choose(self, by_key: AudienceRef, exactly: AudienceRef) -> None:
        """Let a key alone mean one audience of the ledger: the operator's choice for a list."""
        found = self._ledger.read(audience_of, exactly)
        if found is not None:
            self.ids[by_key] = found

    def discover(self, ref: AudienceRef, hints: AudienceHints = NO_HINTS) -> int:
        """Enter an audience, or find it there; raises as `discover` of the ledger does."""
        self.ids[ref] = self._ledger.write(discover, ref, hints).id
        return self.ids[ref]
