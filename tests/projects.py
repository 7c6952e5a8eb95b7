"""A project folder with small configurations, and one whose models are trained, made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

SYNTHETIC = """
data:
  name: synthetic
  batch_size: 64
  source:
    class_path: memgate.data.sources.grammar.Grammar
    init_args: {train: 600, validation: 100, test: 200, max_intervening: 6}
model: {hidden_size: 4, embedding_size: 6}
trainer: {max_epochs: 2}
"""

# Without the analysis of gates, which takes two thirds of so small a fit.
TRAINER = """
trainer:
  accelerator: cpu
  num_sanity_val_steps: 0
"""


def configure(folder: Path, analyse_gates: bool = False) -> None:
    """Write small configurations below a folder."""
    trainer = f"analyse_gates: {str(analyse_gates).lower()}{TRAINER}"
    files = {"data/synthetic.yaml": SYNTHETIC, "trainer/default.yaml": trainer}
    files |= {f"cell/{cell}.yaml": f"model: {{cell: {cell}}}" for cell in ("rnn", "gru", "lstm")}
    for name, text in files.items():
        path = folder / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: configurations and nothing else."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MEMGATE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from memgate.cli import main  # after the import hook of conftest.py

    # All workers of pytest-xdist share one: below it lies a folder of each worker's own.
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    with FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        if folder.is_dir():
            return folder
        unfinished = folder.with_name("unfinished")
        unfinished.mkdir()
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MEMGATE_DATA", raising=False)
        patch.chdir(unfinished)
        configure(unfinished, analyse_gates=True)
        assert main(["generate", "--out", "items.jsonl", "--items", "300", "--seed", "1"]) == 0
        for cell in ("rnn", "gru", "lstm"):
            files = ("trainer/default", f"cell/{cell}", "data/synthetic")
            configs = [part for name in files for part in ("-c", f"configs/{name}.yaml")]
            assert main(["fit", *configs]) == 0
        unfinished.rename(folder)
    return folder


@pytest.fixture
def trained(trained_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: three small registered models, and items.jsonl."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MEMGATE_DATA", raising=False)
    folder = tmp_path / "project"
    shutil.copytree(trained_template, folder)
    monkeypatch.chdir(folder)
    return folder


FIT = [
    part
    for file in ("trainer/default", "cell/gru", "data/synthetic")
    for part in ("-c", f"configs/{file}.yaml")
]


@pytest.fixture
def fit_args() -> list[str]:
    """Arguments of a small fit."""
    return ["fit", *FIT]


@pytest.fixture
def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """Prints a table in a log of some width, and returns the lines; none is wider."""

    def lines_of(show: Callable[[object], None], table: object, width: int) -> list[str]:
        monkeypatch.setattr("memgate.reporting.console.WIDTH_OF_A_LOG", width)
        show(table)
        lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert max(map(len, lines)) <= width
        return lines

    return lines_of
