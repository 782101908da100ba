"""Make the pictures of every screen from the demo, with a fixed seed and a frozen clock.

    python screenshots/make.py

It writes `screenshots/*.svg` (120×36) and `tests/console/snapshots/*.svg` (80×24), each in the dark
theme and in the light one; the tests compare them with what the console paints. Where
`rsvg-convert` and the font Fira Code are installed (Debian: librsvg2-bin, fonts-firacode), it
makes PNGs of the large ones, too: in a README the lines of an SVG drift where its font is blocked.
"""

import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.console.gallery import VIEWS, paint

PNG_WIDTH = "840"


def main() -> None:
    """Paint all views, then turn the large ones into PNGs."""
    for view in VIEWS:
        for old in view.folder.glob("*.svg"):
            old.unlink()
        for name, svg in paint(view).items():
            (view.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    _make_pngs(Path(__file__).parent)


def _make_pngs(folder: Path) -> None:
    convert = shutil.which("rsvg-convert")
    if convert is None:
        sys.stderr.write("No rsvg-convert here: the PNGs were left as they are.\n")
        return
    for svg in sorted(folder.glob("*.svg")):
        # librsvg drops no-break spaces at the ends of a run of text; plain ones it can be told
        # to keep.
        text = svg.read_text(encoding="utf-8")
        text = text.replace("<text ", '<text xml:space="preserve" ').replace("&#160;", " ")
        command = [convert, "--width", PNG_WIDTH, "--output", str(svg.with_suffix(".png"))]
        subprocess.run(command, input=text.encode(), check=True)


if __name__ == "__main__":
    main()
