"""The card of a corpus that memgate made: what it is, where from, how, and how much of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memgate.data.items.schema import SPLITS

INTERVENING: Mapping[str, range] = {
    "0": range(1),
    "1–2": range(1, 3),
    "3–5": range(3, 6),
    "6–10": range(6, 11),
    "11+": range(11, 1000),
}
MANY = 4
"""Attractors that are counted together with all larger numbers."""

HEADER = """\
---
configs:
- config_name: default
  data_files:
  - {split: train, path: train.parquet}
  - {split: validation, path: validation.parquet}
  - {split: test, path: test.parquet}
language: en
task_categories:
- text-classification
---
"""

RULES = """\
- Subject: `nsubj` or `nsubjpass`, tagged NN or NNS (no pronouns, proper nouns, relativizers), of \
letters (with hyphens, apostrophes, full stops), left of the verb, not coordinated before it.
- Verb: the leftmost finite auxiliary of the clause (left out if a modal or a past tense), else \
its head; VBZ or VBP, with the subject's number.
- Left out: clitics ('s, 're), verbs whose forms lemminflect doesn't know, plurals that equal \
their past (put, read), sentences of 50 tokens or more.
- Attractors: common nouns between subject and verb that have the other number.
"""

LINZEN = """\
- As in Linzen, Dupoux & Goldberg (2016): main verbs and copulas only, and one random item a \
sentence.
"""


def count(rows: Iterable[Mapping[str, Any]], split: str) -> Counter[tuple[str, ...]]:
    """Count items by split, label, target, attractors and intervening words; for `card`."""
    counts: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        between = row["verb_idx"] - row["subj_idx"] - 1
        words = next(name for name, span in INTERVENING.items() if between in span)
        attractors = min(row["n_attractors"], MANY)
        counts[split, row["label"], row["target"], str(attractors), words] += 1
    return counts


def card(
    made_from: Mapping[str, Any],
    counts: Counter[tuple[str, ...]],
    sizes: Mapping[str, int],
    dropped: Mapping[str, int],
) -> str:
    """Write the card in Markdown, with the header by which `datasets` finds the files.

    Args:
        made_from: ``source``, ``revision``, ``parser``, ``version``, ``linzen``, ``validation``,
            ``test`` and ``seed``.
        counts: From `count`, of all splits.
        sizes: Numbers of ``sentences``, ``tokens`` and ``items``.
        dropped: How many subjects were left out, by reason.
    """
    return f"""\
{HEADER}# Subject-verb agreement

{sizes["items"]:,} items from {sizes["sentences"]:,} sentences ({sizes["tokens"]:,} tokens), made \
by memgate {made_from["version"]}. `*.jsonl` holds the same as `*.parquet`. The licence is that of \
the source.

| | |
|---|---|
| source | {made_from["source"]} |
| revision | {made_from["revision"]} |
| parser | {made_from["parser"]} |
| splits | by a hash of a sentence's first five words and the seed {made_from["seed"]}: validation \
{made_from["validation"]:g}, test {made_from["test"]:g}, training the rest; no sentence is in two |

## Rules
{RULES}{LINZEN if made_from["linzen"] else ""}
## Items
{_items(counts)}
## Subjects left out
The first reason that holds, of all subjects.

{_table(["reason", "subjects"], sorted(dropped.items(), key=lambda pair: -pair[1]))}"""


def _items(counts: Counter[tuple[str, ...]]) -> str:
    splits = [
        (split, of["sg"] + of["pl"], of["sg"], of["pl"])
        for split in SPLITS
        for of in [_sums({key: n for key, n in counts.items() if key[0] == split}, by=1)]
    ]
    attractors = [str(number) for number in range(MANY + 1)]
    by_words = [
        (words, *(of[number] for number in attractors), sum(of.values()))
        for words in INTERVENING
        for of in [_sums({key: n for key, n in counts.items() if key[4] == words}, by=3)]
    ]
    targets = _sums(counts, by=2).most_common()
    return f"""\
{_table(["split", "items", "singular", "plural"], splits)}
By what agrees: {", ".join(f"{name} {number:,}" for name, number in targets)}.

By intervening words (rows) and attractors (columns; {MANY} stands for {MANY} and more):

{_table(["words", *attractors, "all"], by_words)}"""


def _sums(counts: Mapping[tuple[str, ...], int], by: int) -> Counter[str]:
    sums: Counter[str] = Counter()
    for key, number in counts.items():
        sums[key[by]] += number
    return sums


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
