"""Whether Segment has one person in an audience right now, beside the ledger and the cohort."""

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from amp_console.ledger.people import PersonRecord
from amp_console.segment import SegmentError
from amp_console.sync.queries.person import PersonStatus
from amp_console.values import IdType

if TYPE_CHECKING:
    from amp_console.segment.client import ProfilesClient


NO_USER_ID = "Segment is asked by User ID, and no event contains one for this Amplitude ID."
OTHER_SPACE = "The audience belongs to another space than the connected one."


class InSegment(enum.StrEnum):
    """Segment's answer about a person and an audience."""

    IN = "in"
    OUT = "out"
    NEVER = "never in"  # the profile does not name the audience
    NO_PROFILE = "no profile"
    UNKNOWN = "unknown"


class ProfileAnswer(msgspec.Struct, frozen=True):
    """What the Profile API said of a user ID just now; None: the person's user ID is not known.

    `audiences` says of each audience's key whether the person is in it; None: Segment has no
    profile, or could not be asked, and `trouble` says why.
    """

    user_id: str | None
    audiences: dict[str, bool] | None
    trouble: str = ""

    @property
    def has_profile(self) -> bool | None:
        """Whether Segment has a profile of this user ID; None is unknown."""
        return None if self.trouble else self.audiences is not None

    @property
    def sentence(self) -> str:
        """In which audiences the person is, for a person that the ledger does not know."""
        if self.trouble:
            return f"It is unknown which audiences they are in. {self.trouble}"
        if self.audiences is None:
            return "Segment has no profile of this User ID."
        keys = ", ".join(self.members) or "no audience"
        return f"Segment has them in {keys}."

    @property
    def members(self) -> list[str]:
        """The keys of the audiences that the person is in."""
        return sorted(key for key, is_member in (self.audiences or {}).items() if is_member)

    def in_audience(self, key: str) -> InSegment:
        """Return what it says of the audience with this key."""
        if self.trouble:
            return InSegment.UNKNOWN
        if self.audiences is None:
            return InSegment.NO_PROFILE
        if key not in self.audiences:
            return InSegment.NEVER
        return InSegment.IN if self.audiences[key] else InSegment.OUT


class ThreeAnswers(msgspec.Struct, frozen=True):
    """Segment's answer about a person in one audience, and a sentence with all three answers."""

    in_segment: InSegment
    sentence: str


def user_id_of(text: str, answers: Sequence[PersonStatus]) -> str | None:
    """Return the User ID of the person who was looked up as `text`; None where none is known.

    Segment is asked by User ID, whichever ID type an audience has.
    """
    found: str | None = text
    for answer in answers:
        if answer.record.id_type is IdType.USER_ID:
            return text
        found = answer.record.counterpart
    return found


async def ask_profile(client: "ProfilesClient", user_id: str) -> ProfileAnswer:
    """Ask Segment which audiences a person is in. It raises nothing for a call that fails."""
    try:
        async with client:
            return ProfileAnswer(user_id, await client.audiences_of(user_id))
    except SegmentError as error:
        return ProfileAnswer(user_id, None, str(error))


def three_answers(
    record: PersonRecord, answer: ProfileAnswer, space_id: str
) -> ThreeAnswers | None:
    """Compare ledger, cohort and Segment; None for an audience of another space."""
    audience = record.audience
    if audience.space_id not in {"", space_id}:
        return None
    found = answer.in_audience(audience.key)
    belongs = "belong" if record.is_member else "do not belong"
    cohort = _COHORT[record.delivered]
    if record.id_type is not audience.id_type:
        wanted = audience.id_type.label
        other = record.counterpart
        cohort = f", by their {wanted} {other}" if other else f", but no event has their {wanted}"
    ledger = f"The ledger says that they {belongs} in the cohort{cohort}."
    if found is InSegment.UNKNOWN:
        return ThreeAnswers(found, f"{_SEGMENT[found]}. {answer.trouble} {ledger}")
    sentence = f"{_SEGMENT[found]}. {ledger}"
    if record.is_member is not (found is InSegment.IN):
        sentence += (
            " The two disagree: Segment's newest event about them may not have been imported yet."
        )
    return ThreeAnswers(found, sentence)


_COHORT = {
    True: " and were last known to be in it",
    False: " and were last known not to be in it",
    None: ", and it is not known whether they are in it",
}
_SEGMENT = {
    InSegment.IN: "Segment has them in the audience",
    InSegment.OUT: "Segment does not have them in the audience",
    InSegment.NEVER: "Segment never had them in the audience",
    InSegment.NO_PROFILE: "Segment has no profile of their User ID",
    InSegment.UNKNOWN: "Whether Segment has them in the audience now is unknown",
}
