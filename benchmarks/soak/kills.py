"""kill -9 at random moments of a fit, then the resume that the README advises.

Each resumed fit must have the weights of one that nobody stopped, in one run, with every metric
once and one registered version.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from memgate.tracking.registry.versions import load_predictor
from memgate.tracking.store import EXPERIMENT, connect

MODEL = "memgate-gru-soak"

CONFIGURATION = """
data:
  name: soak
  source:
    class_path: memgate.data.sources.grammar.Grammar
    init_args: {train: 4000, validation: 400, test: 400}
model: {cell: gru, embedding_size: 8, hidden_size: 8, dropout: 0.1}
trainer: {max_epochs: 4}
"""

FIT = ("fit", "-c", "trainer/default.yaml", "-c", "soak.yaml")

LAST_SECONDS = 3.0
"""Half of the kills fall into the last seconds of a fit, in which it registers its model."""

LIMIT = 300
"""Seconds that a fit may take."""


class Outcome(NamedTuple):
    """What is left of a fit.

    Attributes:
        weights: Of the registered model.
        runs: Number of runs.
        versions: Number of registered versions.
        metrics: The steps of each metric of finished runs, in the order of the store.
    """

    weights: dict[str, torch.Tensor]
    runs: int
    versions: int
    metrics: dict[str, list[int]]


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Start a fit in a folder."""
    (folder / "soak.yaml").write_text(CONFIGURATION)
    return subprocess.Popen(
        [sys.executable, "-m", "memgate", *FIT, *more],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill(folder: Path, moment: float) -> str:
    """Kill a fit so many seconds after its training began, and resume it.

    Returns:
        What the last fit printed, if it failed; else "".
    """
    process = start(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch 1/" in line:  # the first checkpoint is about to be written
            break
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if process.returncode == 0:  # it had ended
        return ""
    resumed = start(folder, "--ckpt_path", "last")
    printed, _ = resumed.communicate(timeout=LIMIT)
    if resumed.returncode and "expected a run below" in printed:  # killed before any checkpoint
        resumed = start(folder)
        printed, _ = resumed.communicate(timeout=LIMIT)
    ended = "epochs are done" in printed  # it was killed after its last word to the store
    return printed if resumed.returncode and not ended else ""


def outcome(folder: Path) -> Outcome:
    """Read what the store of a folder has."""
    with contextlib.chdir(folder):
        client = connect(create=False)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        finished = [run for run in runs if run.info.status == "FINISHED"]
        versions = client.search_model_versions(f"name = '{MODEL}'")
        weights = load_predictor(f"models:/{MODEL}@champion").classifier.state_dict()
        metrics = {
            name: [entry.step for entry in client.get_metric_history(run.info.run_id, name)]
            for run in finished
            for name in run.data.metrics
            if not name.startswith("system/")  # sampled by the clock
        }
    return Outcome(weights, len(runs), len(versions), metrics)


def problems(left: Outcome, reference: Outcome) -> list[str]:
    """Return in what a resumed fit differs from one that nobody stopped."""
    found = []
    if any(not torch.equal(left.weights[name], reference.weights[name]) for name in left.weights):
        found.append("other weights")
    if left.runs != 1:
        found.append(f"{left.runs} runs")
    if left.versions != 1:
        found.append(f"{left.versions} versions")
    names = reference.metrics.keys() | left.metrics.keys()
    differing = [n for n in sorted(names) if left.metrics.get(n) != reference.metrics.get(n)]
    if differing:
        found.append(f"other steps of {', '.join(differing)}")
    return found


def main() -> int:
    """Kill and resume fits, two at a time, and print how many are as they should be.

    Returns:
        The exit status: 1 if one of them is not.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="(20)")
    kills: int = parser.parse_args().kills
    with tempfile.TemporaryDirectory(prefix="memgate-kills-") as name:
        root = Path(name)
        folders = [root / f"{number:02}" for number in range(kills)]
        for folder in (root / "whole", *folders):
            folder.mkdir()
        whole = start(root / "whole")
        assert whole.stdout is not None
        for line in whole.stdout:
            if "epoch 1/" in line:
                break
        begun = time.perf_counter()
        printed, _ = whole.communicate(timeout=LIMIT)
        seconds = time.perf_counter() - begun
        if whole.returncode:
            print(printed)
            return 1
        reference = outcome(root / "whole")
        chance = np.random.default_rng(0)
        late = max(0.0, seconds - LAST_SECONDS)
        moments = [chance.uniform(late * (n % 2), seconds) for n in range(kills)]
        with ThreadPoolExecutor(2) as pool:
            failures = list(pool.map(kill, folders, moments))
        good = 0
        for folder, moment, failure in zip(folders, moments, failures, strict=True):
            found = [failure] if failure else problems(outcome(folder), reference)
            good += not found
            print(
                f"killed {moment:.1f} s of {seconds:.1f} s after the first epoch: "
                f"{'; '.join(found) or 'as if never stopped'}",
                flush=True,
            )
    print(f"kills: {good} of {kills} as if never stopped")
    return int(good < kills)


if __name__ == "__main__":
    sys.exit(main())
