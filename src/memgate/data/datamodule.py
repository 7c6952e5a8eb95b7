"""Any source, split, encoded with the training split's vocabulary, and served to Lightning."""

from __future__ import annotations

import re

import datasets
import lightning.pytorch as pl

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.example import Source
from memgate.data.vocabulary import Vocabulary, prefix_words
from memgate.errors import InputError


class AgreementData(pl.LightningDataModule):
    """Serves the items of a source in exact-length batches.

    Args:
        source: Where the items come from.
        name: Name of the data in runs and models (``memgate-<cell>-<name>``).
        batch_size: Rows of a training batch, at most.
        eval_batch_size: Rows of a batch in validation and test, at most.
        vocab_size: Words of the vocabulary, the most frequent ones of the training prefixes.
        lowercase: Whether case is ignored.
        seed: Seed of the order of the training items.

    Raises:
        InputError: A batch size is below 1, or the name has other signs than letters, digits,
            ``_``, ``.`` and ``-``.

    Attributes:
        splits: The items, after `setup`.
        vocabulary: Built from the training split, after `setup`.
        prefixes: The encoded items by split, on the CPU, after `setup`.
    """

    name: str
    splits: datasets.DatasetDict
    vocabulary: Vocabulary
    prefixes: dict[str, Prefixes]

    def __init__(
        self,
        source: Source,
        name: str = "custom",
        batch_size: int = 128,
        eval_batch_size: int = 1024,
        vocab_size: int = 10_000,
        lowercase: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for setting, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value < 1:
                raise InputError(f"{setting}: expected at least 1, got {value}")
        if not re.fullmatch(r"[\w.-]+", name):  # it becomes part of file and model names
            raise InputError(f"name: expected letters, digits, '_', '.' and '-', got {name!r}")
        self.source = source
        self.name = name
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.vocab_size = vocab_size
        self.lowercase = lowercase
        self.seed = seed
        self.prefixes = {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002  all stages need all splits
        """Load the items, build the vocabulary and encode every split; done once."""
        if self.prefixes:
            return
        self.splits = self.source.load()
        tables = {str(split): rows.with_format("arrow")[:] for split, rows in self.splits.items()}
        train = tables["train"]
        words, tags, _ = prefix_words(
            train["text"].combine_chunks(),
            train["tags"].combine_chunks(),
            train["verb_idx"].to_numpy(),
        )
        self.vocabulary = Vocabulary.build(words, tags, self.vocab_size, self.lowercase)
        self.prefixes = {
            split: Prefixes.from_table(self.vocabulary, table) for split, table in tables.items()
        }

    def _batches(self, split: str) -> ExactLengthBatches:
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("AgreementData serves batches to a Trainer only")
        training = split == "train"
        return ExactLengthBatches(
            self.prefixes[split].to(trainer.strategy.root_device),
            self.batch_size if training else self.eval_batch_size,
            shuffle=training,
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )

    def train_dataloader(self) -> ExactLengthBatches:
        """Return the training items, in a new order every epoch."""
        return self._batches("train")

    def val_dataloader(self) -> ExactLengthBatches:
        """Return the validation items."""
        return self._batches("validation")

    def test_dataloader(self) -> ExactLengthBatches:
        """Return the test items."""
        return self._batches("test")
