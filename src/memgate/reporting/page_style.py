"""How the page of explanations looks: shades by value, and the style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
"""One of the two is read at 4.58 to 1 at least on any ground; an ink of #222222 only at 4.06."""

GATES: Mapping[str, Colour] = MappingProxyType({"write": (127, 39, 4), "keep": (8, 48, 107)})
"""The colours of 1 of the two readings; 0 is white, and on a grey print both are dark."""

STEPS = 20
"""Shades of a gate between 0 and 1: a step of 0.05 can just be seen."""

GREYS: tuple[Colour, Colour] = ((150, 150, 150), (150, 150, 150))
PURPLE_GREEN: tuple[Colour, Colour] = ((194, 165, 207), (127, 191, 123))

SIGNED: Mapping[str, tuple[str, tuple[Colour, Colour], float]] = MappingProxyType(
    {
        "effect": ("g", GREYS, 1.0),
        "state": ("g", GREYS, 1.0),
        "evidence": ("v", PURPLE_GREEN, 2.0),
        "pull": ("v", PURPLE_GREEN, 2.0),
        "probe": ("v", PURPLE_GREEN, 2.0),
    }
)
"""Rows with a sign: their letter, the colours below and above 0, and the size of the full colour.

The sign of a memory means nothing by itself, so its rows are grey; what goes towards an answer is
purple or green (ColorBrewer's PRGn), told apart with any colour vision, pale enough for dark print.
"""

TINTS = 5
"""Shades of each side of 0."""

SHEET = """
:root{color-scheme:light}
body{margin:0 auto;padding:20px 24px 40px;max-width:1240px;background:#fff;color:#222;
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:22px;margin:0 0 10px}
h2{font-size:18px;font-weight:600;margin:30px 0 6px}
h2 u,thead u{text-decoration:3px underline #d55e00;text-underline-offset:4px}
h2 em{font-style:normal;text-decoration:3px underline dotted #0072b2;text-underline-offset:4px}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%),1fr));
gap:4px 28px;margin:0}
dl div{display:flex;gap:10px;align-items:baseline}
dt{font-weight:600;flex:none;min-width:186px;display:flex;align-items:center;
justify-content:space-between}
dd{margin:0;color:#444;font-size:13px}
.scale{display:inline-flex;margin-left:8px;border:1px solid #bbb;font-weight:400}
.scale b{font:11px/15px system-ui,Arial,sans-serif;padding:0 4px;text-align:center}
.conv{margin:10px 0 0;padding:7px 12px;background:#f5f5f2;border-left:3px solid #999;font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:separate;border-spacing:2px 1px;table-layout:fixed;margin:0 0 10px;
font-variant-numeric:tabular-nums}
caption{text-align:left;color:#5c5c5c;font-size:12px}
.n{width:70px}.r{width:72px}.a{width:112px}
td[class^=w],td[class^=k]{box-shadow:inset 0 0 0 1px #0002}
td{font-size:11.5px;line-height:20px;text-align:center;padding:0}
th{font-weight:400}
thead th{font-size:14px;font-weight:600;vertical-align:bottom;padding:2px 0;line-height:1.2;
overflow-wrap:anywhere}
thead th i{display:block;font:11px/14px system-ui,Arial,sans-serif;color:#5c5c5c;min-height:14px;
overflow-wrap:normal}
thead .subject{box-shadow:0 3px #d55e00}
thead .subject i{color:#a34700;font-weight:600}
thead .verb{box-shadow:0 3px #0072b2}
thead .verb i{color:#005a8d;font-weight:600}
tbody th{font-size:12px;text-align:left;vertical-align:middle;color:#444;line-height:18px}
tbody th[rowspan]{font-weight:600;color:#222;vertical-align:top}
.model th{padding:12px 0 3px;font-size:14px;font-weight:700;color:#222;
border-bottom:1px solid #999}
.model span{font-weight:400;font-size:12px;color:#5c5c5c;margin-left:12px}
.read td{color:#a30000}
.u>*{border-top:5px solid #fff}
.p>*{padding-top:8px;font-weight:600}
.p td.out{vertical-align:middle;font-size:15px;line-height:1.3}
.out b{display:block;font-size:12px;font-weight:400;color:#444}
.line th{padding:0;height:64px;color:#5c5c5c;font-size:11px}
.line th div{height:64px;display:flex;flex-direction:column;justify-content:space-between;
text-align:right;padding-right:6px}
svg{display:block;width:100%;height:64px;background:linear-gradient(#eef7ee 50%,#f5eff8 50%)}
svg path{fill:none;vector-effect:non-scaling-stroke}
.half{stroke:#888;stroke-dasharray:3 3}
.course{stroke:#222;stroke-width:2px}
.dots{stroke:#222;stroke-width:8px;stroke-linecap:round}
@page{size:A4 landscape;margin:10mm}
@media print{body{padding:0;max-width:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
tbody,h2,thead{break-inside:avoid}h2,thead{break-after:avoid}.scroll{overflow:visible}}
"""


def style() -> str:
    """Return the style sheet, with a rule for each class that `level` gives."""
    rules = (
        f".{kind}{{background-color:{_hex(ground)};color:{_hex(ink)}}}"
        for kind, (ground, ink) in shades().items()
    )
    return SHEET + "\n".join(rules)


def level(name: str, value: float) -> str:
    """Return the class of a cell with a value, empty for a white one of a row with a sign.

    >>> level("write", 0.52), level("evidence", -9.0), level("evidence", 0.01)
    ('w10', 'v-5', '')
    """
    if name in GATES:
        return f"{name[0]}{round(STEPS * min(max(value, 0.0), 1.0))}"
    letter, _, full = SIGNED[name]
    tint = round(TINTS * min(abs(value) / full, 1.0))
    return f"{letter}{'-' * (value < 0)}{tint}" if tint else ""


def shades() -> dict[str, tuple[Colour, Colour]]:
    """Return the background and the letters of each class that `level` gives."""
    found = {}
    for name, end in GATES.items():
        for step in range(STEPS + 1):
            ground = _mix(end, step / STEPS)
            ink = BLACK if contrast(BLACK, ground) > contrast(WHITE, ground) else WHITE
            found[f"{name[0]}{step}"] = (ground, ink)
    for letter, (below, above), _ in SIGNED.values():
        for tint in range(1, TINTS + 1):
            found[f"{letter}-{tint}"] = (_mix(below, tint / TINTS), BLACK)
            found[f"{letter}{tint}"] = (_mix(above, tint / TINTS), BLACK)
    return found


def contrast(one: Colour, other: Colour) -> float:
    """Return how well letters stand out from a background, 1 to 21 (WCAG 2.2, contrast ratio).

    >>> contrast((0, 0, 0), (255, 255, 255))
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    """Return the relative luminance, in [0, 1] (WCAG 2.2)."""
    shares = (each / 255 for each in colour)
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(weight * s for weight, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _mix(end: Colour, share: float) -> Colour:
    red, green, blue = (round(255 + share * (each - 255)) for each in end)
    return red, green, blue


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{each:02x}" for each in colour)
