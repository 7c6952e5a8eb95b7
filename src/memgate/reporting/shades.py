"""Shades of the cells of an explanation: `level` gives a value its class, `shades` the colours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
"""One of the two is read at 4.58 to 1 at least on any ground; an ink of #222222 only at 4.06."""

GATE_COLORS: Mapping[str, Colour] = MappingProxyType({"write": (127, 39, 4), "keep": (8, 48, 107)})
"""The colours of 1 of the two readings; 0 is white, and on a grey print both are dark."""

STEPS = 20
"""Shades of a gate between 0 and 1: a step of 0.05 can just be seen."""

GREYS: tuple[Colour, Colour] = ((150, 150, 150), (150, 150, 150))
PURPLE_GREEN: tuple[Colour, Colour] = ((194, 165, 207), (127, 191, 123))

SIGNED: Mapping[str, tuple[str, tuple[Colour, Colour], float]] = MappingProxyType(
    {
        "state_update": ("g", GREYS, 1.0),
        "state": ("g", GREYS, 1.0),
        "contribution_change": ("v", PURPLE_GREEN, 2.0),
        "contribution": ("v", PURPLE_GREEN, 2.0),
        "probe": ("v", PURPLE_GREEN, 2.0),
    }
)
"""Rows with a sign: their letter, the colours below and above 0, and the size of the full colour.

The sign of a memory means nothing by itself, so its rows are grey; what goes towards an answer is
purple or green (ColorBrewer's PRGn), distinct with any colour vision, pale enough for dark print.
"""

TINTS = 5
"""Shades of each side of 0."""


def level(name: str, value: float) -> str:
    """Return the class of a cell with a value, empty for a white one of a row with a sign.

    >>> level("write", 0.52), level("contribution_change", -9.0), level("contribution_change", 0.01)
    ('w10', 'v-5', '')
    """
    if name in GATE_COLORS:
        return f"{name[0]}{round(STEPS * min(max(value, 0.0), 1.0))}"
    letter, _, full = SIGNED[name]
    tint = round(TINTS * min(abs(value) / full, 1.0))
    if not tint:
        return ""
    return f"{letter}-{tint}" if value < 0 else f"{letter}{tint}"


def shades() -> dict[str, tuple[Colour, Colour]]:
    """Return the background and the letters of each class that `level` gives."""
    colours = {}
    for name, end in GATE_COLORS.items():
        for step in range(STEPS + 1):
            ground = _mix(end, step / STEPS)
            ink = BLACK if contrast(BLACK, ground) > contrast(WHITE, ground) else WHITE
            colours[f"{name[0]}{step}"] = (ground, ink)
    for letter, (below, above), _ in SIGNED.values():
        for tint in range(1, TINTS + 1):
            colours[f"{letter}-{tint}"] = (_mix(below, tint / TINTS), BLACK)
            colours[f"{letter}{tint}"] = (_mix(above, tint / TINTS), BLACK)
    return colours


def contrast(one: Colour, other: Colour) -> float:
    """Return how well letters stand out from a background, 1 to 21 (WCAG 2.2, contrast ratio).

    >>> contrast((0, 0, 0), (255, 255, 255))
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    """Return the relative luminance, in [0, 1] (WCAG 2.2)."""
    scaled = (channel / 255 for channel in colour)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in scaled]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _mix(end: Colour, proportion: float) -> Colour:
    """Mix a colour with white."""
    red, green, blue = (round(255 + proportion * (channel - 255)) for channel in end)
    return red, green, blue


def as_hex(colour: Colour) -> str:
    """Write a colour as CSS does.

    >>> as_hex((255, 0, 16))
    '#ff0010'
    """
    return "#" + "".join(f"{channel:02x}" for channel in colour)
