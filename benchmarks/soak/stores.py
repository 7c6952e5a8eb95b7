"""Two studies and a `memgate sync` at once into a sqlite store, then into a server.

`python -m benchmarks.soak.stores` prints a line of counts for each store, and exits with status 1
if a run, a metric, a file or a version is lost or there twice.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path

import mlflow

from memgate.tracking.delivery.spool import SPOOLS_FOLDER, Spool
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import EXPERIMENT, connect, experiment, store_name

SETTINGS = """
seeds: 2
data: [synthetic]
settings:
  analyse_gates: false
  data.source.init_args: {train: 600, validation: 100, test: 200, max_intervening: 6}
  trainer.max_epochs: 2
"""
"""Of both studies."""

CELLS = {"one": ("rnn", "gru"), "two": ("gru", "lstm")}
"""Of each study."""

STUDIES = {
    study: {f"{cell}-synthetic-seed{seed}" for cell in cells for seed in (0, 1)}
    for study, cells in CELLS.items()
}
"""The names of its runs."""

KILLED_RUNS, THEIR_METRICS = 6, 1500
"""What `sync` delivers: more metrics a run than a request takes."""


def main() -> int:
    """Try both kinds of stores; return the exit status."""
    failures = 0
    for kind in ("sqlite", "server"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memgate-soak-")))
            stack.enter_context(chdir(folder))
            os.environ.pop("MLFLOW_TRACKING_URI", None)
            if kind == "server":
                os.environ["MLFLOW_TRACKING_URI"] = stack.enter_context(server(folder / "server"))
            failures += soak(kind)
    return int(failures > 0)


def soak(kind: str) -> int:
    """Work on one store, print the counts, and return how much is wrong, which goes to stderr."""
    for study, cells in CELLS.items():
        plan = f"cells: [{', '.join(cells)}]{SETTINGS}"
        Path(f"{study}.yaml").write_text(plan, encoding="utf-8")
    killed = leave_spools()
    began = time.monotonic()
    commands = [["study", f"{study}.yaml", "--jobs", "1"] for study in STUDIES]
    processes: list[subprocess.Popen[str]] = [
        subprocess.Popen(
            [sys.executable, "-m", "memgate", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in [*commands, ["sync"]]
    ]
    failures = []
    for process in processes:
        _, errors = process.communicate(timeout=280)
        if process.returncode:
            failures.append(f"{process.args!r}: status {process.returncode}: {errors}")
    seconds = time.monotonic() - began
    counts, lost = check(killed)
    failures += lost
    print(
        f"{kind}: {counts['runs']} runs, {counts['metrics']} metrics, {counts['files']} files, "
        f"{counts['versions']} versions in {seconds:.0f} s; lost or twice: {len(failures)}"
    )
    for failure in failures:
        print(f"{kind}: {failure}", file=sys.stderr)
    return len(failures)


def leave_spools() -> list[str]:
    """Leave what runs logged before they were killed; return their ids."""
    client, number = connect(), experiment(EXPERIMENT)
    ids = []
    for run in range(KILLED_RUNS):
        run_id = client.create_run(number, run_name=f"killed-{run}").info.run_id
        about = {"run": f"killed-{run}", "store": store_name()}
        spool = Spool.create(SPOOLS_FOLDER.absolute() / run_id, about)
        spool.mark_started()
        now = int(time.time() * 1000)
        spool.add_metrics(
            [
                {"key": "loss", "value": 1 / (step + 1), "timestamp": now, "step": step}
                for step in range(THEIR_METRICS)
            ]
        )
        spool.add_item("tags", {"note": f"{run}"})
        spool.add_item("files", {}, {"note.txt": lambda path: path.write_text("kept")})
        spool.close()
        ids.append(str(run_id))
    return ids


def check(killed: list[str]) -> tuple[Counter[str], list[str]]:
    """Count what is in the store, and return what is lost or there twice."""
    client = connect(create=False)
    counts: Counter[str] = Counter()
    wrong = []
    stored = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([] if stored is None else [stored.experiment_id], max_results=1000)
    names = Counter((run.data.tags.get("study", ""), str(run.info.run_name)) for run in runs)
    expected = {(study, name) for study, its in STUDIES.items() for name in its}
    expected |= {("", f"killed-{run}") for run in range(KILLED_RUNS)}
    if dict(names) != dict.fromkeys(expected, 1):
        wrong.append(f"expected each of {sorted(expected)} once, got {names}")
    for run in runs:
        counts["runs"] += 1
        is_killed = run.info.run_id in killed
        if run.info.status != ("KILLED" if is_killed else "FINISHED"):
            wrong.append(f"{run.info.run_name}: {run.info.status}")
        for name in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, name)
            counts["metrics"] += len(points)
            steps = [point.step for point in points]
            if name == "loss" and sorted(steps) != list(range(THEIR_METRICS)):
                wrong.append(f"{run.info.run_name}: {len(steps)} of {THEIR_METRICS} metrics")
            if name == "val/accuracy" and len(steps) != 2:
                wrong.append(f"{run.info.run_name}: {name} at {steps} after two epochs")
            # Lightning logs the epoch with all else, so several times at the end of one.
            if name != "epoch" and len(set(steps)) < len(steps):
                wrong.append(f"{run.info.run_name}: {name} is there twice, at {steps}")
        folders = [""] if is_killed else ["", "tables", "figures"]
        files = [
            file.path
            for folder in folders
            for file in client.list_artifacts(run.info.run_id, folder)
            if not file.is_dir
        ]
        counts["files"] += len(files)
        needed = {"note.txt"} if is_killed else {"config.yaml", "tables/accuracy.csv"}
        if not needed <= set(files):
            wrong.append(f"{run.info.run_name}: expected {needed}, got {files}")
        if not is_killed:
            versions = mlflow.search_model_versions(filter_string=f"run_id = '{run.info.run_id}'")
            counts["versions"] += len(versions)
            if len(versions) != 1:
                wrong.append(f"{run.info.run_name}: {len(versions)} versions")
            for version in versions:
                folder = model_folder(f"models:/{version.name}/{version.version}")
                if not (folder / "model.safetensors").is_file():
                    wrong.append(f"{run.info.run_name}: a version without weights")
    wrong += [f"{spool} is left" for spool in SPOOLS_FOLDER.glob("*")]
    return counts, wrong


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run an MLflow server with proxied artifacts on this machine; yield its address."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    stores += ["--artifacts-destination", str(folder / "artifacts")]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*command, *stores],
            stdout=log,
            stderr=log,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,
        ) as process,
    ):
        try:
            wait_for(f"{address}/health", process)
            yield address
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait up to 60 s until an address answers.

    Raises:
        RuntimeError: It doesn't.
    """
    for _ in range(120):
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310  # on this machine
                return
        except OSError:
            time.sleep(0.5)
        if process.poll() is not None:
            break
    raise RuntimeError(f"{address}: expected an MLflow server, got no answer")


if __name__ == "__main__":
    sys.exit(main())
