"""The live page: `page`, one HTML file that computes networks in the browser.

It holds style, scripts and weights, so it opens from a folder and in MLflow's artifact view, which
sandboxes pages. The same numbers stand below as tables, for readers without scripts and on paper.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

from memgate.gates.explain.explained_model import ExplainedModel
from memgate.gates.explain.explanation import (
    CONVENTIONS,
    GLOSSARY,
    REQUESTED,
    ROW_NAMES,
    Explanation,
    Trace,
    Word,
)
from memgate.gates.units.unit import unit_name
from memgate.reporting.explanation import unknown_words
from memgate.reporting.live_network import LiveNetwork, contents
from memgate.reporting.pages import render
from memgate.reporting.shades import GATE_COLORS, SIGNED, as_hex, level, shades

WORDS_PER_TABLE = 16
"""Words of a table, at most: with the names of rows they fit 1,200 pixels, and A4 on its side. A
longer sentence goes on in a further table."""


MODULES = (
    *("cells.js", "network.js", "tokens.js", "share.js", "stage.js", "opened.js", "page.js"),
)
"""The scripts in ``templates/live``; a module imports only from those before it."""


def page(explanations: Sequence[Explanation], networks: Sequence[LiveNetwork]) -> str:
    """Write the page: HTML, as UTF-8 below 400 kB for three networks of 8 units and the grammar.

    In the tables the models that read one sentence stand below each other, aligned by word.

    Args:
        explanations: Of any sentences, by these networks; the first sentence is shown first.
        networks: The networks to compute in the browser.
    """
    by_sentence: dict[str, list[Explanation]] = {}
    for explanation in explanations:
        by_sentence.setdefault(explanation.sentence, []).append(explanation)
    traces = (trace for explanation in explanations for trace in explanation.units)
    names = {name for trace in traces for name, _ in trace.on_page}
    return render(
        "live/page.html.jinja",
        content=_json({**contents(networks), "sentences": [as_typed(s) for s in by_sentence]}),
        script=_script(),
        glossary={name: meaning for name, meaning in GLOSSARY.items() if name in names},
        row_names=ROW_NAMES,
        gates=GATE_COLORS,
        signed=SIGNED,
        conventions=CONVENTIONS,
        sentences=[_sentence(group) for group in by_sentence.values()],
        shades=shades(),
        as_hex=as_hex,
        level=level,
        number=_number,
        line=_line,
        unit_name=unit_name,
        unknown_words=unknown_words,
    )


def page_of_models(explanations: Sequence[Explanation], models: Sequence[ExplainedModel]) -> str:
    """Write the page of models, those set by hand last.

    Args:
        explanations: Of any sentences, by these models.
        models: Of different names.
    """
    networks = [
        LiveNetwork.of(
            model.predictor,
            next(one for one in explanations if one.model == model.name),
            () if model.chosen == REQUESTED else model.number_units,
        )
        for model in models
    ]
    return page(explanations, sorted(networks, key=lambda network: network.is_set_by_hand))


def as_typed(sentence: str) -> str:
    """Write tokens with spaces between them as people do.

    >>> as_typed("the cat , which ate , was n't")
    "the cat, which ate, wasn't"
    """
    return re.sub(r" (?=[,.;:!?]|n't\b|'s\b)", "", sentence)


def _json(content: object) -> str:
    """Write JSON for a ``<script>``, which ``</script>`` in a text would end."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", r"\u003c")


def _script() -> str:
    """Return the modules as one, without their imports and exports."""
    folder = resources.files("memgate.reporting") / "templates/live"
    modules = [(folder / name).read_text(encoding="utf-8") for name in MODULES]
    joined = re.sub(r"^import [^;]+;\n", "", "\n".join(modules), flags=re.MULTILINE)
    return re.sub(r"^export ", "", joined, flags=re.MULTILINE)


def _sentence(explanations: Sequence[Explanation]) -> dict[str, Any]:
    """Return a sentence's words, with roles if a model's tags determine them, and its tables."""
    readings = [explanation.words for explanation in explanations]
    with_roles = (words for words in readings if any(word.role for word in words))
    words = next(with_roles, readings[0])
    return {
        "words": words,
        "explanations": explanations,
        "tables": [_table(words, start) for start in range(0, len(words), WORDS_PER_TABLE)],
    }


def _table(words: Sequence[Word], start: int) -> dict[str, Any]:
    """Return which words a table has, whether they are the last ones, and its width in pixels."""
    positions = range(start, min(start + WORDS_PER_TABLE, len(words)))
    last = positions.stop == len(words)
    longest = max(len(words[position].text) for position in positions)
    # a letter takes at most 8 px; words of more than 14 letters break
    width = 168 + len(positions) * min(max(58, 8 * longest + 12), 124) + (112 if last else 0)
    return {"positions": positions, "last": last, "width": width}


def _number(name: str, value: float) -> str:
    """Write the number of a cell: gates without their sign, the others with it."""
    text = f"{value:.2f}" if name in GATE_COLORS else f"{value:+.2f}".replace("-", "−")
    return "0" if text in ("+0.00", "−0.00") else text


def _line(p: Trace, positions: range) -> tuple[str, str]:
    """Return SVG paths of the probability, one unit of width a word: the line and the dots."""
    points = [(at + 0.5, 1 - float(p[position])) for at, position in enumerate(positions)]
    line = "L".join(f"{x:g} {y:.3f}" for x, y in points)
    return f"M{line}", "".join(f"M{x:g} {y:.3f}h0" for x, y in points)
