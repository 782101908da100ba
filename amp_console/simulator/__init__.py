"""A local Amplitude to run against, and a generator of Engage events for it.

`Simulator` serves a `World` over real HTTP on loopback; `Faults` makes trouble while it runs;
`generator` writes what Segment would have sent, together with the truth about who ends up where.
The simulator does not use the product's client, so that neither can hide a mistake in the other.
"""

from amp_console.simulator.behavior import Behavior
from amp_console.simulator.calls import Call, Seen
from amp_console.simulator.faults import (
    Answer,
    Body,
    Cut,
    Faults,
    Late,
    RefuseIds,
    Reset,
    Rule,
    Slow,
    TooLarge,
    Trouble,
)
from amp_console.simulator.generator import demo_scenario, events, write_file
from amp_console.simulator.people import Known, is_ghost
from amp_console.simulator.scenario import Audience, Scenario
from amp_console.simulator.segment import Canned, ListedAudience, SegmentSpace, Size
from amp_console.simulator.server import Simulator, run_forever
from amp_console.simulator.truth import Truth
from amp_console.simulator.world import Cohort, World

__all__ = [
    "Answer",
    "Audience",
    "Behavior",
    "Body",
    "Call",
    "Canned",
    "Cohort",
    "Cut",
    "Faults",
    "Known",
    "Late",
    "ListedAudience",
    "RefuseIds",
    "Reset",
    "Rule",
    "Scenario",
    "Seen",
    "SegmentSpace",
    "Simulator",
    "Size",
    "Slow",
    "TooLarge",
    "Trouble",
    "Truth",
    "World",
    "demo_scenario",
    "events",
    "is_ghost",
    "run_forever",
    "write_file",
]
