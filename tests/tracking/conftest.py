"""A store with a registered model, made once a session and copied for each test (30 ms)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from memgate.data.vocabulary import Vocabulary
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor
from memgate.tracking.registry.versions import register
from memgate.tracking.store import connect, experiment

NAME = "memgate-gru-synthetic"


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    words = ["the", "a", "key", "keys", "to", "cabinet", "near"]
    vocabulary = Vocabulary.from_words(words, ["NNS", "NN"])
    generator = torch.random.get_rng_state()
    torch.manual_seed(0)
    classifier = Classifier(len(vocabulary), "gru", 8, 8)
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.mul_(4)  # so that words matter and probabilities differ
    torch.random.set_rng_state(generator)
    return Predictor(classifier.eval(), vocabulary)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, predictor: Predictor) -> Path:
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        client = connect()
        run = client.create_run(experiment("synthetic"), run_name="first")
        client.log_text(run.info.run_id, "kept", "note.txt")
        register(run.info.run_id, predictor, NAME, {"val_accuracy": 0.9}, {"cell": "gru"}, "about")
        client.set_terminated(run.info.run_id)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a store: run ``first``, model memgate-gru-synthetic, version 1."""
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    return folder
