"""Who plays in the demo: six audiences, their people, and the events that speak of them."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

SPACE = "spa_2fyExampleSpaceForTheDemo"
MIX, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1
FIRST_AMPLITUDE_ID = 412_000_000_000
SECOND = 1_000_000  # microseconds
GROUPS = 12  # an hour: so often a second is told in which people cross


class Role(NamedTuple):
    """One audience: what Segment calls it, how many people it has, and what its events carry."""

    key: str
    name: str
    computation_id: str
    people: int
    has_amplitude_ids: bool = False


SHOPPERS = Role("high_value_shoppers", "High value shoppers", "aud_2fyHighValue0001", 8_210)
ABANDONERS = Role("cart_abandoners", "Cart abandoners", "aud_2fyCartAband0002", 11_774)
CHURN = Role("churn_risk_beta", "Churn risk (beta)", "aud_2fyChurnRisk0003", 1_506, True)
NEWSLETTER = Role("newsletter", "Newsletter", "aud_2fyNewsletter004", 12_120)
TRIAL = Role("trial_day_7", "Trial day 7", "aud_2fyTrialDay70005", 1_204)
LAPSED = Role("recently_lapsed", "Recently lapsed", "aud_2fyRecentLaps006", 5_310)
ROLES = (SHOPPERS, ABANDONERS, CHURN, NEWSLETTER, TRIAL, LAPSED)


class Crossing(NamedTuple):
    """People who enter or leave in the same second (`at`, microseconds since 1970).

    `amplitude_ids` are of the same people in the same order, where their events carry them.
    """

    at: int
    is_member: bool
    user_ids: Sequence[str]
    amplitude_ids: Sequence[str] = ()


def user_ids(seed: int, role: Role, first: int, count: int) -> list[str]:
    """The user IDs of some of an audience's people, counted from 0."""
    start = (first + 1 + ROLES.index(role) * 1_000_003 + seed * 7_368_787) * MIX
    return [f"usr_{mixed & MASK:016x}" for mixed in range(start, start + count * MIX, MIX)]


def amplitude_ids(seed: int, count: int) -> list[str]:
    """The Amplitude IDs of the first people who have one."""
    first = FIRST_AMPLITUDE_ID + seed * 1_000_000
    return [str(number) for number in range(first, first + count * 7, 7)]


def spread(
    people: Sequence[str], since: int, until: int, dice: random.Random, *, is_member: bool = True
) -> Iterator[Crossing]:
    """Let people cross one group after the other, more of them now and fewer then."""
    groups = max(1, min(len(people), (until - since) * GROUPS // (3_600 * SECOND)))
    weights = [0.4 + dice.random() for _ in range(groups)]
    step, whole, so_far, begin = (until - since) // groups, sum(weights), 0.0, 0
    for number, weight in enumerate(weights):
        so_far += weight
        end = len(people) if number == groups - 1 else int(len(people) * so_far / whole)
        if end > begin:
            yield Crossing(since + number * step, is_member, people[begin:end])
        begin = end


def stamp(at: int) -> str:
    """A moment in microseconds since 1970 as events write it."""
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def event_lines(role: Role, crossing: Crossing) -> str:
    """The events of a crossing, one a line; a template, for there are tens of thousands."""
    head = (
        f'{{"type":"identify","context":{{"personas":{{"computation_class":"audience",'
        f'"computation_id":"{role.computation_id}","computation_key":"{role.key}",'
        f'"space_id":"{SPACE}"}}}},"userId":"'
    )
    is_member = "true" if crossing.is_member else "false"
    middle = f'","timestamp":"{stamp(crossing.at)}","traits":{{"{role.key}":{is_member}'
    if not crossing.amplitude_ids:
        return "".join([f"{head}{user_id}{middle}}}}}\n" for user_id in crossing.user_ids])
    pairs = zip(crossing.user_ids, crossing.amplitude_ids, strict=True)
    return "".join([f'{head}{u}{middle},"amplitude_id":"{a}"}}}}\n' for u, a in pairs])
