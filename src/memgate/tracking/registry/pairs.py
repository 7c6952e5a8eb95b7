"""Two models' answers to the same items: those kept with each, or given afresh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import datasets
import pandas as pd
import pyarrow as pa
import torch

from memgate.data import files
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation import predictions
from memgate.predictor import Predictor
from memgate.tracking.registry.versions import model_folder

PREDICTIONS = "predictions.parquet"
"""What a model and its baselines answer to each test item, in its run and beside the model."""

LEAST = 100
"""Items in common that a comparison needs: of 100, one 5 points worse can be told by the exact test
(5 lost, none won: one-sided p = 1/32)."""

NEEDED = ("item", "label", "answer", "correct", "intervening", "attractors")


class Pairs(NamedTuple):
    """The items that both models answered.

    Attributes:
        rows: One an item: label (``sg``/``pl``), intervening and attractors (null where unknown),
            and whether each model is right, ``a`` and ``b``.
        answered: How many items each answered in all.
        of: Which items, in words.
    """

    rows: pd.DataFrame
    answered: tuple[int, int]
    of: str

    def __str__(self) -> str:
        """Say how many items, of how many, and which."""
        return (
            f"{len(self.rows)} items in common, of {self.answered[0]} and {self.answered[1]} "
            f"{self.of}"
        )


def paired(a: str, b: str, data: Sequence[str] = ()) -> Pairs:
    """Pair what two models answered, item by item.

    Args:
        a: What `memgate.tracking.registry.versions.model_folder` takes.
        b: Another.
        data: Files of agreement JSONL, or globs, that both answer now; without any, what each
            answered to the test items of its run.

    Raises:
        InputError: A model, what it answered or a file is missing or damaged; or fewer than `LEAST`
            items are common; or the models were asked other things about one.
    """
    folders = {each: model_folder(each) for each in (a, b)}
    if data:
        datasets.disable_progress_bars()
        torch.set_num_threads(1)  # small cells: two threads on busy cores lose (TRAPS)
        items = jsonl.read(files.paths(data, jsonl.FORMAT))
        both = [predictions(Predictor.load(folders[each]), items) for each in (a, b)]
        return _joined(a, b, both, f"of {', '.join(data)}")
    both = [_kept(each, folders[each] / PREDICTIONS) for each in (a, b)]
    return _joined(a, b, both, "test items")


def _kept(model: str, path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(
            f"{model}: expected {PREDICTIONS} beside the model, found none; "
            "with --data FILE both models answer a file's items now"
        )
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected predictions as Parquet, got: {reason}") from error
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise InputError(
            f"{path}: expected a column {missing[0]!r}, got {', '.join(map(str, table))}"
        )
    return table


def _joined(a: str, b: str, both: Sequence[pd.DataFrame], of: str) -> Pairs:
    one, other = (frame[list(NEEDED)] for frame in both)
    common = one.merge(other[["item", "answer", "correct"]], on="item", suffixes=("_a", "_b"))
    more = "with --data FILE both answer a file's items now"
    if len(common) < LEAST:
        more = more if of == "test items" else "name more of them"
        raise InputError(
            f"{a} and {b}: expected at least {LEAST} items that both answered, got {len(common)} "
            f"of {len(one)} and {len(other)} {of}; {more}"
        )
    differ = common[common["answer_a"] != common["answer_b"]]
    if len(differ):
        first = differ.iloc[0]
        raise InputError(
            f"{a} and {b}: expected models of one task; of item {first['item']} the right answers "
            f"are {first['answer_a']!r} and {first['answer_b']!r}"
        )
    rows = common[["label", "intervening", "attractors"]].assign(
        a=common["correct_a"].astype(bool), b=common["correct_b"].astype(bool)
    )
    return Pairs(rows, (len(one), len(other)), of)
