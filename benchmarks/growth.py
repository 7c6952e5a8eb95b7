"""`make bench-growth`: how training and gate reading grow with the corpus, sentences and units."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.footprint import epoch, peaks, quiet
from benchmarks.gates import read
from benchmarks.growth_figure import growth_figure
from benchmarks.setting import VOCABULARY, prefixes
from benchmarks.timing import seconds
from memgate.arrays import Ints
from memgate.data.datamodule import AgreementData
from memgate.data.sources.grammar import Grammar
from memgate.data.vocabulary import Vocabulary
from memgate.models.classifier import Classifier
from memgate.reporting.plots import save

UNITS, LENGTH = 50, 10

MIX = (2, 2, 3, 4, 6, 9, 14, 24)
"""Words of prefixes where the corpus varies: quantiles of agr_wiki_train (1/16, 3/16, …)."""

GIB = 2**30
MACHINE = 24 * GIB
"""The memory of the machine whose end is extrapolated."""


@dataclass(frozen=True)
class Grid:
    """What is varied, one thing at a time.

    Args:
        items: Sizes of the corpus, of real lengths.
        lengths: Words of every prefix.
        units: Of the network, and as wide its embedding.
        by_length: Items at each length.
        by_units: Items at each size of network.
        memory: Items of JSONL that a process reads, trains on and reads the gates of.
        repeats: Of what takes under two seconds; the least counts.
    """

    items: Sequence[int] = (10_000, 30_000, 100_000, 300_000, 1_000_000)
    lengths: Sequence[int] = (5, 10, 20, 35, 50)
    units: Sequence[int] = (32, 64, 128, 256, 512, 1024)
    by_length: int = 10_240
    by_units: int = 1_280
    memory: Sequence[int] = (25_000, 50_000, 100_000, 200_000)
    repeats: int = 3


QUICK = Grid((64, 128), (5, 10), (4, 8), 64, 64, (20, 40), 1)


def main() -> None:
    """Measure, and write the table and the figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: the program, no speed")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="(docs)")
    given = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    grid = QUICK if given.quick else Grid()
    table = pd.DataFrame(_times(grid))
    with tempfile.TemporaryDirectory(prefix="memgate-growth-") as folder:
        found = peaks(Path(folder), grid.memory)
    held = [{"what": "memory", "by": "items", "n": n, "value": v} for n, v in found.items()]
    table = pd.concat([table, pd.DataFrame(held)], ignore_index=True)
    given.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.out / "growth.csv", index=False)
    end = memory_ends_at(list(found), list(found.values()))
    save(growth_figure(table, slopes(table), end), given.out / "growth.png")
    for (what, by), slope in slopes(table).items():
        print(f"{what} by {by}: slope {slope:.2f} (log-log)")
    print(f"memory of {MACHINE // GIB} GiB ends at {end:,.0f} items")


def _times(grid: Grid) -> Iterator[dict[str, object]]:
    """Yield the seconds of an epoch and of a pass over the gates, one row each."""
    cases: list[tuple[str, int, Ints, int]] = [
        *(("items", n, np.resize(np.array(MIX), n), UNITS) for n in grid.items),
        *(("length", n, np.full(grid.by_length, n), UNITS) for n in grid.lengths),
        *(("units", n, np.full(grid.by_units, LENGTH), n) for n in grid.units),
    ]
    for by, n, lengths, units in cases:
        for what, taken in zip(("training", "gates"), _both(lengths, units, grid), strict=True):
            print(f"{what} by {by}, {n:,}: {taken:.3g} s", flush=True)
            yield {"what": what, "by": by, "n": n, "value": taken}


def _both(lengths: Ints, units: int, grid: Grid) -> tuple[float, float]:
    """Return the seconds of an epoch of training, and of a pass over every gate."""
    data = AgreementData(Grammar(1, 1, 1), "growth")
    made = prefixes(lengths)
    data.prefixes = {"train": made, "validation": made, "test": made}  # nothing is set up then
    data.vocabulary = Vocabulary.from_words([f"w{n}" for n in range(VOCABULARY - 1)], [])
    net = Classifier(VOCABULARY, "lstm", units, units).eval()
    training = _least(lambda: epoch(data, units), grid.repeats)
    return training, _least(
        lambda: seconds(lambda: read(net, made), torch.device("cpu")), grid.repeats
    )


def _least(measure: Callable[[], float], repeats: int) -> float:
    """Measure several times, unless once is long enough to be sure."""
    found = [measure()]
    while found[0] < 2 and len(found) < repeats + 1:
        found.append(measure())
    return min(found)


def slopes(table: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return the slope of each series in log-log: 1 is linear, below 1 has a fixed part.

    Args:
        table: Columns what, by, n, value.
    """
    found = {}
    for (what, by), rows in table.groupby(["what", "by"], sort=False):
        slope, _ = np.polyfit(np.log(rows["n"]), np.log(rows["value"]), 1)
        found[str(what), str(by)] = float(slope)
    return found


def memory_ends_at(items: Sequence[int], held: Sequence[int]) -> float:
    """Return how many items a machine of `MACHINE` bytes holds, on the line through the peaks."""
    each, fixed = np.polyfit(items, held, 1)
    return float((MACHINE - fixed) / each)


if __name__ == "__main__":
    main()
