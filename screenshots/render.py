"""Turning a screen's SVG into a picture with Chromium, in which boxes join and columns align.

It needs Chromium and the font Fira Code (Debian: chromium, fonts-firacode).
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

WIDTH = 1680  # pixels; a README shows 840
COLORS = 256
FRAME = "#292929"  # the color around the console
DIGEST = "svg-sha256"
"""The key under which a PNG stores the digest of its SVG."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE = (
    "<!doctype html><meta charset=utf-8><style>html,body{{margin:0;background:transparent}}"
    "svg{{display:block}}</style>{svg}"
)
AT_ONCE, TRIES = 2, 5


class CannotRender(Exception):
    """A program or font is missing. The text says what to install."""


def digest(svg: str) -> str:
    """The digest of an SVG, which its PNG stores."""
    return hashlib.sha256(svg.encode()).hexdigest()


def render(svgs: Sequence[str], *, width: int = WIDTH) -> Iterator[Image.Image]:
    """Yield the picture of each SVG, `width` pixels wide. Raises `CannotRender`."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None or not _has_font():
        raise CannotRender("Pictures need Debian's chromium and fonts-firacode.")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda svg: _rendered(browser, svg, width), svgs)


def size_of(svg: str) -> tuple[float, float]:
    """The width and height of an SVG, in its own units."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None
    return float(found[1]), float(found[2])


def write_png(image: Image.Image, svg: str, file: Path) -> None:
    """Write a picture with a small palette, and the digest of its SVG."""
    info = PngInfo()
    info.add_text(DIGEST, digest(svg))
    few = image.quantize(COLORS, dither=Image.Dither.NONE)
    few.save(file, optimize=True, pnginfo=info)


def _has_font() -> bool:
    listed = shutil.which("fc-list")
    if listed is None:
        return sys.platform == "darwin"
    fonts = subprocess.run([listed], capture_output=True, text=True, check=True).stdout
    return "fira code" in fonts.lower()


def _rendered(browser: str, svg: str, width: int) -> Image.Image:
    across, down = size_of(svg)
    # The local font is taken; without the web font no network is needed.
    page = PAGE.format(svg=re.sub(r"@font-face\s*\{[^}]*\}", "", svg))
    scale = width / across
    size = width, int(down * scale)
    for _ in range(TRIES):
        shot = _shot(browser, page, (int(across) + 1, int(down) + 1), scale)
        # A busy machine may take the picture before the window has its size.
        if shot.width >= size[0] and shot.height >= size[1]:
            break
    else:
        raise CannotRender(f"{browser} takes pictures of another size than it was told.")
    flat = Image.new("RGBA", shot.size, FRAME)  # the corners of the window are round
    flat.alpha_composite(shot)
    return flat.convert("RGB").crop((0, 0, *size))


def _shot(browser: str, page: str, window: tuple[int, int], scale: float) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        source, shot = Path(folder, "page.html"), Path(folder, "shot.png")
        source.write_text(page, encoding="utf-8")
        command = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            f"--user-data-dir={folder}/profile",
            "--default-background-color=00000000",
            f"--force-device-scale-factor={scale:.4f}",
            f"--window-size={window[0]},{window[1]}",
            f"--screenshot={shot}",
            source.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(shot) as image:
            return image.convert("RGBA")
