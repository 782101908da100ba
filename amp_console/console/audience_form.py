"""What was entered for an audience: its mistakes by field, and the change it asks for."""

from typing import NamedTuple

from amp_console.connections import checked_email
from amp_console.ledger.audiences import Audience
from amp_console.ledger.counts import OtherIdType
from amp_console.sync.audience_settings import SettingsChange
from amp_console.text import plural, trimmed
from amp_console.values import IdType

LONGEST = 200  # characters of a cohort's name
ONLY_BLANKS = "These are only blanks. Leave it empty for the default."
NO_PATH = (
    "No path to the Amplitude ID is set for this connection, so no event gives one: set it under "
    "Field mapping (press m under Audiences), and import the events again."
)


class EnteredSettings(NamedTuple):
    """The fields as they stand there; "" is the default."""

    id_type: IdType
    cohort_name: str
    owner_email: str
    seed_user: str
    enabled: bool


def mistakes(entered: EnteredSettings) -> dict[str, str]:
    """What is wrong, by field."""
    told: dict[str, str] = {}
    texts = {
        "cohort-name": entered.cohort_name,
        "owner": entered.owner_email,
        "seed": entered.seed_user,
    }
    for field, text in texts.items():
        if text and not trimmed(text):
            told[field] = ONLY_BLANKS
        elif not trimmed(text).isprintable():
            told[field] = "It holds a character that can't be shown."
        elif len(text) > LONGEST:
            told[field] = f"It has {len(text)} characters; it may have up to {LONGEST}."
    if "owner" not in told and entered.owner_email:
        try:
            checked_email(entered.owner_email)
        except ValueError as error:
            told["owner"] = str(error)
    return told


def wish(entered: EnteredSettings, known: Audience) -> SettingsChange | None:
    """The change from what is set to what was entered; None where they are the same."""

    def either(text: str, before: str | None) -> str | None:
        new = trimmed(text)
        return None if new == (before or "") else new

    change = SettingsChange(
        id_type=None if entered.id_type is known.id_type else entered.id_type,
        cohort_name=either(entered.cohort_name, known.cohort_name),
        owner_email=either(entered.owner_email, known.owner_email),
        seed_user=either(entered.seed_user, known.seed_user),
        enabled=None if entered.enabled is known.enabled else entered.enabled,
    )
    return None if change == SettingsChange() else change


def consequences(known: Audience, other: OtherIdType, *, has_path: bool) -> list[str]:
    """Say what switching the ID type of a synced audience does to the people in its cohort."""
    old, new = known.id_type.label, known.id_type.other.label
    moves = (
        f"The cohort holds {plural(other.leave, 'member')} delivered by {old}. The next sync "
        f"removes them and adds {other.enter:,} by {new}."
    )
    told = [moves]
    if other.unknown:
        people = plural(other.unknown, "person", "people")
        told += [f"{people} came without {new}: they are left out, and listed under Errors."]
    if known.id_type.other is IdType.AMPLITUDE_ID and not has_path:
        told += ["", NO_PATH]
    return [*told, "", "Nothing is sent before the next sync. You can switch back until then."]
