"""`memgate oracle`: a classifier set by hand for a data set, tested, tracked and registered."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa

from memgate.baselines.fitted import Baselines
from memgate.data.items.numbers import NOUN_NUMBER, Label
from memgate.data.items.tasks import NUMBER
from memgate.data.tagger import Tagger
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.fitting.configuration import AgreementCLI
from memgate.fitting.finalize import finalize, show
from memgate.fitting.run import log_setting
from memgate.models.classifier import Classifier
from memgate.models.hand_set import CLASSES, UNITS, GatedCell, K, oracle
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import storing


class OracleCLI(AgreementCLI):
    """Makes the network by hand, from the word classes of the training split."""

    @property
    def tags(self) -> dict[str, str]:
        """What tells this run from others, and that nothing was learned."""
        return {**super().tags, "weights": "by hand"}

    @property
    def subject(self) -> str:
        """What it is for, such as ``gru-synthetic-oracle``: no rival of what was learned."""
        return f"{super().subject}-oracle"

    @property
    def run_name(self) -> str:
        """Name of the run; no seed has a part in it."""
        return self.subject

    def prepare(self) -> None:
        """Load the data and set the network.

        Raises:
            InputError: As `AgreementCLI.prepare` and `hand_set_classifier`; or the task is another
                than number prediction.
        """
        self.datamodule.setup()
        task = self.datamodule.task
        if task != NUMBER:
            raise InputError(
                f"{self.datamodule.name}: expected the task {NUMBER.name!r}, which the weights "
                f"are set for, got {task.name!r}"
            )
        self.model.classifier = hand_set_classifier(
            self.config.model.cell, self.datamodule.vocabulary, self.datamodule.table("train")
        )
        super().prepare()


def run_oracle(cell: GatedCell, data: str, configs: Path) -> None:
    """Set a network by hand for a data set, test, track and register it, print the accuracy.

    It is registered as ``memgate-<cell>-<data>-oracle``. Beside it stand the baselines of the
    training split but for the network that reads only nouns: set by hand, that is ``first_noun``.

    Args:
        cell: ``gru`` or ``lstm``.
        data: ``synthetic``, ``wikipedia`` or ``corpus``: gives vocabulary, word classes and tests.
        configs: Folder with ``cell/``, ``data/`` and ``trainer/``.

    Raises:
        InputError: A configuration, the data or the store can't be used.
    """
    files = ("trainer/default.yaml", f"cell/{cell}.yaml", f"data/{data}.yaml")
    sizes = {"embedding_size": len(CLASSES), "hidden_size": len(UNITS), "num_layers": 1}
    cli = OracleCLI(
        [
            *(f"--config={configs / file}" for file in files),
            *(f"--model.{name}={size}" for name, size in {**sizes, "dropout": 0.0}.items()),
            "--trainer.enable_checkpointing=false",
        ]
    )
    cli.prepare()
    logger = cli.trainer.logger
    run = logger if isinstance(logger, RunLogger) else None
    with run or nullcontext():
        if run is not None:
            with storing():
                log_setting(cli, run, {"weights": "by hand", "k": K})
        cli.trainer.validate(cli.model, cli.datamodule, verbose=False)
        score = float(cli.trainer.callback_metrics["val/accuracy"])
        cli.trainer.test(cli.model, cli.datamodule, verbose=False)
        baselines = Baselines.fit(cli.datamodule.table("train"), nouns_only=None)
        fitted = finalize(cli, run, baselines, score, lambda _: None)
    show(fitted)


def hand_set_classifier(cell: GatedCell, vocabulary: Vocabulary, train: pa.Table) -> Classifier:
    """Set a network by hand for a vocabulary.

    Where no noun was read it answers the training split's share of plural.

    Args:
        cell: ``gru`` or ``lstm``.
        vocabulary: That of the training split.
        train: The training split, with the columns of `memgate.data.items.schema.FEATURES`.

    Raises:
        InputError: No item has tags, or the cell has no gate; or nearly all labels are the same.
    """
    tagger = Tagger.fit(train)
    if len(tagger) == 0:
        raise InputError("expected training items with tags, which say what is a noun; got none")
    classes = noun_ids(vocabulary, tagger)
    plural = sum(train["label"].to_pylist())
    # One more of each (Laplace's rule), as a label may be missing.
    log_odds = math.log((plural + 1) / (len(train) - plural + 1))
    return oracle(cell, len(vocabulary), classes["sg"], classes["pl"], log_odds)


def noun_ids(vocabulary: Vocabulary, tagger: Tagger) -> dict[Label, list[int]]:
    """Return the ids of common nouns by number: words by their most frequent tag, and NN and NNS.

    Args:
        vocabulary: Words and, for the rarer ones, the symbols of their tags.
        tagger: Tags of words; `memgate.data.tagger.UNKNOWN_TAG` is no noun's.
    """
    entries = vocabulary.tokenizer.get_vocab()
    words = sorted(entries, key=entries.__getitem__)
    words[0] = ""  # <unk> stands for any word; raw texts have it too, as a word with a tag
    tags = np.array(tagger.tag(pa.array(words, pa.string())).to_pylist())
    return {number: np.flatnonzero(tags == tag).tolist() for tag, number in NOUN_NUMBER.items()}
