"""`memgate corpus-check`: how good the items of parsed text are, compared with gold trees."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from memgate.data.corpora.gold import GOLD, check
from memgate.metrics.accuracy import wilson
from memgate.reporting.console import echo, print_table


def corpus_check(gold: Sequence[str] = GOLD, model: str | None = None) -> None:
    """Parse the sentences of gold trees, and score the items of the parser's trees.

    Args:
        gold: CoNLL-U files or globs.
        model: spaCy model; without it the small English one.

    Raises:
        InputError: As `memgate.data.corpora.gold.check`.
    """
    quality = check(gold, model)
    rows = (
        (
            "precision: items of the parser that are gold items",
            *(quality.correct, quality.extracted, quality.precision),
        ),
        (
            "recall: gold items that are items of the parser",
            *(quality.correct, quality.gold, quality.recall),
        ),
        (
            "number: items of the parser with the gold number",
            *(quality.correct_number, quality.extracted, quality.number_accuracy),
        ),
    )
    table = []
    for name, right, n, proportion in rows:
        low, high = wilson(right, n)
        interval = f"{100 * low:.1f}–{100 * high:.1f}"
        table.append((name, f"{right:,}", f"{n:,}", f"{100 * proportion:.1f}", interval))
    echo(f"{quality.sentences:,} sentences with gold trees, parsed by {quality.parser}")
    print_table(pd.DataFrame(table, columns=["", "right", "of", "%", "95% interval"]))
