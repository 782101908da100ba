"""The data of the demo: six audiences, their people, and their events."""

import random
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

SPACE = "spa_2fyExampleSpaceForTheDemo"
MIX, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1
AUDIENCE_STEP, SEED_STEP = 1_000_003, 7_368_787  # between two audiences' numbers, and two seeds'
USER_ID = re.compile("usr_[0-9a-f]{16}")
FIRST_AMPLITUDE_ID = 412_000_000_000
SECOND = 1_000_000  # microseconds
GROUPS = 12  # groups of changes per hour; all changes of a group are in the same second


class AudienceDefinition(NamedTuple):
    """One audience: its names in Segment, and its size."""

    key: str
    name: str
    computation_id: str
    people: int


SHOPPERS = AudienceDefinition(
    "high_value_shoppers", "High value shoppers", "aud_2fyHighValue0001", 8_210
)
ABANDONERS = AudienceDefinition(
    "cart_abandoners", "Cart abandoners", "aud_2fyCartAband0002", 11_774
)
CHURN = AudienceDefinition("churn_risk_beta", "Churn risk (beta)", "aud_2fyChurnRisk0003", 1_506)
NEWSLETTER = AudienceDefinition("newsletter", "Newsletter", "aud_2fyNewsletter004", 12_120)
TRIAL = AudienceDefinition("trial_day_7", "Trial day 7", "aud_2fyTrialDay70005", 1_204)
LAPSED = AudienceDefinition("recently_lapsed", "Recently lapsed", "aud_2fyRecentLaps006", 5_310)
AUDIENCES = (SHOPPERS, ABANDONERS, CHURN, NEWSLETTER, TRIAL, LAPSED)


class ChangeGroup(NamedTuple):
    """People who enter or leave in the same second (`at`, microseconds since 1970).

    `amplitude_ids` belong to the same people in the same order, if their events carry them.
    """

    at: int
    is_member: bool
    user_ids: Sequence[str]
    amplitude_ids: Sequence[str] = ()


def user_ids(seed: int, definition: AudienceDefinition, first: int, count: int) -> list[str]:
    """The user IDs of `count` people of an audience, from number `first` (counted from 0)."""
    start = (first + 1 + AUDIENCES.index(definition) * AUDIENCE_STEP + seed * SEED_STEP) * MIX
    return [f"usr_{mixed & MASK:016x}" for mixed in range(start, start + count * MIX, MIX)]


def is_user_id(seed: int, text: str) -> bool:
    """Whether a text is the user ID of someone in the demo."""
    if USER_ID.fullmatch(text) is None:
        return False
    number = int(text.removeprefix("usr_"), 16) * pow(MIX, -1, MASK + 1) - seed * SEED_STEP - 1
    return (number & MASK) < len(AUDIENCES) * AUDIENCE_STEP


def amplitude_ids(seed: int, count: int) -> list[str]:
    """The first `count` Amplitude IDs."""
    first = FIRST_AMPLITUDE_ID + seed * 1_000_000
    return [str(number) for number in range(first, first + count * 7, 7)]


def spread(
    people: Sequence[str], since: int, until: int, rng: random.Random, *, is_member: bool = True
) -> Iterator[ChangeGroup]:
    """Spread changes over a period, in groups of varying size."""
    groups = max(1, min(len(people), (until - since) * GROUPS // (3_600 * SECOND)))
    weights = [0.4 + rng.random() for _ in range(groups)]
    step, whole, so_far, begin = (until - since) // groups, sum(weights), 0.0, 0
    for number, weight in enumerate(weights):
        so_far += weight
        end = len(people) if number == groups - 1 else int(len(people) * so_far / whole)
        if end > begin:
            yield ChangeGroup(since + number * step, is_member, people[begin:end])
        begin = end


def stamp(at: int) -> str:
    """A time in microseconds since 1970, in the format of events."""
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def event_lines(definition: AudienceDefinition, group: ChangeGroup) -> str:
    """The events of a group, one per line, from a template: there are tens of thousands."""
    head = (
        f'{{"type":"identify","context":{{"personas":{{"computation_class":"audience",'
        f'"computation_id":"{definition.computation_id}","computation_key":"{definition.key}",'
        f'"space_id":"{SPACE}"}}}},"userId":"'
    )
    is_member = "true" if group.is_member else "false"
    middle = f'","timestamp":"{stamp(group.at)}","traits":{{"{definition.key}":{is_member}'
    if not group.amplitude_ids:
        return "".join([f"{head}{user_id}{middle}}}}}\n" for user_id in group.user_ids])
    pairs = zip(group.user_ids, group.amplitude_ids, strict=True)
    return "".join([f'{head}{u}{middle},"amplitude_id":"{a}"}}}}\n' for u, a in pairs])
