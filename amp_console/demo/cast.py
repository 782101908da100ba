"""Who plays in the demo: six audiences, their people, and the events that speak of them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

SPACE = "spa_2fyExampleSpaceForTheDemo"
MIX, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1
FIRST_AMPLITUDE_ID = 412_000_000_000
SECOND = 1_000_000  # microseconds


class Role(NamedTuple):
    """One audience: what Segment calls it, and how many people it has when the curtain rises."""

    key: str
    name: str
    computation_id: str
    people: int


SHOPPERS = Role("high_value_shoppers", "High value shoppers", "aud_2fyHighValue0001", 48_210)
ABANDONERS = Role("cart_abandoners", "Cart abandoners", "aud_2fyCartAband0002", 201_774)
CHURN = Role("churn_risk_beta", "Churn risk (beta)", "aud_2fyChurnRisk0003", 9_006)
NEWSLETTER = Role("newsletter", "Newsletter", "aud_2fyNewsletter004", 77_120)
TRIAL = Role("trial_day_7", "Trial day 7", "aud_2fyTrialDay70005", 1_204)
LAPSED = Role("recently_lapsed", "Recently lapsed", "aud_2fyRecentLaps006", 5_310)
ROLES = (SHOPPERS, ABANDONERS, CHURN, NEWSLETTER, TRIAL, LAPSED)


class Entrance(NamedTuple):
    """One person enters or leaves; `amplitude_id` is "" where the event carries none."""

    user_id: str
    is_member: bool
    at: int
    amplitude_id: str = ""


def user_id(seed: int, role: Role, number: int) -> str:
    """The user ID of an audience's person, counted from 0."""
    mixed = (number + 1 + ROLES.index(role) * 1_000_003 + seed * 7_368_787) * MIX & MASK
    return f"usr_{mixed:016x}"


def amplitude_id(seed: int, number: int) -> str:
    """The Amplitude ID of a person, counted from 0."""
    return str(FIRST_AMPLITUDE_ID + seed * 1_000_000 + number * 7)


def stamp(at: int) -> str:
    """A moment in microseconds since 1970 as events write it."""
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def lines(role: Role, entrances: Iterable[Entrance]) -> Iterator[str]:
    """The events, one a line; a template, for there may be 200,000 of them."""
    head = (
        f'{{"type":"identify","context":{{"personas":{{"computation_class":"audience",'
        f'"computation_id":"{role.computation_id}","computation_key":"{role.key}",'
        f'"space_id":"{SPACE}"}}}},"userId":"'
    )
    last, text = -1, ""
    for each in entrances:
        if each.at // SECOND != last:
            last, text = each.at // SECOND, stamp(each.at)
        other = f',"amplitude_id":"{each.amplitude_id}"' if each.amplitude_id else ""
        is_member = "true" if each.is_member else "false"
        yield (
            f'{head}{each.user_id}","timestamp":"{text}",'
            f'"traits":{{"{role.key}":{is_member}{other}}}}}\n'
        )
