"""Any source, split, encoded with the training split's vocabulary, and served to Lightning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import datasets
import lightning.pytorch as pl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.schema import Source
from memgate.data.items.tasks import TASKS, Task, TaskInputs, TaskName
from memgate.data.tag_lexicon import TagLexicon
from memgate.data.tagger import UNKNOWN_TAG, Tagger
from memgate.data.vocabulary import Vocabulary, Words
from memgate.errors import InputError


@dataclass(frozen=True)
class RareWords:
    """How words outside the vocabulary are read in training, in proportions that sum to 1.

    With tag 1, a rare word is read as its tag wherever that is known, as by Linzen et al. (2016,
    section 3), and one without tags as ``<unk>``, in training and in use. With a `usual_tag` above
    0 the model keeps a lexicon, and in use reads a rare word without tag as the tag that it, or
    words with its ending, most often have in training (`memgate.data.tag_lexicon.TagLexicon`).

    Args:
        tag: Proportion read as the tag that the word has in its sentence.
        usual_tag: Proportion read as the tag that the word most often has in training.
        unknown: Proportion read as ``<unk>``.

    Raises:
        InputError: A proportion is negative, or they don't sum to 1.
    """

    tag: float = 0.45
    usual_tag: float = 0.40
    unknown: float = 0.15

    def __post_init__(self) -> None:
        proportions = (self.tag, self.usual_tag, self.unknown)
        if min(proportions) < 0 or abs(sum(proportions) - 1) > 1e-6:
            raise InputError(
                "rare_words: expected tag, usual_tag and unknown of at least 0 that sum to 1, got "
                f"{', '.join(map(str, proportions))}"
            )

    def sample(self, words: Words, lexicon: TagLexicon, seed: int) -> pa.Array:
        """Return as what each word is read if it is rare: a tag, or `UNKNOWN_TAG` for ``<unk>``.

        Args:
            words: Words of the training split.
            lexicon: Has the usual tags.
            seed: Seed of what each word is read as.
        """
        uniform = np.random.default_rng(seed).random(len(words.words))
        distinct = words.words.dictionary_encode()
        usual = lexicon.tag(distinct.dictionary).take(distinct.indices)
        own = usual if words.tags is None else pc.coalesce(words.tags, usual)
        tags = pc.if_else(pa.array(uniform < self.tag), own, usual)
        return pc.if_else(pa.array(uniform >= 1 - self.unknown), UNKNOWN_TAG, tags)


class AgreementData(pl.LightningDataModule):
    """Serves the items of a source in exact-length batches.

    Args:
        source: Where the items come from.
        name: Name of the data in runs and models (``memgate-<cell>-<name>``).
        task: What is read of an item, and what is predicted; see `memgate.data.items.tasks`.
        batch_size: Rows of a training batch, at most.
        eval_batch_size: Rows of a batch in validation and test, at most.
        vocab_size: Words of the vocabulary, the most frequent ones of the training prefixes.
        lowercase: Whether case is ignored.
        rare_words: How words outside the vocabulary are read in training, and whether the model
            keeps a lexicon of them.
        min_count: How often a word of the vocabulary occurs in training at least.
        seed: Seed of the order of the training items, and of how their rare words are read.
        flip_seed: Seed of the verbs that grammaticality puts into the other number; not `seed`, so
            that runs of other seeds are evaluated on the same sentences.

    Raises:
        InputError: A batch size is below 1, or the name has other characters than letters, digits,
            ``_``, ``.`` and ``-``.

    Attributes:
        task: The task.
        splits: The items that have what the task needs, after `setup`.
        left_out: How many items of each split lack it, after `setup`.
        vocabulary: Built from the training split, after `setup`.
        prefixes: The encoded items by split, on the CPU, after `setup`.
    """

    name: str
    task: Task
    splits: datasets.DatasetDict
    left_out: dict[str, int]
    vocabulary: Vocabulary
    prefixes: dict[str, Prefixes]

    def __init__(
        self,
        source: Source,
        name: str = "custom",
        task: TaskName = "number",
        batch_size: int = 128,
        eval_batch_size: int = 1024,
        vocab_size: int = 10_000,
        lowercase: bool = True,
        rare_words: RareWords = RareWords(),
        min_count: int = 1,
        seed: int = 0,
        flip_seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = {"batch_size": batch_size, "eval_batch_size": eval_batch_size}
        for setting, value in {**sizes, "min_count": min_count}.items():
            if value < 1:
                raise InputError(f"{setting}: expected at least 1, got {value}")
        if not re.fullmatch(r"[\w.-]+", name):  # it becomes part of file and model names
            raise InputError(f"name: expected letters, digits, '_', '.' and '-', got {name!r}")
        self.source = source
        self.name = name
        self.task = TASKS[task]
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.vocab_size = vocab_size
        self.lowercase = lowercase
        self.rare_words = rare_words
        self.min_count = min_count
        self.seed = seed
        self.flip_seed = flip_seed
        self.prefixes = {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002  all stages need all splits
        """Load the items, build the vocabulary and encode every split; once.

        Raises:
            InputError: The items can't be loaded, or a split has none with what the task needs.
        """
        if self.prefixes:
            return
        splits = self.source.load()
        tables = {str(split): items.with_format("arrow")[:] for split, items in splits.items()}
        task_inputs = {split: self._make_inputs(split, table) for split, table in tables.items()}
        words = {split: inputs.words() for split, inputs in task_inputs.items()}
        train = words["train"]
        self.vocabulary = Vocabulary.build(
            train.words, train.tags, self.vocab_size, self.lowercase, self.min_count
        )
        rare_word_tags: dict[str, pa.Array] = {}
        tagger = Tagger.fit(tables["train"])
        if self.rare_words.usual_tag and len(tagger):
            known = self.vocabulary.entries
            self.vocabulary.lexicon = TagLexicon.fit(tagger.words, tagger.tags, known)
            lexicon, seed = self.vocabulary.lexicon, self.seed
            rare_word_tags["train"] = self.rare_words.sample(train, lexicon, seed)
        self.splits, self.left_out, prefixes = datasets.DatasetDict(), {}, {}
        for split, inputs in task_inputs.items():
            items, table = splits[split], tables[split]
            self.left_out[split] = len(items) - len(inputs.rows)
            if self.left_out[split]:
                items, table = items.select(inputs.rows), table.take(inputs.rows)
            self.splits[split] = items
            prefixes[split] = Prefixes.from_table(
                self.vocabulary, table, inputs, words[split], rare_word_tags.get(split)
            )
        self.prefixes = prefixes

    def _make_inputs(self, split: str, table: pa.Table) -> TaskInputs:
        task_inputs = self.task.make_inputs(table, self.flip_seed)
        if len(task_inputs.rows) == 0:
            raise InputError(
                f"{self.name}, {split}: expected items with {self.task.needs}, which the task "
                f"{self.task.name!r} needs, got none of {len(table)}"
            )
        return task_inputs

    def table(self, split: str) -> pa.Table:
        """Return the items of a split, after `setup`, with `memgate.data.items.schema.FEATURES`."""
        return self.splits[split].with_format("arrow")[:]

    def count_batches(self, split: str, world_size: int = 1) -> int:
        """Return the batches of a split for each of some processes, after `setup`."""
        size = self.batch_size if split == "train" else self.eval_batch_size
        return len(ExactLengthBatches(self.prefixes[split], size, world_size=world_size))

    def batches(self, split: str) -> ExactLengthBatches:
        """Return the loader of a split, on the Trainer's device, for its process.

        Raises:
            RuntimeError: No Trainer serves these data.
        """
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("AgreementData serves batches to a Trainer only")
        training = split == "train"
        overfit = trainer.overfit_batches > 0  # type: ignore[attr-defined]  # the same few batches in every epoch
        return ExactLengthBatches(
            self.prefixes[split].to(trainer.strategy.root_device),
            self.batch_size if training else self.eval_batch_size,
            shuffle=training and not overfit,
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )

    def train_dataloader(self) -> ExactLengthBatches:
        """Return the training items, in a new order every epoch."""
        return self.batches("train")

    def val_dataloader(self) -> ExactLengthBatches:
        """Return the validation items."""
        return self.batches("validation")

    def test_dataloader(self) -> ExactLengthBatches:
        """Return the test items."""
        return self.batches("test")

    def transfer_batch_to_device(
        self,
        batch: Any,
        device: torch.device,  # noqa: ARG002  # Lightning's signature
        dataloader_idx: int,  # noqa: ARG002
    ) -> Any:
        """Leave a batch where it is: the loaders gather it on the device that trains."""
        return batch
