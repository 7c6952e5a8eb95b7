"""The networks of the study: trained by study plans, loaded by their URIs, and measured."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import torch
import yaml

import memgate
from experiments.gate_decides.measures import MEASURES, hand_set_tables, network_tables
from memgate.data.datamodule import AgreementData
from memgate.errors import InputError
from memgate.fitting.config_files import config_file
from memgate.fitting.configuration import configure
from memgate.fitting.hand_set import hand_set_classifier
from memgate.models.hand_set import GatedCell
from memgate.predictor import Predictor
from memgate.studies.plan import Study
from memgate.tracking.store import EXPERIMENT
from memgate.tracking.study_runs import FINISHED, study_runs

SETTINGS = "settings.json"
"""The file with the settings of the tables in the same folder."""

PARTIAL = ".partial-"
"""Start of the names of folders that are being written."""


@dataclass(frozen=True)
class Network:
    """A trained network of the study; `data` names a configuration, `units` is the hidden size."""

    cell: str
    data: str
    units: int
    seed: int

    @property
    def name(self) -> str:
        """Such as ``gru-synthetic-8-seed0``."""
        return f"{self.cell}-{self.data}-{self.units}-seed{self.seed}"


@dataclass(frozen=True)
class HandSet:
    """A network whose weights are set by hand for some data; it has no size and no seed."""

    cell: GatedCell
    data: str

    @property
    def name(self) -> str:
        """Such as ``gru-synthetic-hand-set``."""
        return f"{self.cell}-{self.data}-hand-set"


@dataclass(frozen=True)
class Measurement:
    """A network of the study and the tables that are measured of it.

    `uri` is that of the trained model, empty for a hand-set network; `work` has a folder of tables
    for each network.
    """

    network: Network | HandSet
    uri: str
    work: Path

    @property
    def folder(self) -> Path:
        """The folder of its tables."""
        return self.work / self.network.name

    def settings(self) -> dict[str, Any]:
        """Return what its tables depend on."""
        path = config_file(f"data/{self.network.data}.yaml")
        return {
            "network": asdict(self.network),
            "uri": self.uri,
            "measures": MEASURES,
            "data": yaml.safe_load(path.read_text(encoding="utf-8")),
            "MEMGATE_DATA": os.environ.get("MEMGATE_DATA", ""),
        }

    def is_done(self) -> bool:
        """Return whether its tables exist with these settings."""
        try:
            digest = json.loads((self.folder / SETTINGS).read_text(encoding="utf-8"))["digest"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return bool(digest == _digest(self.settings()))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Read its tables, each with the columns cell, data, units (hidden size) and seed."""
        return {path.stem: pd.read_parquet(path) for path in sorted(self.folder.glob("*.parquet"))}


def trained(study: Study, work: Path) -> list[Measurement]:
    """Return the measurements of the networks that a study trained.

    Raises:
        InputError: A run isn't finished.
    """
    planned = {(run.name, run.digest) for run in study.runs()}
    runs = [
        run
        for run in study_runs(EXPERIMENT, study.name)
        if run.status == FINISHED and (run.name, run.digest) in planned
    ]
    if len(runs) < len(planned):
        raise InputError(
            f"study {study.name}: expected {len(planned)} finished runs, got {len(runs)}"
        )
    return [
        Measurement(
            Network(run.cell, run.data, int(run.params["hidden_size"]), run.seed),
            f"runs:/{run.run_id}/model",
            work,
        )
        for run in runs
    ]


def clean(work: Path) -> None:
    """Remove the unfinished folders of a stopped run; no other run may be at work."""
    for partial in work.glob(f"{PARTIAL}*"):
        shutil.rmtree(partial, ignore_errors=True)


def make(measurement: Measurement) -> None:
    """Measure a network: the work of a job.

    Raises:
        InputError: The model or the data can't be used.
    """
    datasets.disable_progress_bars()
    torch.set_num_threads(1)
    network = measurement.network
    data = _loaded(network.data)
    if isinstance(network, HandSet):
        classifier = hand_set_classifier(network.cell, data.vocabulary, data.table("train"))
        tables = hand_set_tables(Predictor(classifier, data.vocabulary, data.task), data)
    else:
        tables = network_tables(memgate.load(measurement.uri), data, network.seed)
    with _replaced(measurement) as folder:
        for name, table in tables.items():
            for column, (key, value) in enumerate(asdict(network).items()):
                table.insert(column, key, value)
            table.to_parquet(folder / f"{name}.parquet", index=False)


@functools.cache
def _loaded(name: str) -> AgreementData:
    """Load and encode data, once a process: 2 s of the grammar's, 8 s of the corpus'."""
    files = ("trainer/default.yaml", "cell/gru.yaml", f"data/{name}.yaml")
    data = configure([*(f"--config={config_file(file)}" for file in files), "--track=false"]).data
    data.setup()
    return data


def _digest(settings: dict[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _replaced(measurement: Measurement) -> Iterator[Path]:
    """Yield a folder to write to; it replaces the measurement's once everything is written."""
    measurement.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=measurement.work, prefix=PARTIAL) as name:
        partial = Path(name, measurement.folder.name)
        partial.mkdir()
        yield partial
        settings = measurement.settings()
        content = json.dumps({"digest": _digest(settings), "settings": settings}, default=str)
        (partial / SETTINGS).write_text(content + "\n", encoding="utf-8")
        shutil.rmtree(measurement.folder, ignore_errors=True)
        partial.rename(measurement.folder)
