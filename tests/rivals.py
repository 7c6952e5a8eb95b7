"""Registered versions with made-up predictions and gate profiles, for tests of promotion."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from memgate.data.vocabulary import Vocabulary
from memgate.evaluation.items import PREDICTIONS
from memgate.gates.drift import PROFILE
from memgate.gates.profile import PROFILE_DTYPES
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor
from memgate.tracking.registry.versions import register
from memgate.tracking.store import connect, experiment

NAME = "memgate-gru-made"
ITEMS = 1000
ROLES = ("before", "subject", "attractor", "noun", "other")


def predictor(seed: int = 0) -> Predictor:
    """An untrained network that knows a few words of the grammar."""
    vocabulary = Vocabulary.from_words(["the", "a", "cat", "cats", "dog", "dogs", "near"], [])
    generator = torch.random.get_rng_state()
    torch.manual_seed(seed)
    classifier = Classifier(len(vocabulary), "gru", 4, 4).eval()
    torch.random.set_rng_state(generator)
    return Predictor(classifier, vocabulary)


def predictions(wrong: Mapping[int, int], items: int = ITEMS) -> pd.DataFrame:
    """What a model predicts: of each number of attractors the first few items are wrong.

    Half of the items have no attractor, a quarter one, and so on; a thousand have 3 and more in 63.
    """
    positions = np.arange(items)
    attractors = np.minimum(np.log2(items / (positions + 1)).astype(int), 4)
    rank = pd.Series(positions).groupby(attractors).cumcount().to_numpy()
    limit = np.array([wrong.get(number, 0) for number in attractors])
    return pd.DataFrame(
        {
            "item": [f"{position:016x}" for position in positions],
            "label": np.where(positions % 2, "pl", "sg"),
            "answer": np.where(positions % 2, "pl", "sg"),
            "correct": rank >= limit,
            "intervening": pd.array(attractors * 3, dtype="Int64"),
            "attractors": pd.array(attractors, dtype="Int64"),
        }
    )


def profile(write: float, items: int = 100) -> pd.DataFrame:
    """What gates do at each role, all the same."""
    rows = [
        (0, reading, "all", "role", role, number, answer, 2 * items, items, mean, 0.2)
        for reading, mean in (("keep", 1 - write), ("write", write), ("state_update", write / 3))
        for role in ROLES
        for number in ("sg", "pl")
        for answer in ("right", "wrong")
    ]
    return pd.DataFrame(rows, columns=list(PROFILE_DTYPES)).astype(PROFILE_DTYPES)


def add(
    predicted: pd.DataFrame | None, gates: pd.DataFrame | None, seed: int, name: str = NAME
) -> str:
    """Register a version of a run; its model's weights are of the seed."""
    client = connect()
    run_id = client.create_run(experiment("made")).info.run_id
    client.log_param(run_id, "seed", str(seed))
    client.log_text(run_id, f"seed_everything: {seed}\nthreads: 1\n", "config.yaml")
    tables = {PREDICTIONS: predicted, PROFILE: gates}
    writers = {
        file: partial(pd.DataFrame.to_parquet, table, index=False)
        for file, table in tables.items()
        if table is not None
    }

    def write(path: Path) -> None:
        writers[path.name](path)

    files = dict.fromkeys(writers, write)
    version = register(run_id, predictor(seed), name, {}, {"seed": str(seed)}, sidecars=files)
    client.set_terminated(run_id)
    return version
