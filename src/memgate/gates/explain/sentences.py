"""Sentences as the recurrence of a predictor reads them, with their words and roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from memgate.data.items.roles import Role
from memgate.gates.explain.explanation import find_roles
from memgate.predictor import Predictor


class ReadSentences(NamedTuple):
    """Sentences as word vectors, padded."""

    vectors: Tensor
    """(batch, time, features)."""
    lengths: Tensor
    """Words of each sentence, (batch)."""
    words: tuple[tuple[str, ...], ...]
    roles: tuple[tuple[Role | None, ...], ...]
    """The role of each word, None if unknown."""


def read_sentences(predictor: Predictor, sentences: Sequence[str]) -> ReadSentences:
    """Look up the words of sentences.

    Args:
        predictor: Its tagger finds the roles; without one they are unknown.
        sentences: As for `Predictor.predict`; the subject is the first common noun.

    Raises:
        InputError: A sentence is empty or no string.
    """
    prefixes = predictor.encode(sentences)
    words = tuple(tuple(text.split(" ")) for text in predictor.tokenize(sentences))
    lengths = prefixes.lengths
    real = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
    ids = torch.zeros(real.shape, dtype=torch.int64)
    ids[real] = prefixes.ids.long()
    ends_with_verb = predictor.task.ends_with_verb
    roles = tuple(
        tuple(find_roles(row, None, predictor.tagger, len(row) - 1 if ends_with_verb else None))
        for row in words
    )
    embedding = predictor.classifier.embedding
    vectors: Tensor = embedding(ids.to(embedding.weight.device))
    return ReadSentences(vectors, torch.from_numpy(lengths.copy()), words, roles)
