"""Text colors that are legible on their backgrounds, in every theme."""

from collections.abc import Mapping

from textual.color import Color

READABLE = 4.5  # WCAG 2.2, 1.4.3: the minimum contrast of text
STEPS = 20  # from a color to black or white
INKS = ("text-primary", "text-accent", "text-success", "text-warning", "text-error")
"""The theme variables of text colors."""
MUTED_SHARE = 0.6  # of the foreground over the background, if that is legible
TINT = 0.12  # of the primary color, in the strongest background of plain text


def contrast(ink: Color, ground: Color) -> float:
    """Return WCAG's contrast of two opaque colors, from 1 to 21."""
    low, high = sorted((_luminance(ink), _luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def readable(ink: Color, *grounds: Color) -> Color:
    """Return the color nearest to `ink`, towards black or white, that is legible on all grounds."""
    black, white = Color(0, 0, 0), Color(255, 255, 255)
    target = max((black, white), key=lambda end: min(contrast(end, item) for item in grounds))
    shades = (ink.blend(target, step / STEPS) for step in range(STEPS))
    return next(
        (shade for shade in shades if all(contrast(shade, item) >= READABLE for item in grounds)),
        target,
    )


def readable_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return a theme's text colors, adjusted to be legible on its backgrounds."""
    background, surface, primary, foreground = (
        Color.parse(variables[name]) for name in ("background", "surface", "primary", "foreground")
    )
    if any(color.ansi is not None for color in (background, surface, primary, foreground)):
        return {
            "text-muted": variables["foreground"]
        }  # the terminal's own colors, which are unknown
    grounds = (background, surface, background.blend(primary, TINT))
    inks = {name: Color.parse(variables[name]) for name in INKS}
    inks["text-muted"] = background.blend(foreground, MUTED_SHARE)
    return {name: readable(ink, *grounds).hex6 for name, ink in inks.items()}


def _luminance(color: Color) -> float:
    """WCAG's relative luminance."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in color.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
