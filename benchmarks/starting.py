"""Rows: how long programs take to start."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks.setting import Setting
from benchmarks.table import Row, Target, at_most
from benchmarks.timing import in_turns, ratio
from memgate.data.vocabulary import Vocabulary
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor
from memgate.tracking.registry.versions import register
from memgate.tracking.store import connect, experiment

SENTENCE = "the keys to the cabinet"
NAME = "memgate-lstm-benchmark"
MODULE = (sys.executable, "-m", "memgate")


def rows(setting: Setting) -> Iterator[Row]:
    """Yield three rows: the help, a saved model explained, and a registered one."""
    folder, device = setting.folder / "starting", torch.device("cpu")
    predictor = small()
    predictor.save(folder / "model")
    commands = (
        (sys.executable, "-c", "import torch"),
        (*MODULE, "--help"),
        (*MODULE, "explain", str(folder / "model"), "--sentence", SENTENCE),
    )
    starts = setting.sizes.starts
    actions = [partial(started, command, folder) for command in commands]
    torch_alone, helped, explained = in_turns(actions, starts, device, min(1, starts - 1))
    yield _row("help", "memgate --help", helped, torch_alone, at_most(device, 0.2))
    what = "memgate explain of a folder, one sentence"
    yield _row("explain", what, explained, torch_alone, at_most(device, 1.6))
    if not setting.quick:
        registered(folder, predictor)
        command = (*MODULE, "explain", f"models:/{NAME}@champion", "--sentence", SENTENCE)
        (by_uri,) = in_turns([partial(started, command, folder)], 3, device, warm_up=0)
        note = "three starts; what it takes beyond a folder is MLflow's import and its store"
        yield _row(
            "explain-uri", "memgate explain of models:/…", by_uri, torch_alone[:3], None, note
        )


def _row(
    key: str,
    what: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    target: Target | None,
    note: str = "",
) -> Row:
    medians = statistics.median(ours), statistics.median(theirs)
    against = "python -c 'import torch'"
    return Row(key, what, against, "s", *medians, ratio(ours, theirs), target, note=note)


def small() -> Predictor:
    """Make a predictor with random weights."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_words([*dict.fromkeys(SENTENCE.split())], ["NN", "NNS"])
    return Predictor(Classifier(len(vocabulary), "lstm").eval(), vocabulary)


def registered(folder: Path, predictor: Predictor) -> None:
    """Register a predictor in a store in a folder that is there."""
    with contextlib.chdir(folder):
        client = connect()
        run = client.create_run(experiment("benchmark"), run_name="first")
        register(run.info.run_id, predictor, NAME, {"val_accuracy": 0.9})
        client.set_terminated(run.info.run_id)


def started(command: Sequence[str], folder: Path) -> None:
    """Run a program to its end."""
    path = str(Path(__file__).parents[1] / "src")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")]),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # with it every start compiles torch anew
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
