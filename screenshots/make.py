"""Make the pictures of every screen from the demo, with a fixed seed and a frozen clock.

    python screenshots/make.py

It writes `screenshots/*.svg` (120×36) and `tests/console/snapshots/*.svg` (80×24), each in the dark
theme and in the light one; the tests compare them with what the console paints. If Chromium and the
font Fira Code are installed (Debian: chromium, fonts-firacode), it also makes PNGs of the large
ones: in a README, the lines of an SVG drift if its font is blocked. A PNG whose SVG has not changed
is left as it is.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from screenshots.render import CannotRender, digest, render, write_png
from tests.console.gallery import WIDE, paint


def main() -> None:
    """Paint all screens, then turn the large ones into PNGs."""
    for view, pictures in paint().items():
        for old in view.folder.glob("*.svg"):
            old.unlink()
        for name, svg in pictures.items():
            (view.folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    _make_pngs(WIDE.folder)


def _make_pngs(folder: Path) -> None:
    svgs = {file: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.svg"))}
    for png in folder.glob("*.png"):
        if png.with_suffix(".svg") not in svgs:
            png.unlink()
    changed = {
        file: svg
        for file, svg in svgs.items()
        if not (png := file.with_suffix(".png")).exists()
        or digest(svg).encode() not in png.read_bytes()
    }
    try:
        for (file, svg), image in zip(changed.items(), render([*changed.values()]), strict=True):
            write_png(image, svg, file.with_suffix(".png"))
    except CannotRender as missing:
        sys.stderr.write(f"{missing} The PNGs were left as they are.\n")


if __name__ == "__main__":
    main()
