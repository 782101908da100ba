"""The buttons of a dialog: in one row, or in one column if they do not fit into a row."""

from textual.containers import Container
from textual.geometry import NULL_OFFSET, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

GAP = 2  # columns between two buttons


class ButtonRow(Container):
    """A row of buttons, aligned right; the one that leaves comes first.

    If the row is too narrow, they form a column, aligned left, and the one that leaves comes last.
    """

    DEFAULT_CSS = "ButtonRow { height: auto; }"

    def __init__(self) -> None:
        super().__init__(classes="buttons")

    @property
    def layout(self) -> Layout:
        """The layout that chooses between a row and a column."""
        return _RowOrColumn()


class _RowOrColumn(Layout):
    """A row if all buttons fit into it, otherwise a column."""

    name = "row-or-column"

    def arrange(
        self,
        parent: Widget,
        children: list[Widget],
        size: Size,
        greedy: bool = True,  # noqa: ARG002  # of Layout
    ) -> ArrangeResult:
        viewport = parent.app.viewport_size
        texts = [
            (child, child.get_content_width(size, viewport) + child.gutter.width)
            for child in children
        ]
        buttons = [(child, max(width, _least_width(child))) for child, width in texts]
        x = size.width - sum(width for _, width in buttons) - GAP * (len(buttons) - 1)
        placements = []
        if x < 0:
            for y, (child, width) in enumerate((*texts[1:], *texts[:1])):
                placements.append(_placed(child, 0, y, min(size.width, width)))
        else:
            for child, width in buttons:
                placements.append(_placed(child, x, 0, width))
                x += width + GAP
        return placements


def _least_width(button: Widget) -> int:
    least = button.styles.min_width
    return (least.cells or 0) if least else 0


def _placed(button: Widget, x: int, y: int, width: int) -> WidgetPlacement:
    return WidgetPlacement(Region(x, y, width, 1), NULL_OFFSET, button.styles.margin, button)
