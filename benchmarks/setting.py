"""What all rows share: device, sizes, and the items that are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.machine import Machine
from memgate.arrays import Ints
from memgate.data.batches import Prefixes
from memgate.data.items.roles import ROLES
from memgate.data.sources.grammar import Grammar
from memgate.data.sources.jsonl import JsonLines

ROOT = Path(__file__).parents[1]

VOCABULARY = 10_000
"""Words of networks whose items are made here; as many as a corpus's vocabulary has by default."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the whole table takes under five minutes on two cores.

    Args:
        repeats: Rounds of each comparison.
        train: Items of the training split where the grammar makes it.
        gates: Prefixes whose gates are read, by the units of the network.
        memory: Items whose gates are read for the peak of memory.
        evaluated: Items that are scored.
        lines: Items of JSONL.
        grammar: Items that the grammar draws in each round.
        starts: Rounds of programs that start.
    """

    repeats: int = 5
    train: int = 20_000
    gates: tuple[tuple[int, int], ...] = ((128, 8192), (650, 1024))
    memory: tuple[int, int] = (100_000, 200_000)
    evaluated: int = 20_000
    lines: int = 200_000
    grammar: int = 20_000
    starts: int = 5


FULL = Sizes()
QUICK = Sizes(
    repeats=2,
    train=256,
    gates=((8, 64), (16, 32)),
    memory=(500, 1000),
    evaluated=200,
    lines=300,
    grammar=100,
    starts=1,
)


class Source(NamedTuple):
    """Where the training items come from.

    Args:
        name: In words.
        items: The source.
        arguments: It was made with them.
    """

    name: str
    items: Grammar | JsonLines
    arguments: Mapping[str, int] | Mapping[str, list[str]]

    def options(self) -> list[str]:
        """Return the arguments of `memgate fit` that name it."""
        kind = type(self.items)
        options = [f"--data.source={kind.__module__}.{kind.__qualname__}"]
        return options + [f"--data.source.{key}={value}" for key, value in self.arguments.items()]


@dataclass(frozen=True)
class Setting:
    """What a measurement needs to know.

    Args:
        device: Of the timings.
        folder: Where files may be left.
        sizes: How much is measured.
        machine: What the device can do.
        quick: Whether only the program is tried, not the speed.
    """

    device: torch.device
    folder: Path
    sizes: Sizes
    machine: Machine
    quick: bool

    def source(self) -> Source:
        """Return where the training items come from: real text where it is, else the grammar."""
        corpora = os.environ.get("MEMGATE_DATA")
        if corpora and not self.quick:
            folder = Path(corpora).resolve() / "corpus"
            names = {"train": "wiki_train", "validation": "wiki_dev", "test": "brown_dev"}
            files = {split: [f"{folder}/agr_{name}.jsonl.gz"] for split, name in names.items()}
            read = JsonLines(files["train"], files["validation"], files["test"])
            return Source("agr_wiki_train", read, files)
        n = self.sizes.train
        counts = {"train": n, "validation": max(64, n // 20), "test": 64}
        return Source("the grammar", Grammar(n, counts["validation"], counts["test"]), counts)


def mixed(lengths: Ints, n: int, distinct: int = 8) -> Ints:
    """Return `n` lengths, `distinct` of them different, that stand for the whole mix.

    They are those at evenly spaced quantiles, each as often: so a batch has as many rows as that of
    a large corpus has, though the prefixes are few.
    """
    middles = (np.arange(distinct) + 0.5) / distinct
    chosen = np.quantile(lengths, middles, method="nearest").astype(np.int64)
    return np.repeat(chosen, -(-n // distinct))[:n]


def prefixes(lengths: Ints, vocabulary: int = VOCABULARY, seed: int = 0) -> Prefixes:
    """Make encoded prefixes of the given lengths, of whose words everything is known.

    The subject stands anywhere; of what follows, an eighth each are attractors and nouns of the
    subject's number.
    """
    rng = np.random.default_rng(seed)
    items = len(lengths)
    starts = np.cumsum(lengths) - lengths
    tokens = int(lengths.sum())
    subjects = rng.integers(0, lengths)
    place = np.arange(tokens) - np.repeat(starts + subjects, lengths)
    nouns = rng.integers(0, 8, tokens, dtype=np.int8)
    before, subject, attractor, noun, other = map(ROLES.index, ROLES[:5])
    behind = np.choose(np.minimum(nouns, 2), [attractor, noun, other])
    roles = np.where(place < 0, before, np.where(place == 0, subject, behind))
    numbers = torch.from_numpy(rng.integers(0, 2, items))
    return Prefixes(
        ids=torch.from_numpy(rng.integers(0, vocabulary, tokens, dtype=np.int32)),
        starts=torch.from_numpy(starts),
        lengths=lengths,
        targets=numbers,
        labels=numbers,
        intervening=torch.from_numpy(lengths - subjects - 1),
        attractors=torch.zeros(items, dtype=torch.int64),
        roles=torch.from_numpy(roles.astype(np.int8)),
        subjects=torch.from_numpy(subjects),
    )
