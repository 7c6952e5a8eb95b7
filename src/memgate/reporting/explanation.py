"""Explanations in the terminal: a column for each word, with the units' readings below it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from memgate.gates.explain.explanation import (
    CONVENTIONS,
    GLOSSARY,
    ROW_NAMES,
    Explanation,
    Trace,
    word_numbers,
)
from memgate.reporting.console import console
from memgate.reporting.shades import GATE_COLORS

NAME_WIDTH = 20
"""Columns before the first word: seven for the unit, ``state update`` and a space."""

MIN_CELL_WIDTH, MAX_CELL_WIDTH = 6, 26
"""Columns of a word: a signed number and a space need six; a longer word is cut."""

BLOCKS = " ░▒▓█"
"""Shades where there is no colour, from 0 to 1."""

Part = list[tuple[int, int]]
"""The words of one line: the position of each, and its width in columns."""


def print_explanations(explanations: Sequence[Explanation]) -> None:
    """Print explanations one below another, and a glossary of the rows.

    A sentence that is wider than the terminal goes on in further lines, cut between words. A
    terminal without colour shows blocks instead of shades.
    """
    out = console()
    coloured = out.color_system is not None and not out.no_color
    sentence = ""
    for explanation in explanations:
        if explanation.sentence != sentence:
            sentence = explanation.sentence
            out.print(Text(f"\n{_plain(sentence)}", "bold"))
        layers, size = explanation.size
        cell, model = explanation.cell.upper(), _plain(explanation.model)
        about = f"{cell}, {layers} × {size} units; shown: {explanation.chosen}"
        out.print(Text.assemble("\n", (model, "bold underline"), f"  {about}\n"))
        for part in _parts(explanation, out.width - NAME_WIDTH):
            for row in _lines(explanation, part, coloured):
                out.print(row, no_wrap=True, crop=True)
            out.print()
        p = float(explanation.p[-1])
        against, answer = explanation.answers
        out.print(
            Text.assemble(
                "after the last word: ",
                (answer if p > 0.5 else against, "bold"),
                f", {max(p, 1 - p):.1%}",
            )
        )
    out.print()
    for line in _glossary(explanations):
        out.print(Text(line, "dim"))


def print_json(explanations: Sequence[Explanation]) -> None:
    """Print explanations as one JSON object: models → sentences → words → numbers."""
    models: dict[str, Any] = {}
    for explanation in explanations:
        about = {
            "cell": explanation.cell,
            "p_of": explanation.answers[1],
            "units": explanation.chosen,
            "sentences": [],
        }
        words = [
            {
                **word._asdict(),
                "p": float(p),
                "units": {
                    str(trace.unit): word_numbers(trace, index) for trace in explanation.units
                },
            }
            for index, (word, p) in enumerate(zip(explanation.words, explanation.p, strict=True))
        ]
        model = models.setdefault(explanation.model, about)
        model["sentences"].append({"sentence": explanation.sentence, "words": words})
    print(json.dumps({"models": models}, ensure_ascii=False, indent=1))


def _glossary(explanations: Sequence[Explanation]) -> Iterator[str]:
    """Yield the meaning of each printed row."""
    traces = (trace for explanation in explanations for trace in explanation.units)
    names = dict.fromkeys(name for trace in traces for name, _ in trace.shown)
    for name in names:
        yield f"{ROW_NAMES.get(name, name)}: {GLOSSARY[name]}"
    if any(not word.known for explanation in explanations for word in explanation.words):
        yield "(<unk>): not in the model's vocabulary; put a space before a comma, as in 'cat ,'"
    yield CONVENTIONS


def _parts(explanation: Explanation, room: int) -> Iterator[Part]:
    """Cut a sentence between words into lines."""
    part: Part = []
    for position, word in enumerate(explanation.words):
        longest = max(cell_len(word.label), len(word.role or ""))
        width = min(max(longest + 1, MIN_CELL_WIDTH), MAX_CELL_WIDTH, max(room, MIN_CELL_WIDTH))
        if part and sum(columns for _, columns in part) + width > room:
            yield part
            part = []
        part.append((position, width))
    yield part


def _lines(explanation: Explanation, part: Part, coloured: bool) -> Iterator[Text]:
    """Yield the lines of a part: words, roles, the rows of each unit, and the probability."""
    words = [(explanation.words[position], width) for position, width in part]
    line = Text(" " * NAME_WIDTH)
    for word, width in words:
        line.append(_right(word.label, width), "bold" if word.known else "bold italic")
    yield line
    if any(word.role for word, _ in words):
        line = Text(" " * NAME_WIDTH)
        for word, width in words:
            marked = word.role in ("subject", "verb")
            line.append(_right(word.role or "", width), "bold cyan" if marked else "dim")
        yield line
    for trace in explanation.units:
        for row, (name, values) in enumerate(trace.shown):
            label = f"{ROW_NAMES.get(name, name):<13}"
            line = Text.assemble((f"{'' if row else str(trace.unit):<7}", "bold"), label)
            yield line.append_text(_cells(name, values, part, coloured))
    line = Text(f"{f'P({explanation.answers[1]})':<{NAME_WIDTH}}", "bold")
    for position, width in part:
        line.append(_right(f"{explanation.p[position]:.2f}", width))
    yield line


def _cells(name: str, values: Trace, part: Part, coloured: bool) -> Text:
    """Return one row's numbers: gates as shaded cells, the others with their sign."""
    line = Text()
    for position, width in part:
        value = float(values[position])
        if name not in GATE_COLORS:
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
    red, green, blue = (round(255 + value * (end - 255)) for end in GATE_COLORS[name])
    ink = "white" if value > 0.68 else "black"  # 4.2 to 1 at least
    return Style(color=ink, bgcolor=f"rgb({red},{green},{blue})")


def _right(text: str, width: int) -> str:
    """Put a text at the right end of its columns, cut where it is longer."""
    text = _plain(text)
    if cell_len(text) >= width:
        text = set_cell_size(text, width - 2) + "…"
    return " " * (width - cell_len(text)) + text


def _plain(text: str) -> str:
    """Replace control characters, such as those of an escape sequence."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
