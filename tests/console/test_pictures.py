"""Every screen looks as its picture shows it: 80×24 and 120×36, dark and light."""

import pytest

from tests.console.gallery import FOLDERS, VIEWS, View, paint


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_screen_is_as_in_its_picture(view: View) -> None:
    painted = paint(view)
    kept = {
        file.stem: file.read_text(encoding="utf-8")
        for file in FOLDERS[view].glob(f"*-{view.name}.svg")
    }
    differ = {name for name in painted.keys() | kept if painted.get(name) != kept.get(name)}
    assert not differ, (
        "these screens changed: look at them, then keep them with: python screenshots/make.py"
    )
