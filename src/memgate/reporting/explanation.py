"""What `memgate explain` prints: words as columns, and below each what the units do there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from memgate.gates.explain.explanation import CONVENTIONS, GLOSSARY, ROW_NAMES, Course, Explanation

NAMES = 20
"""Columns before the first word: seven for the unit, ``state update`` and a space."""

NARROW, WIDE = 6, 26
"""Columns of a word: a signed number and a space need six; a longer word is cut."""

BLOCKS = " ░▒▓█"
"""Shades where there is no colour, from 0 to 1."""

SHADES = {"write": (127, 39, 4), "keep": (8, 48, 107)}
"""The colours of 1, those of the page; 0 is white."""

Part = list[tuple[int, int]]
"""The words of one line: their places, and the columns of each."""


def print_explanations(explanations: Sequence[Explanation]) -> None:
    """Print explanations one below another, and what the names of the rows mean.

    A sentence that is wider than the terminal goes on in further lines, cut between words. Where
    there is no colour, blocks stand for the shades.
    """
    console = Console(highlight=False)
    coloured = console.color_system is not None and not console.no_color
    sentence = ""
    for each in explanations:
        if each.sentence != sentence:
            sentence = each.sentence
            console.print(Text(f"\n{_plain(sentence)}", "bold"))
        layers, size = each.size
        about = f"{each.cell.upper()}, {layers} × {size} units; shown: {each.chosen}"
        console.print(Text.assemble("\n", (_plain(each.model), "bold underline"), f"  {about}\n"))
        for part in _parts(each, console.width - NAMES):
            for line in _lines(each, part, coloured):
                console.print(line, no_wrap=True, crop=True)
            console.print()
        p = float(each.p[-1])
        console.print(
            Text.assemble(
                "after the last word: ", (each.answers[p > 0.5], "bold"), f", {max(p, 1 - p):.1%}"
            )
        )
    _print_glossary(console, explanations)


def _print_glossary(console: Console, explanations: Sequence[Explanation]) -> None:
    rows = (row for each in explanations for trace in each.units for row in trace.shown)
    console.print()
    for name in dict.fromkeys(name for name, _ in rows):
        console.print(Text(f"{ROW_NAMES.get(name, name)}: {GLOSSARY[name]}", "dim"))
    if any(not word.known for each in explanations for word in each.words):
        console.print(
            Text("(<unk>): no word of the model's; commas stand apart, as in 'cat ,'", "dim")
        )
    console.print(Text(CONVENTIONS, "dim"))


def _parts(explanation: Explanation, room: int) -> Iterator[Part]:
    """Cut a sentence between words into lines."""
    part: Part = []
    for place, word in enumerate(explanation.words):
        longest = max(cell_len(word.label), len(word.role or ""))
        width = min(max(longest + 1, NARROW), WIDE, max(room, NARROW))
        if part and sum(columns for _, columns in part) + width > room:
            yield part
            part = []
        part.append((place, width))
    yield part


def _lines(explanation: Explanation, part: Part, coloured: bool) -> Iterator[Text]:
    """Yield the lines of a part: words, roles, the rows of each unit, and the probability."""
    words = [(explanation.words[place], width) for place, width in part]
    line = Text(" " * NAMES)
    for word, width in words:
        line.append(_right(word.label, width), "bold" if word.known else "bold italic")
    yield line
    if any(word.role for word, _ in words):
        line = Text(" " * NAMES)
        for word, width in words:
            marked = word.role in ("subject", "verb")
            line.append(_right(word.role or "", width), "bold cyan" if marked else "dim")
        yield line
    for trace in explanation.units:
        for row, (name, values) in enumerate(trace.shown):
            label = f"{ROW_NAMES.get(name, name):<13}"
            line = Text.assemble((f"{'' if row else str(trace.unit):<7}", "bold"), label)
            yield line.append_text(_cells(name, values, part, coloured))
    line = Text(f"{f'P({explanation.answers[1]})':<{NAMES}}", "bold")
    for place, width in part:
        line.append(_right(f"{explanation.p[place]:.2f}", width))
    yield line


def _cells(name: str, values: Course, part: Part, coloured: bool) -> Text:
    """Return one row's numbers: gates as shaded cells, the others with their sign."""
    line = Text()
    for place, width in part:
        value = float(values[place])
        if name not in SHADES:
            line.append(_right(signed(value), width))
        elif coloured:
            line.append(" ").append(f"{value:.2f}".rjust(width - 1), _shade(name, value))
        else:
            block = BLOCKS[min(int(value * len(BLOCKS)), len(BLOCKS) - 1)]
            line.append(" ").append(f"{value:.2f}".rjust(width - 1, block))
    return line


def signed(value: float) -> str:
    """Write a number with its sign in five letters at most; 0 where it rounds to that.

    >>> signed(0.25), signed(-12.5), signed(-0.001)
    ('+0.25', '-12.5', '0')
    """
    text = f"{value:+.2f}" if abs(value) < 9.995 else f"{value:+.1f}"
    return "0" if text in ("+0.00", "-0.00") else text


def _shade(name: str, value: float) -> Style:
    """Return the colour between white, 0, and the reading's, 1, with letters that can be read."""
    red, green, blue = (round(255 + value * (end - 255)) for end in SHADES[name])
    ink = "white" if value > 0.68 else "black"  # 4.2 to 1 at least
    return Style(color=ink, bgcolor=f"rgb({red},{green},{blue})")


def _right(text: str, width: int) -> str:
    """Put a text at the right end of its columns, cut where it is longer."""
    text = _plain(text)
    if cell_len(text) >= width:
        text = set_cell_size(text, width - 2) + "…"
    return " " * (width - cell_len(text)) + text


def _plain(text: str) -> str:
    """Replace what would steer the terminal, such as an escape sequence within a word."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
