"""A classifier with its vocabulary and task: sentences in, probabilities out; no pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from memgate.arrays import Bools, Floats
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import ROLES
from memgate.data.items.tasks import NUMBER, TASKS, Task, TaskInputs
from memgate.data.tagger import TAGGER_FILE, Tagger
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.models.classifier import Classifier

WEIGHTS, CONFIG = "model.safetensors", "config.json"

BASELINES_FOLDER = "baselines"
"""Folder of the baselines within that of a predictor."""

BATCH_SIZE = 1024
"""Rows of a batch in prediction: 1,024 × 4 gates × 100 units in float32 are 1.6 MB, in cache."""


@dataclass(frozen=True)
class Predictor:
    """A trained classifier, the vocabulary it reads with, and the task it was trained on.

    Attributes:
        classifier: The network, an ``nn.Module``; of weights in half precision a copy in single.
        vocabulary: Words to ids.
        task: What it reads and predicts.
        tagger: Tags for words, of its training split; None if it has none. It finds nouns.

    >>> import memgate
    >>> from memgate.data.vocabulary import Vocabulary
    >>> vocabulary = Vocabulary.from_words(["the", "cat", "cats"])
    >>> classifier = memgate.Classifier(len(vocabulary), "gru")  # not trained
    >>> memgate.Predictor(classifier, vocabulary).predict(["the cat", "the cats"]).shape
    (2,)
    """

    classifier: Classifier
    vocabulary: Vocabulary
    task: Task = NUMBER
    tagger: Tagger | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "classifier", self.classifier.widened())

    def predict(self, prefixes: Sequence[str], tags: Sequence[str | None] | None = None) -> Floats:
        """Return P(plural), in [0, 1], for the verb that follows each prefix.

        Args:
            prefixes: Text before the verb, as people write it, or tokens with spaces between. For
                other tasks: the prefix and the singular form of the verb (``inflection``), or the
                whole sentence (``grammaticality``; the result is P(ungrammatical)).
            tags: PTB tags of each prefix, one for each token between spaces, or None if unknown.
                Rare words are read as their tag; one without a tag as the tag that it, or words
                with its ending, most often have in training.

        Raises:
            InputError: A prefix is empty or has no known word, or its tags are not as many as its
                words; the message names its row, from 0.
        """
        encoded = self.encode(prefixes, tags)
        unread = np.flatnonzero(self.without_known_word(encoded))
        if len(unread):
            row = int(unread[0])
            text = " ".join(prefixes[row].split())
            raise InputError(
                f"row {row}: expected a sentence with at least one word of the vocabulary "
                f"({len(self.vocabulary)} entries), got {text!r}"
            )
        return self.probability(encoded)

    def unknown(self, prefixes: Sequence[str], tags: Sequence[str | None] | None = None) -> Floats:
        """Return the proportion of words read as ``<unk>`` in each prefix, in [0, 1].

        Args:
            prefixes: As for `predict`; prefixes without any known word are allowed.
            tags: As for `predict`.

        Raises:
            InputError: A prefix is empty, or its tags are not as many as its words.
        """
        return self.unknown_proportion(self.encode(prefixes, tags))

    def encode(self, prefixes: Sequence[str], tags: Sequence[str | None] | None = None) -> Prefixes:
        """Check the arguments of `predict` and look up their words.

        Raises:
            InputError: As `unknown`.
        """
        if isinstance(prefixes, str):
            raise InputError(f"expected a list of sentences, got one string: {prefixes[:40]!r}")
        for row, prefix in enumerate(prefixes):
            if not isinstance(prefix, str):
                raise InputError(f"row {row}: expected a string, got {prefix!r}")
        return self.encode_tokens(self.tokenize(prefixes, tags), tags)

    def encode_tokens(
        self, texts: Sequence[str], tags: Sequence[str | None] | None = None
    ) -> Prefixes:
        """Look up the words of texts that are tokens joined by one space.

        Raises:
            InputError: As `unknown`.
        """
        column = None if tags is None else pa.array(_tags(texts, tags), pa.string())
        return Prefixes.encode(self.vocabulary, pa.array(texts, pa.string()), column)

    def tokenize(
        self, prefixes: Sequence[str], tags: Sequence[str | None] | None = None
    ) -> list[str]:
        """Return the tokens that are read of each prefix, joined by one space.

        Args:
            prefixes: As for `predict`.
            tags: As for `predict`; the words of a prefix with tags are those between white space.

        Raises:
            InputError: There are not as many tags as prefixes.
        """
        tokens = self.vocabulary.tokenize(prefixes)
        if tags is None:
            return tokens
        if len(tags) != len(prefixes):
            raise InputError(
                f"tags: expected {len(prefixes)}, one string a sentence, got {len(tags)}"
            )
        rows = zip(prefixes, tokens, tags, strict=True)
        return [token if tag is None else " ".join(text.split()) for text, token, tag in rows]

    def read(
        self, table: pa.Table, task_inputs: TaskInputs | None = None
    ) -> tuple[pa.Table, Prefixes]:
        """Return the items that the task can use, and what the model reads of them.

        Args:
            table: Items with the columns of `memgate.data.items.schema.FEATURES`.
            task_inputs: The inputs of the task; None to make them with seed 0.

        Raises:
            InputError: There is no such item, or none has a word of the vocabulary.
        """
        task_inputs = self.task.make_inputs(table, 0) if task_inputs is None else task_inputs
        if len(task_inputs.rows) == 0:
            raise InputError(
                f"expected items with {self.task.needs} (a model of {self.task.name} reads it), "
                f"got none of {len(table)}"
            )
        items = table.take(task_inputs.rows)
        prefixes = Prefixes.from_table(self.vocabulary, items, task_inputs)
        if self.without_known_word(prefixes).all():
            raise InputError(
                f"expected items with words of the model's vocabulary ({len(self.vocabulary)} "
                f"entries), got {len(prefixes)} items without any"
            )
        return items, prefixes

    def probability(self, prefixes: Prefixes, batch_size: int = BATCH_SIZE) -> Floats:
        """Return the probability, in [0, 1], of the second answer of the task, such as plural.

        Args:
            prefixes: N prefixes, encoded with this vocabulary.
            batch_size: Rows computed at once.

        Returns:
            N probabilities, in the order of the prefixes.

        Raises:
            InputError: A probability is NaN, which would count as the first answer.
        """
        weight = self.classifier.readout.weight
        device = weight.device
        result = torch.empty(len(prefixes), device=device, dtype=weight.dtype)
        self.classifier.eval()
        for batch in ExactLengthBatches(prefixes.to(device), batch_size):
            result[batch.rows] = self.classifier.probability(batch.inputs)
        return refuse_nan(result.cpu().double().numpy())

    @staticmethod
    def without_known_word(prefixes: Prefixes) -> Bools:
        """Mark the prefixes in which every word is read as ``<unk>``."""
        unread: Bools = Predictor.unknown_proportion(prefixes) == 1
        return unread

    @staticmethod
    def unknown_proportion(prefixes: Prefixes) -> Floats:
        """Return the proportion of words read as ``<unk>`` in each prefix, in [0, 1]."""
        unknown = (prefixes.ids == 0).cpu().numpy().astype(np.int64)
        counts = np.add.reduceat(unknown, prefixes.starts.cpu().numpy())
        proportion: Floats = counts / prefixes.lengths
        return proportion

    @staticmethod
    def with_unknown_noun(prefixes: Prefixes) -> Bools:
        """Mark the prefixes whose subject, or a noun after it, is read as ``<unk>``."""
        nouns = [ROLES.index(role) for role in ("subject", "attractor", "noun")]
        unknown = (prefixes.ids == 0).cpu().numpy() & np.isin(prefixes.roles.cpu().numpy(), nouns)
        marked: Bools = np.logical_or.reduceat(unknown, prefixes.starts.cpu().numpy())
        return marked

    def save(self, folder: Path) -> None:
        """Write weights, ``config.json`` and the files of the vocabulary into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: w.detach().cpu() for name, w in self.classifier.state_dict().items()}
        # safetensors' own `save_file` makes a file that nobody else may read (mode 0600).
        (folder / WEIGHTS).write_bytes(save(weights))
        config = json.dumps({"task": self.task.name, **self.classifier.config}, indent=2)
        (folder / CONFIG).write_text(config + "\n", encoding="utf-8")
        self.vocabulary.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; the classifier is on the CPU, in evaluation mode.

        The tagger is that of the baselines in the folder, if there are any.

        Raises:
            InputError: A file is missing or damaged, or the three don't fit each other.
        """
        vocabulary = Vocabulary.load(folder)
        task, config = _read_config(folder / CONFIG)
        path = folder / WEIGHTS
        try:
            classifier = Classifier(**config)
            classifier.load_state_dict(load_file(path))
        except (TypeError, InputError) as error:
            raise InputError(f"{folder / CONFIG}: {' '.join(str(error).split())}") from error
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: expected safetensors, got: {error}") from error
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: weights don't fit {CONFIG}: {reason}") from error
        if classifier.embedding.num_embeddings != len(vocabulary):
            raise InputError(
                f"{folder}: expected {classifier.embedding.num_embeddings} vocabulary entries, "
                f"got {len(vocabulary)}"
            )
        tags = folder / BASELINES_FOLDER / TAGGER_FILE
        tagger = Tagger.load(tags) if tags.is_file() else None
        return cls(classifier.eval(), vocabulary, task, tagger)


def refuse_nan(p: Floats) -> Floats:
    """Return probabilities.

    Raises:
        InputError: One is NaN.
    """
    if np.isnan(p).any():
        raise InputError(
            f"model: expected probabilities, got NaN for {np.isnan(p).sum()} of {len(p)} items: "
            "its weights are not finite, as after a training that diverged"
        )
    return p


def _tags(texts: Sequence[str], tags: Sequence[str | None]) -> list[str | None]:
    """Join the tags of each row by single spaces, and check that each word has one."""
    joined = [None if row is None else " ".join(row.split()) for row in tags]
    for row, (text, symbols) in enumerate(zip(texts, joined, strict=True)):
        words = len(text.split())
        if symbols is not None and len(symbols.split()) != words:
            raise InputError(
                f"row {row}: tags: expected {words}, one a word, got {len(symbols.split())}"
            )
    return joined


def _read_config(path: Path) -> tuple[Task, dict[str, Any]]:
    """Return the task, and the arguments of `Classifier`."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected the classifier's sizes in JSON, got: {error}"
        ) from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(config).__name__}")
    task = config.pop("task", None)
    if not isinstance(task, str) or task not in TASKS:
        raise InputError(f"{path}: task: expected one of {', '.join(TASKS)}, got {task!r}")
    return TASKS[task], config
