"""Every screen looks as its picture shows it: 80×24 and 120×36, dark and light."""

import hashlib

from tests.console.gallery import WIDE, paint


def test_every_screen_is_as_in_its_picture() -> None:
    differ = set()
    for view, painted in paint().items():
        kept = view.kept()
        differ |= {name for name in painted.keys() | kept if painted.get(name) != kept.get(name)}
    assert not differ, (
        "these screens changed: look at them, then keep them with: python screenshots/make.py"
    )


def test_every_large_picture_was_made_from_the_svg_beside_it() -> None:
    differ = set()
    for name, svg in WIDE.kept().items():
        png = WIDE.folder / f"{name}.png"
        digest = hashlib.sha256(svg.encode()).hexdigest().encode()
        if not png.exists() or digest not in png.read_bytes():
            differ.add(name)
    assert not differ, "these PNGs are of other screens: make them with: python screenshots/make.py"
    pngs = {file.stem for file in WIDE.folder.glob("*.png")}
    assert pngs == WIDE.kept().keys()
    files = [*WIDE.folder.glob("*.*")]
    assert sum(file.stat().st_size for file in files) < 12_000_000
