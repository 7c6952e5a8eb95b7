"""Row: what `memgate evaluate` does with items once they are loaded."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import datasets
import torch

from benchmarks.gates import operations
from benchmarks.setting import Setting
from benchmarks.table import Row, at_least
from benchmarks.timing import in_turns, ratio
from memgate.data.datamodule import AgreementData
from memgate.evaluation import accuracy, predictions
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

UNITS = 100


def rows(setting: Setting, data: AgreementData) -> Iterator[Row]:
    """Yield one row.

    Args:
        setting: Device and sizes.
        data: Its training items are scored.
    """
    wanted = min(setting.sizes.evaluated, len(data.splits["train"]))
    items = data.splits["train"].select(range(wanted)).flatten_indices()
    torch.manual_seed(0)
    net = Classifier(len(data.vocabulary), "lstm", UNITS, UNITS).to(setting.device).eval()
    predictor = Predictor(net, data.vocabulary, data.task)
    encoded = predictor.read(items.with_format("arrow")[:])[1].to(setting.device)
    forward, ours = in_turns(
        [lambda: predictor.probability(encoded), lambda: scored(predictor, items)],
        setting.sizes.repeats,
        setting.device,
    )
    words = int(encoded.lengths.sum())
    yield Row(
        "evaluate",
        f"memgate evaluate, LSTM {UNITS}, {wanted:,} items, loading excluded",
        "the bare fused forward",
        "items/s",
        wanted / statistics.median(ours),
        wanted / statistics.median(forward),
        ratio(forward, ours),
        at_least(setting.device, 0.6),
        wanted / setting.machine.floor(words * operations("lstm", UNITS, UNITS)),
        "predictions and tables, without baselines; words are looked up in it, not in the other",
    )


def scored(predictor: Predictor, items: datasets.Dataset) -> None:
    """Predict items and tabulate the accuracy."""
    predicted = predictions(predictor, items)
    accuracy(predicted.assign(model="model", data="data"))
