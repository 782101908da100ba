"""A text that changes often takes the room it needs, and no layout where it needs no other."""

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.content import Content

from amp_console.console.widgets.steady_text import SteadyText

pytestmark = pytest.mark.anyio


class Sheet(App[None]):
    """One such text, as high as what it says."""

    CSS = "#text { height: auto; }"

    def compose(self) -> ComposeResult:
        with Vertical():
            yield SteadyText(id="text")

    def text(self) -> SteadyText:
        return self.query_one(SteadyText)


async def test_it_is_as_high_as_what_it_says() -> None:
    app = Sheet()
    async with app.run_test(size=(20, 10)) as pilot:
        for said, height in (("one", 1), ("two", 1), ("1\n2\n3", 3), ("x" * 50, 3), ("", 1)):
            app.text().say(Content(said))
            await pilot.pause()
            assert str(app.text().content) == said
            assert app.text().size.height == height, said


async def test_the_screen_is_laid_out_only_where_the_height_changes() -> None:
    app = Sheet()
    async with app.run_test(size=(20, 10)) as pilot:
        text, laid_out = app.text(), list[bool]()
        text.say(Content("one"))
        await pilot.pause()
        update = text.update

        def watched(content: Content, *, layout: bool = True) -> None:
            laid_out.append(layout)
            update(content, layout=layout)

        text.update = watched  # type: ignore[assignment, method-assign]
        for said in ("two", "two", "one\ntwo", "three\nfour"):
            text.say(Content(said))
            await pilot.pause()
        assert laid_out == [False, True, False]
