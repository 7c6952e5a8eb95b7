"""Baselines that use no syntax, fitted on the training split of a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args

import numpy as np
import pandas as pd
import pyarrow as pa

from memgate.arrays import Floats
from memgate.baselines.last_words import LastWords
from memgate.baselines.rules import baseline_predictions, majority
from memgate.data.batches import Prefixes
from memgate.data.items.numbers import Label
from memgate.data.items.tasks import NOUNS
from memgate.data.tagger import TAGGER_FILE, Tagger
from memgate.errors import InputError
from memgate.predictor import Predictor

SETTINGS = "baselines.json"
LAST_WORDS, NOUNS_FOLDER = "last_words.parquet", "nouns_only"


@dataclass(frozen=True)
class Baselines:
    """Rules and models that predict the number of a verb without syntax.

    ``majority``, ``first_noun``, ``last_noun`` and ``noun_majority`` are rules (see
    `memgate.baselines.rules`); ``nouns_only`` is a network that reads only the common nouns
    (Linzen et al. 2016, section 4); ``last_words`` a logistic regression on the last three words
    and their tags. Items without tags get the most frequent tag of each word in training. All
    predict a number, whatever the task of the model: they judge a sentence correctly if they
    predict the number of its subject.

    Attributes:
        majority_label: The more frequent label of training.
        tagger: Tags for items without; empty if training has no tags.
        last_words: The logistic regression.
        nouns_only: The network, or None if training has no tags.
    """

    majority_label: Label
    tagger: Tagger
    last_words: LastWords
    nouns_only: Predictor | None

    @classmethod
    def fit(cls, table: pa.Table, nouns_only: Predictor | None) -> Self:
        """Fit all baselines but the network.

        Args:
            table: The training split, with the columns of `memgate.data.items.schema.FEATURES`.
            nouns_only: The network, trained on the same split.
        """
        majority_label, tagger = majority(table["label"].to_pylist()), Tagger.fit(table)
        # Tagged as the test items will be: of untagged items of agr_wiki_dev 61% are right
        # otherwise.
        return cls(majority_label, tagger, LastWords.fit(tagger.fill(table)), nouns_only)

    def p_plural(self, table: pa.Table) -> pd.DataFrame:
        """Return the probability that the verb is plural.

        Args:
            table: N items with the columns of `memgate.data.items.schema.FEATURES`.

        Returns:
            N rows, in the items' order, a column a baseline: P(plural), in [0, 1]; a rule's is 0 or
            1. Baselines that read nouns are omitted if neither the items nor training have tags;
            without a noun they predict the majority label.
        """
        filled = self.tagger.fill(table)
        rules = baseline_predictions(filled, self.majority_label)
        plural = (rules == "pl").astype(float)
        if len(self.tagger) == 0 and table["tags"].null_count == len(table):
            plural = plural[["majority"]]
        elif self.nouns_only is not None:
            plural["nouns_only"] = self._from_nouns(self.nouns_only, filled)
        plural["last_words"] = self.last_words.p_plural(filled)
        return plural

    def _from_nouns(self, network: Predictor, table: pa.Table) -> Floats:
        task_inputs = NOUNS.make_inputs(table, 0)
        p = np.full(len(table), float(self.majority_label == "pl"))
        if len(task_inputs.rows):
            items = table.take(task_inputs.rows)
            p[task_inputs.rows] = network.probability(
                Prefixes.from_table(network.vocabulary, items, task_inputs)
            )
        return p

    def save(self, folder: Path) -> None:
        """Write the baselines into a folder: JSON, Parquet and a predictor's files."""
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"majority": self.majority_label}
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")
        self.tagger.save(folder / TAGGER_FILE)
        self.last_words.save(folder / LAST_WORDS)
        if self.nouns_only is not None:
            self.nouns_only.save(folder / NOUNS_FOLDER)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: A file is missing or damaged.
        """
        path = folder / SETTINGS
        try:
            majority_label = json.loads(path.read_text(encoding="utf-8"))["majority"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path}: expected the majority label in JSON, got: {error}"
            ) from error
        if majority_label not in get_args(Label):
            raise InputError(f"{path}: majority: expected 'sg' or 'pl', got {majority_label!r}")
        network = folder / NOUNS_FOLDER
        return cls(
            majority_label,
            Tagger.load(folder / TAGGER_FILE),
            LastWords.load(folder / LAST_WORDS),
            Predictor.load(network) if network.is_dir() else None,
        )
