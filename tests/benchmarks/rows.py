"""The rows that benchmarks print for the table of `table.py`."""

MARK = "row: "
"""How the line of a row begins, among the others that a benchmark prints."""
HEADINGS = ("Work", "amp-console", "Beside it", "Goal")


def show_row(work: str, ours: str, beside: str, goal: str) -> None:
    """Print a row: what is measured, our figure, what it is compared with and how, the goal."""
    print(f"{MARK}{work} | {ours} | {beside} | {goal}", flush=True)


def table(lines: list[str]) -> list[str]:
    """Return the Markdown table of the rows among the lines that benchmarks printed."""
    rows = [line.removeprefix(MARK).split(" | ") for line in lines if line.startswith(MARK)]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    lines_of_cells = [HEADINGS, ["-" * width for width in widths], *rows]
    return [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"
        for cells in lines_of_cells
    ]
