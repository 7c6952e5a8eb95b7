"""Flat storage of what is read of items, and batches that hold prefixes of exactly one length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Int
from torch import Tensor

from memgate.arrays import UNKNOWN_COUNT, Ints
from memgate.data.items.roles import NO_ROLE, role_codes
from memgate.data.items.tasks import TaskInputs
from memgate.data.vocabulary import Vocabulary, Words, prefix_words
from memgate.errors import InputError

NO_POSITION = -(2**15)
"""Stands for null where positions count from the subject."""


class Batch(NamedTuple):
    """A dense block of prefixes of one length."""

    inputs: Int[Tensor, "batch time"]
    """Token ids."""
    targets: Int[Tensor, " batch"]
    """The right answer of the task, 0 or 1, -1 unknown."""
    labels: Int[Tensor, " batch"]
    """Number of the subject: 0 singular, 1 plural, -1 unknown."""
    intervening: Int[Tensor, " batch"]
    """Words strictly between subject and verb, -1 where unknown."""
    attractors: Int[Tensor, " batch"]
    """Attractors, -1 where unknown."""
    rows: Int[Tensor, " batch"]
    """Indices of the rows in the `Prefixes`."""


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Prefixes as one flat array of token ids, with a column for each annotation, on one device.

    What another task reads, such as a whole sentence, is stored like a prefix. Prefix i of N has
    `lengths[i]` words, from `ids[starts[i]]` on.
    """

    ids: Int[Tensor, " tokens"]
    starts: Int[Tensor, " items"]
    lengths: Ints
    """Words of each prefix, at least 1; stays on the CPU, where batches are planned."""
    targets: Int[Tensor, " items"]
    """The right answer of the task, 0 or 1, -1 unknown."""
    labels: Int[Tensor, " items"]
    """Number of the subject: 0 singular, 1 plural, -1 unknown."""
    intervening: Int[Tensor, " items"]
    """Words strictly between subject and verb, -1 where unknown."""
    attractors: Int[Tensor, " items"]
    """Attractors, -1 where unknown."""
    roles: Int[Tensor, " tokens"]
    """Role of each word, its index in `memgate.data.items.roles.ROLES`, -1 where unknown; int8."""
    subjects: Int[Tensor, " items"]
    """Index of the head of the subject in its prefix, -1 where unknown."""

    @classmethod
    def encode(
        cls,
        vocabulary: Vocabulary,
        texts: pa.Array,
        tags: pa.Array | None = None,
        lengths: Ints | None = None,
    ) -> Self:
        """Look up the words of prefixes.

        Args:
            vocabulary: Gives the ids.
            texts: N sentences, tokens joined by one space.
            tags: Their PTB tags in the same form, null where unknown.
            lengths: Words of each text that belong to the prefix; all of them by default.

        Raises:
            InputError: There is no text, or one is empty; the message names its row, from 0.
        """
        if len(texts) == 0:
            raise InputError("expected at least one sentence, got none")
        empty = np.flatnonzero(pc.equal(texts, "").to_numpy(zero_copy_only=False))
        if len(empty):
            raise InputError(f"row {empty[0]}: expected at least one word, got an empty sentence")
        return cls._of(vocabulary, *prefix_words(texts, tags, lengths))

    @classmethod
    def _of(
        cls, vocabulary: Vocabulary, words: pa.Array, tags: pa.Array | None, lengths: Ints
    ) -> Self:
        """Look up flat words; all annotations are unknown."""
        ids = torch.from_numpy(vocabulary.encode(words, tags, lengths))
        unknown = torch.full((len(lengths),), UNKNOWN_COUNT)
        return cls(
            ids,
            starts=torch.from_numpy(np.cumsum(lengths) - lengths),
            lengths=lengths,
            targets=unknown,
            labels=unknown,
            intervening=unknown,
            attractors=unknown,
            roles=torch.full((len(ids),), NO_ROLE, dtype=torch.int8),
            subjects=unknown,
        )

    @classmethod
    def from_table(
        cls,
        vocabulary: Vocabulary,
        table: pa.Table,
        task_inputs: TaskInputs,
        read: Words | None = None,
        rare_word_tags: pa.Array | None = None,
    ) -> Self:
        """Look up what a task reads of agreement items.

        Args:
            vocabulary: Gives the ids.
            table: N items with the columns of `memgate.data.items.schema.FEATURES`.
            task_inputs: The task's inputs of just these items.
            read: Its words, where they are split already.
            rare_word_tags: As what rare words are read, one tag a word; the words' own by default.

        Raises:
            InputError: N is 0.
        """
        verb_idx, subj_idx = _integers(table["verb_idx"]), _integers(table["subj_idx"])
        intervening = np.where(subj_idx < 0, UNKNOWN_COUNT, verb_idx - subj_idx - 1)
        labels = _integers(table["label"])
        if len(table) == 0:
            raise InputError("expected at least one item, got none")
        words, tags, lengths = task_inputs.words() if read is None else read
        subjects = subj_idx if task_inputs.aligned else np.full_like(subj_idx, UNKNOWN_COUNT)
        return replace(
            cls._of(vocabulary, words, tags if rare_word_tags is None else rare_word_tags, lengths),
            targets=torch.from_numpy(task_inputs.targets),
            labels=torch.from_numpy(labels),
            intervening=torch.from_numpy(intervening),
            attractors=torch.from_numpy(_integers(table["n_attractors"])),
            roles=torch.from_numpy(role_codes(tags, lengths, subjects, verb_idx, labels)),
            subjects=torch.from_numpy(subjects),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> Self:
        """Return the same prefixes on a device."""
        moved: dict[str, Any] = {
            name: value.to(device)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def batch(self, rows: Int[Tensor, " batch"], length: int) -> Batch:
        """Gather prefixes that all have `length` words into one rectangle."""
        time = torch.arange(length, device=self.ids.device)
        inputs = self.ids[self.starts[rows].unsqueeze(1) + time].long()
        return Batch(
            inputs,
            self.targets[rows],
            self.labels[rows],
            self.intervening[rows],
            self.attractors[rows],
            rows,
        )

    def roles_of(self, batch: Batch) -> Int[Tensor, "batch time"]:
        """Return the role of each word, as in `roles`; training has no use for it."""
        time = torch.arange(batch.inputs.shape[1], device=self.roles.device)
        return self.roles[self.starts[batch.rows].unsqueeze(1) + time]

    def after_subject(self, batch: Batch) -> Int[Tensor, "batch time"]:
        """Return each word's position from the subject, or `NO_POSITION`; negative before it."""
        time = torch.arange(batch.inputs.shape[1], device=self.roles.device)
        subjects = self.subjects[batch.rows].unsqueeze(1)
        return torch.where(subjects < 0, NO_POSITION, time - subjects)


def _integers(column: pa.ChunkedArray) -> Ints:
    """Return a column of integers, -1 for null."""
    numbers: Ints = pc.fill_null(column, UNKNOWN_COUNT).to_numpy().astype(np.int64)
    return numbers


class ExactLengthBatches:
    """A loader of `Batch`es: no padding, no mask, every item once an epoch.

    The order is a function of (seed, epoch) alone. Each epoch permutes the items, cuts those of
    one length into batches, and shuffles the batches; only the last batch of each length is
    smaller than `batch_size`. Several ranks take turns in the list of batches; where it doesn't
    divide evenly the largest batches are halved, so that all ranks take the same number of steps
    (with unequal ones DDP would wait for ever).

    It is its own ``sampler``, so that Lightning sets its epoch, and has a ``state_dict``, so that a
    fit that was stopped within an epoch goes on at the next batch.

    Args:
        prefixes: The items.
        batch_size: Rows of a batch, at most.
        shuffle: Whether the order changes from epoch to epoch; else it is by length.
        seed: Seed of the order.
        rank: This process, from 0.
        world_size: Number of processes.

    Raises:
        InputError: The batch size is below 1, or there are too few items for equal steps.
    """

    def __init__(
        self,
        prefixes: Prefixes,
        batch_size: int = 128,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, got {batch_size}")
        self.prefixes = prefixes
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.sampler = self
        self.batch_sampler = None  # Lightning looks here too
        self.epoch = 0
        self._taken = 0
        self._resume_at = 0
        _, sizes = np.unique(prefixes.lengths, return_counts=True)
        batches = int(np.ceil(sizes / batch_size).sum())
        self._length = -(-batches // world_size)
        if len(prefixes) < self._length * world_size:
            raise InputError(
                f"expected at least {self._length * world_size} items, {self._length} batches for "
                f"each of {world_size} processes; got {len(prefixes)}"
            )

    def __len__(self) -> int:
        return self._length

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        if epoch != self.epoch:
            self._taken = self._resume_at = 0
        self.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch, and how many of its batches were taken."""
        return {"epoch": self.epoch, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next pass after the batches that were taken, if the epoch is the same."""
        self.epoch = state["epoch"]
        self._taken = self._resume_at = state["taken"] % len(self)

    def _cut(self) -> tuple[Ints, Ints]:
        """Return the items in this epoch's order, and the bounds of the batches in it."""
        lengths = self.prefixes.lengths
        rng = np.random.default_rng([self.seed, self.epoch])
        items = rng.permutation(len(lengths)) if self.shuffle else np.arange(len(lengths))
        items = items[np.argsort(lengths[items], kind="stable")]
        run_starts = np.flatnonzero(np.diff(lengths[items], prepend=-1))
        run_ends = np.append(run_starts[1:], len(items))
        bounds = np.concatenate(
            [np.arange(a, b, self.batch_size) for a, b in zip(run_starts, run_ends, strict=True)]
        )
        bounds = np.append(bounds, len(items))
        while (len(bounds) - 1) % self.world_size:
            largest = int(np.diff(bounds).argmax())
            bounds = np.insert(bounds, largest + 1, (bounds[largest] + bounds[largest + 1]) // 2)
        return items, bounds

    def __iter__(self) -> Iterator[Batch]:
        items, bounds = self._cut()
        batches = np.arange(len(bounds) - 1)
        if self.shuffle:
            batches = np.random.default_rng([self.seed, self.epoch, 1]).permutation(batches)
        order = torch.from_numpy(items).to(self.prefixes.ids.device)
        first, self._resume_at = self._resume_at, 0
        self._taken = first
        for number in batches[self.rank :: self.world_size][first:]:
            start, end = int(bounds[number]), int(bounds[number + 1])
            self._taken += 1
            length = int(self.prefixes.lengths[items[start]])
            yield self.prefixes.batch(order[start:end], length)
