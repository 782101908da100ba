"""The sign and the tone in which the console shows the status of an audience."""

from amp_console.console.glyphs import Glyphs
from amp_console.sync.queries.status import Status

STATUS_TONES = {
    Status.IN_SYNC: "good",
    Status.PENDING: "warn",
    Status.UNCERTAIN: "warn",
    Status.REJECTED: "bad",
    Status.BROKEN: "bad",
    Status.OFF: "dim",
    Status.NOT_LINKED: "warn",
    Status.DIFFERS: "bad",
}
"""The tone each status is shown in; its sign and word say the same."""


def status_sign(glyphs: Glyphs, status: Status) -> str:
    """Return the sign that is shown before a status's word."""
    return {
        Status.IN_SYNC: glyphs.circle,
        Status.PENDING: glyphs.half,
        Status.UNCERTAIN: glyphs.other_half,
        Status.REJECTED: glyphs.triangle,
        Status.BROKEN: glyphs.cross,
        Status.OFF: glyphs.ring,
        Status.NOT_LINKED: glyphs.dotted,
        Status.DIFFERS: glyphs.triangle,
    }[status]
