"""Every screen looks as its picture shows it: 80×24 and 120×36, dark and light."""

import pytest

from tests.console.gallery import VIEWS, View, paint


@pytest.mark.parametrize("view", VIEWS, ids=["120x36", "80x24"])
def test_every_screen_is_as_in_its_picture(view: View) -> None:
    painted = paint(view)
    kept = view.kept()
    differ = {name for name in painted.keys() | kept if painted.get(name) != kept.get(name)}
    assert not differ, (
        "these screens changed: look at them, then keep them with: python screenshots/make.py"
    )
