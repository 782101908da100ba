"""The footer reads its keys once for several changes."""

import pytest
from textual.app import App, ComposeResult

from amp_console.console.widgets.key_footer import FooterKey, FooterKeys, KeyFooter

pytestmark = pytest.mark.anyio


class Sheet(App[None]):
    """A footer whose keys are counted as it reads them."""

    reads = 0

    def compose(self) -> ComposeResult:
        yield KeyFooter(self.keys, self.press)

    def keys(self) -> FooterKeys:
        self.reads += 1
        return FooterKeys([FooterKey("count", "c", f"Count {self.reads}")])

    async def press(self, name: str) -> None: ...

    def shown(self) -> str:
        return " ".join(link.text.plain for link, _ in self.query_one(KeyFooter).links())


async def test_many_changes_at_once_are_one_and_the_next_is_seen_again() -> None:
    app = Sheet()
    async with app.run_test(size=(80, 5)) as pilot:
        await pilot.pause()
        for _ in range(2):
            before = app.reads
            for _ in range(10):
                app.screen.refresh_bindings()
            await pilot.pause()
            assert app.reads == before + 1
            assert app.shown() == f"c Count {app.reads}"


async def test_one_that_was_left_meanwhile_reads_nothing() -> None:
    app = Sheet()
    async with app.run_test(size=(80, 5)) as pilot:
        await pilot.pause()
        before, footer = app.reads, app.query_one(KeyFooter)
        app.screen.refresh_bindings()
        await footer.remove()
        await pilot.pause()
        assert app.reads == before
