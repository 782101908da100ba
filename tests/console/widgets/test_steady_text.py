"""A text that changes often takes the room it needs, without layout if that stays the same."""

import pytest
from textual.app import App, ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content

from amp_console.console.widgets.steady_text import FittedText, SteadyText
from tests.console.harness import until

pytestmark = pytest.mark.anyio


class Sheet(App[None]):
    """One such text, as high as its content."""

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


async def test_a_layout_between_two_requests_for_one_does_not_keep_its_former_height() -> None:
    app = Sheet()
    async with app.run_test(size=(20, 10)) as pilot:
        await pilot.pause()
        app.text().refresh(layout=True)  # as Textual does whenever a text has another size
        app.query_one(Vertical)._clear_arrangement_cache()
        app.screen._refresh_layout()  # before the text has handled the request
        app.text().say(Content("1\n2\n3"))
        await pilot.pause()
        assert app.text().size.height == 3


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


class Pane(App[None]):
    """A text laid out for its width, in a pane of half the screen that scrolls."""

    CSS = "VerticalScroll { width: 50%; }"

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield FittedText(Content("reading"), id="text")


@pytest.mark.parametrize("words", [3, 30, 90])
async def test_a_text_in_a_pane_is_laid_out_for_the_width_it_gets(words: int) -> None:
    """However wide the screen is, and whether the pane shows a scrollbar or not."""

    def lay_out(width: int) -> Content:
        return Content("\n").join(Content("word " * words).wrap(width))

    app = Pane()
    async with app.run_test(size=(60, 8)) as pilot:
        text = app.query_one(FittedText)
        assert str(text.content) == "reading"
        text.fit(lay_out)

        def is_whole() -> bool:
            laid_out = lay_out(text.content_size.width)
            lines = len(str(laid_out).splitlines())
            return str(text.content) == str(laid_out) and text.size.height == text.lines == lines

        for size in ((60, 8), (40, 8), (100, 8), (100, 30), (60, 8)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await until(pilot, is_whole)  # a scrollbar that goes lets it be laid out once more
