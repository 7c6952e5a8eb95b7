"""A classifier with hand-set weights for a data set, tested, tracked and registered."""

from __future__ import annotations

import math
from contextlib import nullcontext

import numpy as np
import pyarrow as pa

from memgate.baselines.fitted import Baselines
from memgate.data.items.numbers import NOUN_NUMBER, Label
from memgate.data.items.tasks import NUMBER
from memgate.data.tagger import Tagger
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.fitting.config_files import config_file
from memgate.fitting.configuration import configure
from memgate.fitting.finalize import FitResult, finalize
from memgate.fitting.run import log_setting
from memgate.models.classifier import Classifier
from memgate.models.hand_set import CLASSES, UNITS, GatedCell, K, oracle
from memgate.tracking.store import storing


def fit_hand_set(cell: GatedCell, data: str) -> FitResult:
    """Set the weights of a network for a data set; test, track and register it.

    Its baselines are those of the training split, without the network that reads only nouns: with
    hand-set weights that is the baseline of the first noun.

    Raises:
        InputError: A configuration, the data or the store can't be used, or the task is another
            than number prediction.
    """
    files = ("trainer/default.yaml", f"cell/{cell}.yaml", f"data/{data}.yaml")
    sizes = {"embedding_size": len(CLASSES), "hidden_size": len(UNITS), "num_layers": 1}
    fit = configure(
        [
            *(f"--config={config_file(file)}" for file in files),
            *(f"--model.{name}={size}" for name, size in {**sizes, "dropout": 0.0}.items()),
            "--trainer.enable_checkpointing=false",
        ],
        labels={"weights": "hand-set"},
        variant="oracle",
    )
    fit.data.setup()
    if fit.data.task != NUMBER:
        raise InputError(
            f"{fit.data.name}: expected the task {NUMBER.name!r}, which the weights are set for, "
            f"got {fit.data.task.name!r}"
        )
    train = fit.data.table("train")
    fit.module.classifier = hand_set_classifier(cell, fit.data.vocabulary, train)
    fit.prepare()
    with fit.run or nullcontext():
        with storing():
            log_setting(fit, {"weights": "hand-set", "k": K})
        fit.trainer.validate(fit.module, fit.data, verbose=False)
        val_accuracy = float(fit.trainer.callback_metrics["val/accuracy"])
        fit.trainer.test(fit.module, fit.data, verbose=False)
        baselines = Baselines.fit(train, nouns_only=None)
        return finalize(fit, baselines, val_accuracy, lambda _: None)


def hand_set_classifier(cell: GatedCell, vocabulary: Vocabulary, train: pa.Table) -> Classifier:
    """Return a classifier whose weights are set for a vocabulary.

    If it has read no noun, it predicts the training split's proportion of plural.

    Raises:
        InputError: No item has tags, or the cell has no gate; or nearly all labels are the same.
    """
    tagger = Tagger.fit(train)
    if len(tagger) == 0:
        raise InputError("expected training items with tags, which mark the nouns; got none")
    classes = noun_ids(vocabulary, tagger)
    plural = sum(train["label"].to_pylist())
    # One more of each (Laplace's rule), as a label may be missing.
    log_odds = math.log((plural + 1) / (len(train) - plural + 1))
    return oracle(cell, len(vocabulary), classes["sg"], classes["pl"], log_odds)


def noun_ids(vocabulary: Vocabulary, tagger: Tagger) -> dict[Label, list[int]]:
    """Return the ids of common nouns by number: words by their most frequent tag, NN and NNS."""
    entries = vocabulary.tokenizer.get_vocab()
    words = sorted(entries, key=entries.__getitem__)
    words[0] = ""  # <unk> stands for any word; raw texts have it too, as a word with a tag
    tags = np.array(tagger.tag(pa.array(words, pa.string())).to_pylist())
    return {number: np.flatnonzero(tags == tag).tolist() for tag, number in NOUN_NUMBER.items()}
