"""The dataset card of a corpus: ``templates/card.md.jinja``, filled in with counts of its items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from memgate.data.items.numbers import LABELS
from memgate.data.items.schema import SPLITS

WORD_RANGES: Mapping[str, int] = {"0": 0, "1–2": 2, "3–5": 5, "6–10": 10, "11+": 1000}
"""Ranges of intervening words, and the most words of each."""

MANY_ATTRACTORS = 4
"""Attractors that are counted together with all larger numbers."""


def count_items(items: pa.Table, split: str) -> pd.Series[int]:
    """Count items by split, label, target, attractors and intervening words.

    Args:
        items: A table with `memgate.data.corpora.shards.CORPUS_FEATURES`.
        split: The split of all of them.
    """
    columns = items.select(["label", "target", "n_attractors", "verb_idx", "subj_idx"]).to_pandas()
    intervening = columns["verb_idx"] - columns["subj_idx"] - 1
    keys = pd.DataFrame(
        {
            "split": split,
            "label": [LABELS[label] for label in columns["label"]],
            "target": columns["target"],
            "attractors": columns["n_attractors"].clip(upper=MANY_ATTRACTORS),
            "words": pd.cut(intervening, [-1, *WORD_RANGES.values()], labels=list(WORD_RANGES)),
        }
    )
    return keys.astype({"words": str}).value_counts()


def card(
    made_from: Mapping[str, Any],
    counts: pd.Series[int],
    sizes: Mapping[str, int],
    dropped: Mapping[str, int],
) -> str:
    """Return the card as Markdown, with the header by which `datasets` finds the files.

    Args:
        made_from: ``source``, ``revision``, ``parser``, ``version``, ``linzen``, ``validation``,
            ``test`` and ``seed``.
        counts: From `count_items`, of all splits.
        sizes: Numbers of ``sentences``, ``tokens`` and ``items``.
        dropped: How many subjects were left out, by reason.
    """
    environment = Environment(  # noqa: S701  Markdown has nothing to escape
        loader=PackageLoader("memgate.data.corpora"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    by_split = _cross_table(counts, "split", "label").reindex(
        index=list(SPLITS), columns=list(LABELS), fill_value=0
    )
    by_split.columns = pd.Index(["singular", "plural"])
    by_split.insert(0, "items", by_split.sum(axis="columns"))
    by_words = _cross_table(counts, "words", "attractors")
    by_words = by_words.reindex(
        index=list(WORD_RANGES), columns=range(MANY_ATTRACTORS + 1), fill_value=0
    )
    by_words["all"] = by_words.sum(axis="columns")
    by_target = counts.groupby("target").sum().sort_values(ascending=False)
    by_reason = pd.Series(dropped, dtype=int).sort_values(ascending=False, kind="stable")
    return environment.get_template("card.md.jinja").render(
        {name: made_from[name] for name in ("source", "revision", "parser", "version", "linzen")},
        seed=made_from["seed"],
        validation=f"{made_from['validation']:g}",
        test=f"{made_from['test']:g}",
        sizes=sizes,
        many=MANY_ATTRACTORS,
        by_split=_table(by_split, "split"),
        by_words=_table(by_words, "words"),
        by_target=", ".join(f"{target} {number:,}" for target, number in by_target.items()),
        by_reason=_table(by_reason.to_frame("subjects"), "reason"),
    )


def _cross_table(counts: pd.Series[int], rows: str, columns: str) -> pd.DataFrame:
    table = counts.reset_index(name="items")
    return table.pivot_table(
        "items", index=rows, columns=columns, aggfunc="sum", fill_value=0
    ).astype(int)


def _table(numbers: pd.DataFrame, index: str) -> str:
    cells = numbers.map("{:,}".format).rename_axis(index).reset_index()
    alignment = ["left", *["right"] * len(numbers.columns)]
    return str(
        cells.to_markdown(index=False, disable_numparse=True, colalign=alignment, tablefmt="pipe")
    )
