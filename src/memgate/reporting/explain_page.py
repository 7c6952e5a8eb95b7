"""A page of sentences as models read them: self-contained HTML without scripts.

It holds its style and draws with tables and SVG alone, so that it opens from a folder, from
MLflow's artifact view, which sandboxes pages, and on paper. Numbers are text: what a shade shows
can be read, searched and heard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from memgate.gates.explain.explanation import (
    CONVENTIONS,
    GLOSSARY,
    Course,
    Explanation,
    UnitTrace,
    Word,
)
from memgate.reporting.page_style import GATES, SIGNED, level, style

WORDS = 16
"""Words of a table, at most: with the names of rows they fit 1,200 pixels, and A4 on its side. A
longer sentence goes on in a further table."""

TITLE = "What the gates do, word by word"


def page(explanations: Sequence[Explanation]) -> str:
    """Write the page.

    Args:
        explanations: Any sentences and models, by sentence in the order in which these first come;
            the models that read one sentence stand below each other, aligned by word.

    Returns:
        HTML, as UTF-8 below 300 kB for 6 sentences × 3 models × 8 units.
    """
    sentences: dict[str, list[Explanation]] = {}
    for each in explanations:
        sentences.setdefault(each.sentence, []).append(each)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>memgate: {TITLE.lower()}</title><style>{style()}</style></head><body>",
        f"<header><h1>{TITLE}</h1>",
        *_key(explanations),
        "</header><main>",
        *(
            line
            for number, group in enumerate(sentences.values())
            for line in _section(number, group)
        ),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _key(explanations: Sequence[Explanation]) -> Iterator[str]:
    """Say what the rows and shades mean."""
    shown = {name for each in explanations for one in each.units for name, _ in one.on_page}
    yield "<dl>"
    for name, meaning in GLOSSARY.items():
        if name in shown:
            swatches = _swatches(name)
            yield f"<div><dt>{name}{swatches}</dt><dd>{escape(meaning)}</dd></div>"
    yield (
        "<div><dt>unit</dt><dd>layer:unit, both counted from 0</dd></div>"
        "<div><dt>P(…)</dt><dd>the probability of that answer if the sentence ended here; above "
        "the dashed middle it is the answer</dd></div></dl>"
    )
    if "write" in shown:
        yield f"<p class=conv>{escape(CONVENTIONS)}</p>"


def _swatches(name: str) -> str:
    """Return a strip of shades, for the eye alone: the text beside it says the same."""
    if name in GATES:
        cells = [(level(name, value), f"{value:g}") for value in (0, 0.25, 0.5, 0.75, 1)]
    elif name in SIGNED:
        cells = [(level(name, -2), "−"), (level(name, 0), "0"), (level(name, 2), "+")]
    else:
        return ""
    strip = "".join(f'<b class="{kind}">{text}</b>' for kind, text in cells)
    return f'<span class=scale aria-hidden="true">{strip}</span>'


def _section(number: int, group: Sequence[Explanation]) -> Iterator[str]:
    words = group[0].words
    yield f'<section aria-labelledby="s{number}"><h2 id="s{number}">{_sentence(group)}</h2>'
    for start in range(0, len(words), WORDS):
        places = range(start, min(start + WORDS, len(words)))
        last = places.stop == len(words)
        wide = max(len(words[place].text) for place in places)
        # a letter takes at most 8 px; longer words than 14 letters break
        columns = f"<col class=n><col class=r><col span={len(places)}>" + "<col class=a>" * last
        width = 160 + len(places) * min(max(58, 8 * wide + 12), 124) + 112 * last
        yield f'<div class=scroll tabindex=0 role=region aria-labelledby="s{number}">'
        yield f'<table style="width:{width}px"><colgroup>{columns}</colgroup>'
        if start:
            yield "<caption>the sentence goes on</caption>"
        yield from _head(group, places, last)
        for each in group:
            yield from _model(each, places, last)
        yield "</table></div>"
    yield "</section>"


def _sentence(group: Sequence[Explanation]) -> str:
    """Return the sentence with subject and verb marked."""
    marks = {"subject": "<u>{}</u>", "verb": "<em>{}</em>"}
    return " ".join(
        marks.get(word.role or "", "{}").format(escape(word.text)) for word in _known_roles(group)
    )


def _known_roles(group: Sequence[Explanation]) -> tuple[Word, ...]:
    """Return the words of the first model whose tags tell their roles, else of the first."""
    return next((e.words for e in group if any(word.role for word in e.words)), group[0].words)


def _head(group: Sequence[Explanation], places: range, last: bool) -> Iterator[str]:
    """Yield the words, and their roles where known."""
    words = [_known_roles(group)[place] for place in places]
    yield "<thead><tr><td colspan=2></td>"
    for word in words:
        role = f' class="{word.role}"' if word.role else ""
        yield f"<th scope=col{role}>{escape(word.text)}<i>{word.role or ''}</i></th>"
    yield f"{'<th scope=col>answer<i></i></th>' * last}</tr></thead>"


def _model(explanation: Explanation, places: range, last: bool) -> Iterator[str]:
    """Yield the rows of a model: its name, its units, and the probability as numbers and line."""
    layers, size = explanation.size
    across = len(places) + last
    units = f"{layers} × {size} units" if layers > 1 else f"{size} units"
    yield (
        f"<tbody><tr class=model><th scope=rowgroup colspan={across + 2}>"
        f"{escape(explanation.model)}<span>{explanation.cell.upper()}, {units}; shown: "
        f"{escape(explanation.chosen)}</span></th></tr>"
    )
    words = [explanation.words[place] for place in places]
    if not all(word.known for word in words):
        cells = "".join(f"<td>{'' if word.known else escape(word.read)}</td>" for word in words)
        yield f"<tr class=read><th scope=row colspan=2>read as</th>{cells}{'<td></td>' * last}</tr>"
    for trace in explanation.units:
        yield from _unit(trace, places, last)
    yield from _probability(explanation, places, last)
    yield "</tbody>"


def _unit(trace: UnitTrace, places: range, last: bool) -> Iterator[str]:
    rows = trace.on_page
    for row, (name, values) in enumerate(rows):
        first = "" if row else f"<th scope=rowgroup rowspan={len(rows)}>unit {trace.unit}</th>"
        cells = "".join(_cell(name, float(values[place])) for place in places)
        yield (
            f"<tr{'' if row else ' class=u'}>{first}<th scope=row>{name}</th>{cells}"
            f"{'<td></td>' * last}</tr>"
        )


def _cell(name: str, value: float) -> str:
    """Return a shaded cell: gates without their sign, the others with it."""
    text = f"{value:.2f}" if name in GATES else f"{value:+.2f}".replace("-", "−")
    text = "0" if text in ("+0.00", "−0.00") else text
    kind = level(name, value)
    return f"<td class={kind}>{text}</td>" if kind else f"<td>{text}</td>"


def _probability(explanation: Explanation, places: range, last: bool) -> Iterator[str]:
    """Yield the probabilities as numbers, and a line through them in the same columns."""
    against, answer = explanation.answers
    p = explanation.p
    cells = "".join(f"<td>{p[place]:.2f}</td>" for place in places)
    final = ""
    if last:
        end = float(p[-1])
        chosen = explanation.answers[end > 0.5]
        final = f"<td rowspan=2 class=out>{chosen}<b>{max(end, 1 - end):.1%}</b></td>"
    yield f"<tr class=p><th scope=row colspan=2>P({answer})</th>{cells}{final}</tr>"
    yield (
        f"<tr class=line><th scope=row colspan=2><div><span>{answer}</span>"
        f"<span>{against}</span></div></th>"
        f"<td colspan={len(places)}>{_line(explanation, p, places)}</td></tr>"
    )


def _line(explanation: Explanation, p: Course, places: range) -> str:
    """Draw the probability: one unit of width a word, so that each dot stands below its word."""
    n = len(places)
    points = [(i + 0.5, 1 - float(p[place])) for i, place in enumerate(places)]
    path = "L".join(f"{x:g} {y:.3f}" for x, y in points)
    dots = "".join(f"M{x:g} {y:.3f}h0" for x, y in points)
    label = f"P({explanation.answers[1]}) of {explanation.model}, from word to word"
    return (
        f'<svg viewBox="0 -.12 {n} 1.24" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">'
        f'<path class="half" d="M0 .5H{n}"/><path class="course" d="M{path}"/>'
        f'<path class="dots" d="{dots}"/></svg>'
    )
