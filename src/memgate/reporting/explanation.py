"""Explanations in the terminal: a column for each word, with the units' readings below it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from memgate.gates.explain.explanation import (
    CONVENTIONS,
    GLOSSARY,
    ROW_NAMES,
    Explanation,
    Trace,
    UnitTrace,
    word_numbers,
)
from memgate.gates.units.unit import unit_name
from memgate.reporting.console import console
from memgate.reporting.shades import GATE_COLORS

LINES = 12
"""Lines that a model has for a sentence at most, unless all is shown."""

UNITS_PRINTED = 3
"""Units that it has there at most."""

MIN_CELL_WIDTH, MAX_CELL_WIDTH = 6, 26
"""Columns of a word: a signed number and a space need six; a longer word is cut."""

BLOCKS = " ░▒▓█"
"""Shades where there is no colour, from 0 to 1."""

Part = list[tuple[int, int]]
"""The words of one line: the position of each, and its width in columns."""

Row = tuple[str, str, Trace]
"""What stands before a row, the name of its reading, and a value a word."""


def print_explanations(explanations: Sequence[Explanation], detail: bool = False) -> None:
    """Print explanations one below another, and a glossary of the rows.

    A sentence that is wider than the terminal goes on in further lines, cut between words. A
    terminal without colour shows blocks instead of shades.

    Args:
        explanations: Of any sentences and models.
        detail: Whether all units and readings are shown, or what fits `LINES` lines.
    """
    out = console()
    sentence = ""
    for explanation in explanations:
        if explanation.sentence != sentence:
            sentence = explanation.sentence
            out.print(Text(f"\n{_plain(sentence)}", "bold"))
        out.print(_answer(explanation))
        if detail:
            layers, size = explanation.size
            out.print(f"{layers} × {size} units; shown: {explanation.chosen}", style="dim")
        _print_words(out, explanation, detail)
    out.print()
    for line in _glossary(explanations, detail):
        out.print(Text(line, "dim"))


def _answer(explanation: Explanation) -> Text:
    """Name the model and its answer, and beside it the proportion of unknown words."""
    p = float(explanation.p[-1])
    against, answer = explanation.answers
    line = Text.assemble(
        (_plain(explanation.model), "bold underline"),
        f" ({explanation.cell.upper()}): ",
        (answer if p > 0.5 else against, "bold"),
        f", {max(p, 1 - p):.1%}",
    )
    if explanation.unknown:
        style = "bold red" if explanation.unknown_noun else ""
        line.append("; ").append(unknown_words(explanation), style)
    return line


def unknown_words(explanation: Explanation) -> str:
    """Say how many words are unknown, such as ``2 of 11 words unknown (18%)``."""
    unknown, words = explanation.unknown, len(explanation.words)
    return f"{unknown} of {words} words unknown ({unknown / words:.0%})"


def _print_words(out: Console, explanation: Explanation, detail: bool) -> None:
    """Print the words as columns, with the rows of the units below them."""
    coloured = out.color_system is not None and not out.no_color
    rows = _rows(explanation, explanation.units, lambda trace: trace.shown)
    name_width, parts = _layout(explanation, rows, out.width)
    left_out = 0
    if not detail:
        rows, parts, left_out = _within(explanation, out.width)
        name_width, _ = _layout(explanation, rows, out.width)
    for index, part in enumerate(parts):
        if index:
            between = f"… {left_out} words in between: --detail" if left_out else ""
            out.print(Text(between, "dim"))
        for line in _lines(explanation, rows, part, name_width, coloured):
            out.print(line, no_wrap=True, crop=True)


def _rows(
    explanation: Explanation,
    units: Sequence[UnitTrace],
    readings: Callable[[UnitTrace], list[tuple[str, Trace]]],
) -> list[Row]:
    """Return the rows of units, each with its name in the first of its rows."""
    rows = []
    for trace in units:
        name = unit_name(trace.unit, explanation.size[0])
        for index, (reading, values) in enumerate(readings(trace)):
            label = ROW_NAMES.get(reading, reading)
            rows.append((f"{'' if index else name:<{len(name)}} {label}", reading, values))
    return rows


def _layout(explanation: Explanation, rows: Sequence[Row], width: int) -> tuple[int, list[Part]]:
    """Return the columns before the first word, and the words of each line."""
    labels = [f"P({explanation.answers[1]})", *(label for label, _, _ in rows)]
    name_width = max(map(len, labels))
    return name_width, list(_parts(explanation, width - name_width))


def _within(explanation: Explanation, width: int) -> tuple[list[Row], list[Part], int]:
    """Return rows and words that fit `LINES`, and how many words are left out in between.

    The first units and their gates are shown. Of a sentence of too many words the end is shown,
    and as much of the start as fits.
    """
    above = -(-cell_len(_answer(explanation).plain) // width)
    heads = 2 + any(word.role for word in explanation.words)  # words, roles, probability
    choices = [(count, 2) for count in range(min(UNITS_PRINTED, len(explanation.units)), 0, -1)]
    rows: list[Row] = []
    parts: list[Part] = []
    for units, readings in [*choices, (1, 1)]:
        rows = _rows(explanation, explanation.units[:units], lambda t, n=readings: t.shown[:n])  # type: ignore[misc]
        _, parts = _layout(explanation, rows, width)
        if above + len(parts) * (heads + len(rows) + 1) - 1 <= LINES:
            return rows, parts, 0
    most = max(1, (LINES - above + 1) // (heads + len(rows) + 1))
    kept = [*parts[: most - 1], parts[-1]]
    left_out = len(explanation.words) - sum(map(len, kept))
    return rows, kept, left_out


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
        model["sentences"].append(
            {
                "sentence": explanation.sentence,
                "unknown": explanation.unknown / len(explanation.words),
                "words": words,
            }
        )
    utf8 = (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps({"models": models}, ensure_ascii=not utf8, indent=1))


def _glossary(explanations: Sequence[Explanation], detail: bool) -> Iterator[str]:
    """Yield the meaning of each printed row."""
    traces = [(e, trace) for e in explanations for trace in e.units]
    readings = dict.fromkeys(
        name for _, trace in traces for name, _ in trace.shown[: None if detail else 2]
    )
    for name in readings:
        yield f"{ROW_NAMES.get(name, name)}: {GLOSSARY[name]}"
    if any(explanation.unknown for explanation in explanations):
        yield "(<unk>): a word that the model doesn't know"
    explanation, trace = traces[0]
    name = unit_name(trace.unit, explanation.size[0])
    yield f"{name} is {trace.unit} in --units and in files, which count from 0"
    if detail:
        yield CONVENTIONS
    else:
        yield "--detail shows all units of each model, state updates and contributions"


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


def _lines(
    explanation: Explanation, rows: Sequence[Row], part: Part, name_width: int, coloured: bool
) -> Iterator[Text]:
    """Yield the lines of a part: words, roles, the rows of the units, and the probability."""
    words = [(explanation.words[position], width) for position, width in part]
    line = Text(" " * name_width)
    for word, width in words:
        line.append(_right(word.label, width), "bold" if word.known else "bold italic")
    yield line
    if any(word.role for word in explanation.words):
        line = Text(" " * name_width)
        for word, width in words:
            marked = word.role in ("subject", "verb")
            line.append(_right(word.role or "", width), "bold cyan" if marked else "dim")
        yield line
    for label, reading, values in rows:
        line = Text(f"{label:<{name_width}}")
        yield line.append_text(_cells(reading, values, part, coloured))
    line = Text(f"{f'P({explanation.answers[1]})':<{name_width}}", "bold")
    for position, width in part:
        line.append(_right(f"{explanation.p[position]:.2f}", width))
    yield line


def _cells(name: str, values: Trace, part: Part, coloured: bool) -> Text:
    """Return one row's numbers: gates as shaded cells of one width, the others with their sign."""
    line = Text()
    for position, width in part:
        value = float(values[position])
        if name not in GATE_COLORS:
            line.append(_right(signed(value), width))
            continue
        line.append(" " * (width - MIN_CELL_WIDTH + 1))
        if coloured:
            line.append(f"{value:.2f}".rjust(MIN_CELL_WIDTH - 1), _shade(name, value))
        else:
            block = BLOCKS[min(int(value * len(BLOCKS)), len(BLOCKS) - 1)]
            line.append(f"{block}{value:.2f}")
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
