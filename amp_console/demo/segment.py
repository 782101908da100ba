"""Segment's answers in the demo: mostly the same as the ledger, with a few differences.

They were read some minutes before the demo began, through the product's own use case.
"""

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from amp_console.connections import Connection
from amp_console.demo.clock import MINUTE, Clock
from amp_console.demo.dataset import CHURN, NEWSLETTER, TRIAL
from amp_console.ledger import Ledger
from amp_console.ledger.people import find_person
from amp_console.sync.queries.status import AudienceSummary, audience_summaries
from amp_console.sync.segment_space import public_client, read_space

if TYPE_CHECKING:
    from amp_console.simulator import ListedAudience, Simulator

ASKED = 11 * MINUTE  # before the demo began
NOT_READ_YET = 23  # people at risk of churning whose events have not arrived
ONLY_IN_SEGMENT = (
    ("renewal_next_month", "Renewal next month", "aud_2fyRenewalNe0007", 946),
    ("win_back_candidates", "Win-back candidates", "aud_2fyWinBackCa0008", 3_418),
)
"""Audiences that the ledger has never seen: key, name, computation ID, size."""


async def seed_segment(
    simulator: "Simulator", ledger: Ledger, connection: Connection, clock: Clock
) -> None:
    """Read the simulated space into the ledger. It always knows the ledger's people."""
    from amp_console.simulator.segment import TOKEN

    assert connection.segment is not None
    simulator.segment.id = connection.segment.id
    simulator.segment.find_audiences = partial(_audiences, ledger, connection)
    simulator.segment.find_profile = partial(_profile, ledger)
    clock.set(clock.ago(ASKED))
    client = public_client(connection.segment, TOKEN)
    await read_space(ledger, client, connection.segment.id, now=clock.now)


def _audiences(ledger: Ledger, connection: Connection) -> "list[ListedAudience]":
    """The audiences of the space, with the ledger's current sizes."""
    from amp_console.simulator import ListedAudience, Size

    return [
        *map(_listed, ledger.read(audience_summaries, connection)),
        *(
            ListedAudience(key=key, name=name, id=id_, size=Size(size))
            for key, name, id_, size in ONLY_IN_SEGMENT
        ),
    ]


def _profile(ledger: Ledger, user_id: str) -> dict[str, bool] | None:
    """Whether a person is in each audience now, for those they ever were in, by the ledger."""
    found = ledger.read(find_person, user_id)
    return {item.audience.key: item.is_member for item in found} if found else None


def _listed(summary: AudienceSummary) -> "ListedAudience":
    """An audience of the ledger as Segment lists it."""
    from amp_console.simulator import ListedAudience, Size

    known = summary.audience
    size = (summary.members or 0) + (NOT_READ_YET if known.key == CHURN.key else 0)
    listed = ListedAudience(
        key=known.key, name=known.own_name, id=known.computation_id, size=Size(size)
    )
    if known.key == NEWSLETTER.key:  # it is being recomputed now
        return msgspec.structs.replace(listed, status="Computing", size=msgspec.UNSET)
    return msgspec.structs.replace(listed, status="Error") if known.key == TRIAL.key else listed
