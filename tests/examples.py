"""The number of examples of a property, ten times as many in Hypothesis's profile `thorough`."""

from typing import Any

from hypothesis import settings

UNTIMED = settings(deadline=None)  # tests are never timed
THOROUGH = settings(UNTIMED, max_examples=10 * UNTIMED.max_examples)


def examples(count: int, **more: Any) -> settings:
    """Settings of a property with so many examples by default, and with `more` as in `settings`."""
    return settings(max_examples=count * settings().max_examples // UNTIMED.max_examples, **more)
