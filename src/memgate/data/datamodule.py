"""Any source, split, encoded with the training split's vocabulary, and served to Lightning."""

from __future__ import annotations

import re
from typing import Any

import datasets
import lightning.pytorch as pl
import pyarrow as pa
import torch

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.schema import Source
from memgate.data.items.tasks import TASKS, Task, TaskInputs, TaskName
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError


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
        seed: Seed of the order of the training items.
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
        seed: int = 0,
        flip_seed: int = 0,
    ) -> None:
        super().__init__()
        for setting, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
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
        self.vocabulary = Vocabulary.build(train.words, train.tags, self.vocab_size, self.lowercase)
        self.splits, self.left_out, prefixes = datasets.DatasetDict(), {}, {}
        for split, inputs in task_inputs.items():
            items, table = splits[split], tables[split]
            self.left_out[split] = len(items) - len(inputs.rows)
            if self.left_out[split]:
                items, table = items.select(inputs.rows), table.take(inputs.rows)
            self.splits[split] = items
            prefixes[split] = Prefixes.from_table(self.vocabulary, table, inputs, words[split])
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
