"""A team's server: PostgreSQL and proxied artifacts, over http; see docs/server.md."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion

from memgate.cli import main
from memgate.predictor import Predictor
from memgate.tracking.delivery.spool import Spool
from memgate.tracking.registry.versions import load_predictor
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import connect, experiment
from tests.projects import configure
from tests.servers import Server, program, server

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as both:
        yield both


@pytest.fixture
def team(running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, running; the working directory is empty and uses it."""
    running.ensure()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
    monkeypatch.chdir(tmp_path)
    return running


def versions(name: str) -> list[ModelVersion]:
    found = mlflow.search_model_versions(filter_string=f"name = '{name}'")
    return sorted(found, key=lambda version: int(version.version))


def history(run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in connect().get_metric_history(run_id, key)]


def run_python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_study_commands_at_once(team: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "memgate", "study"]
    studies = {}
    for name in "ab":  # on two machines
        folder = tmp_path / name
        configure(folder)
        (folder / f"{name}.yaml").write_text("{cells: [rnn], data: [synthetic], seeds: 2}")
        studies[name] = subprocess.Popen(
            [*command, f"{name}.yaml", "--jobs", "1"],
            cwd=folder,
            env={key: value for key, value in os.environ.items() if key != "MEMGATE_DATA"},
            stdout=subprocess.PIPE,
            text=True,
        )
    for name, study in studies.items():
        printed = study.communicate(timeout=400)[0]
        assert study.returncode == 0, printed
        assert f"memgate report {name}" in printed
    runs = connect().search_runs([experiment("memgate")], "tags.study != ''")
    assert sorted((run.data.tags["study"], run.data.tags["study_run"]) for run in runs) == [
        (study, f"rnn-synthetic-seed{seed}") for study in "ab" for seed in range(2)
    ]
    assert {run.info.status for run in runs} == {"FINISHED"}
    registered = versions("memgate-rnn-synthetic")
    assert [str(version.version) for version in registered] == ["1", "2", "3", "4"]
    assert {version.run_id for version in registered} == {run.info.run_id for run in runs}
    for run in runs:
        steps = [step for step, _ in history(run.info.run_id, "val/accuracy")]
        assert len(steps) == 2
        assert steps == sorted(set(steps))
    assert not list(tmp_path.glob("*/mlruns/spool/*"))


STUDIES = """
import os, sys
from pathlib import Path
from memgate.predictor import Predictor
from memgate.tracking.runs import RunLogger
predictor = Predictor.load(Path("model"))
second = os.fork()
study = "a" if second else "b"
for seed in range(3):
    with RunLogger("studies", f"{study}-{seed}", tags={"study": study}) as run:
        run.log_hyperparams({"seed": seed, "study": study})
        for step in range(1200):
            run.log_metrics({"loss": 1 / (step + 1), f"{study}/step": step}, step)
        run.log_files({"tables/about.csv": lambda path: path.write_text(f"{study},{seed}")})
        score = {"a": 0.8, "b": 0.7}[study] + seed / 100
        tags = {"study": study, "seed": str(seed)}
        note = {"note.txt": lambda path: path.write_text(f"{study},{seed}")}
        scores = {"val_accuracy": score}
        version = run.register(predictor, "memgate-gru-studies", scores, tags, "", note)
    Path(f"version-{version}").write_text(run.version)
if second:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
"""


def test_two_runs_that_write_much_at_once(
    team: Server, tmp_path: Path, predictor: Predictor
) -> None:
    predictor.save(tmp_path / "model")
    run_python(STUDIES)
    told = {int(path.name[8:]): path.read_text() for path in tmp_path.glob("version-*")}
    assert sorted(told) == list(range(1, 7))
    assert not list(tmp_path.glob("mlruns/spool/*"))
    client = connect()
    runs = {run.info.run_name: run for run in client.search_runs([experiment("studies")])}
    assert runs.keys() == {f"{study}-{seed}" for study in "ab" for seed in range(3)}
    registered = {version.run_id: version for version in versions("memgate-gru-studies")}
    assert {int(version.version): run_id for run_id, version in registered.items()} == told
    for name, run in runs.items():
        study, seed = name.split("-")
        run_id = run.info.run_id
        assert run.info.status == "FINISHED"
        assert run.data.params == {"seed": seed, "study": study}
        assert history(run_id, "loss") == [(step, 1 / (step + 1)) for step in range(1200)]
        assert history(run_id, f"{study}/step") == [(step, step) for step in range(1200)]
        assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/tables/about.csv") == f"{study},{seed}"
        version = registered.pop(run_id)
        assert version.tags.items() >= {"study": study, "seed": seed}.items()
        note = mlflow.artifacts.load_text(f"{version.source}/artifacts/model/note.txt")
        assert note == f"{study},{seed}"
    assert registered == {}
    first = client.get_model_version_by_alias("memgate-gru-studies", "champion")
    assert first.version == "1"  # the best of them is promoted, or isn't: not a race's delivery
    stored = sum(len(path.read_bytes()) > 0 for path in team.artifacts.rglob("about.csv"))
    assert stored == 6  # the server, not its clients, wrote them


def test_registry_and_aliases_over_http(team: Server, predictor: Predictor) -> None:
    sentences = ["the keys to the cabinet", "a key near the keys"]
    name = "memgate-gru-alias"
    with RunLogger("alias", "first") as run:
        assert run.register(predictor, name, {"val_accuracy": 0.9}, {}, "about", {}) == "1"
        assert run.register(predictor, name, {"val_accuracy": 0.8}, {"x": "y"}, "", {}) == "2"
    client = connect()
    assert client.get_model_version_by_alias(name, "champion").version == "1"
    client.set_registered_model_alias(name, "champion", "2")
    assert client.get_model_version_by_alias(name, "champion").version == "2"
    loaded = load_predictor(f"models:/{name}@champion").predict(sentences)
    assert loaded.tolist() == predictor.predict(sentences).tolist()


def test_only_allowed_hosts_are_answered(team: Server) -> None:
    def status(host: str) -> int:
        url = f"{team.uri}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        request = urllib.request.Request(url, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert status("mlflow.example.org") == 200
    assert status("evil.example.org") == 403


@pytest.mark.parametrize("kind", ["sqlite", "database", "http"])
def test_equal_metrics_are_kept_once(
    team: Server, kind: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite = f"sqlite:///{project}/mlruns/mlflow.db"
    uris = {"sqlite": sqlite, "database": team.database, "http": team.uri}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uris[kind])
    client = connect()
    run_id = client.create_run("0").info.run_id
    points = [Metric("loss", value, 5, step) for step, value in enumerate([1.5, float("nan"), 0.1])]
    client.log_batch(run_id, metrics=points[:2])
    client.log_batch(run_id, metrics=points)  # as after a kill: two again, one more
    client.log_batch(run_id, metrics=points[::-1])
    found = client.get_metric_history(run_id, "loss")
    assert [point.step for point in found] == [0, 1, 2]
    assert client.get_run(run_id).data.metrics["loss"] == 0.1


CONFIG = """
seed_everything: 0
model: {cell: gru, hidden_size: 4, embedding_size: 6}
data:
  name: synthetic
  batch_size: 64
  source:
    class_path: memgate.data.sources.grammar.Grammar
    init_args: {train: 600, validation: 100, test: 200, max_intervening: 6}
trainer:
  max_epochs: 3
  accelerator: cpu
  num_sanity_val_steps: 0
  callbacks:
  - class_path: away.ServerGoesAway
    init_args: {group: %d}
"""

AWAY = """
import os, signal
from lightning.pytorch import Callback

class ServerGoesAway(Callback):
    def __init__(self, group: int) -> None:
        self.group = group

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            os.killpg(self.group, signal.SIGKILL)
"""


def test_a_server_that_goes_away_during_a_fit(
    team: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "away.py").write_text(AWAY)
    (tmp_path / "fit.yaml").write_text(CONFIG % team.group)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["fit", "-c", "fit.yaml"]) == 0
    printed = capsys.readouterr()
    assert "gru-synthetic-seed0" in printed.out
    assert "registered" not in printed.out
    kept = f"memgate: kept on disk, as {team.uri} can't be written: Connection refused"
    assert kept in caplog.messages
    assert "model, end wait in" in caplog.text
    (folder,) = tmp_path.glob("mlruns/spool/*")
    assert main(["sync"]) == 2  # the server is still away, and nothing is lost by trying
    assert "expected a readable MLflow store" in capsys.readouterr().err
    team.ensure()
    run_id = folder.name
    assert connect().get_run(run_id).info.status == "RUNNING"
    assert not mlflow.search_model_versions(filter_string=f"run_id = '{run_id}'")

    assert main(["sync"]) == 0
    assert run_id in capsys.readouterr().out
    assert not folder.exists()
    run = connect().get_run(run_id)
    assert run.info.status == "FINISHED"
    lines = [step for step, _ in history(run_id, "val/accuracy")]
    assert len(lines) == 3
    assert lines == sorted(set(lines))
    state_updates = [step for step, _ in history(run_id, "gates/state_update_subject")]
    assert state_updates[0] == 0
    assert state_updates == sorted(set(state_updates))
    tables = {file.path for file in connect().list_artifacts(run_id, "tables")}
    assert {"tables/accuracy.csv", "tables/predictions.parquet"} <= tables
    assert "val_accuracy" in run.data.metrics
    (version,) = mlflow.search_model_versions(filter_string=f"run_id = '{run_id}'")
    assert (version.name, version.version) == ("memgate-gru-synthetic", "1")
    (score,) = history(run_id, "test_accuracy")
    assert version.tags["test_accuracy"] == f"{score[1]:.6f}"
    model = load_predictor("models:/memgate-gru-synthetic@champion")
    assert len(model.predict(["the keys to the cabinet"])) == 1
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "nothing waits in mlruns/spool\n"


# Kills itself at the k-th time that it is about to send a request or to take something from the
# spool, for k = 1, 6, 11, …, until it comes to the end (every k, 70 times: 60 s, and the same).
KILLED_EVERYWHERE = """
import os, signal, sys
from pathlib import Path
from memgate.cli import main
import memgate.commands.sync
import mlflow.pyfunc, mlflow.store.artifact.mlflow_artifacts_repo, mlflow.store.tracking.rest_store
EVENTS = {"http.client.send", "os.rename", "os.truncate", "shutil.rmtree"}
left, hooked = 0, False
def count(event, args):
    global left
    if hooked and event in EVENTS:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
for k in range(1, 1000, 5):
    child = os.fork()
    if child == 0:
        left, hooked = k, True
        os._exit(main(["sync"]))
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        print("killed", k // 5, "times", flush=True)
        sys.exit(os.waitstatus_to_exitcode(status))
sys.exit("came to no end")
"""


def test_a_sync_killed_anywhere_delivers_once(
    team: Server, tmp_path: Path, predictor: Predictor
) -> None:
    name = "memgate-gru-killed"
    run_id = connect().create_run(experiment("killed")).info.run_id
    about = {"run": "away", "store": team.uri}
    spool = Spool.create(tmp_path / "mlruns/spool" / run_id, about)
    spool.add_metrics(
        [
            {"key": "loss", "value": 2 / (step + 1), "timestamp": 9, "step": step}
            for step in range(2100)
        ]
    )
    spool.add_item("params", {"lr": "0.1"})
    spool.add_item("files", {}, {"one.txt": lambda path: path.write_text("1")})
    spool.add_item("tags", {"mlflow.note.content": "# About"})
    scores = {"val_accuracy": 0.75, "test_accuracy": 0.5}
    note = {"model/note.txt": lambda path: path.write_text("2")}
    values = {"name": name, "scores": scores, "tags": {"cell": "gru"}, "description": "text"}
    spool.add_item("model", values, {"model": predictor.save, **note})
    spool.add_item("end", {"status": "FINISHED", "time": int(time.time() * 1000)})
    spool.close()
    killed = re.findall(r"^killed (\d+) times$", run_python(KILLED_EVERYWHERE), re.MULTILINE)
    assert int(killed[0]) >= 8
    client = connect()
    finished = client.get_run(run_id)
    assert finished.info.status == "FINISHED"
    assert finished.data.params == {"lr": "0.1"}
    assert finished.data.tags["mlflow.note.content"] == "# About"
    assert history(run_id, "loss") == [(step, 2 / (step + 1)) for step in range(2100)]
    assert [len(history(run_id, key)) for key in scores] == [1, 1]
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/one.txt") == "1"
    (version,) = versions(name)
    assert version.tags.items() >= {"cell": "gru", "val_accuracy": "0.750000"}.items()
    assert client.get_model_version_by_alias(name, "champion").version == "1"
    (model,) = client.search_logged_models([finished.info.experiment_id])
    assert model.artifact_location == version.source
    assert {metric.key for metric in model.metrics or []} >= set(scores)
    assert load_predictor(f"models:/{name}/1").predict(["the keys"])
    assert not list(tmp_path.glob("mlruns/spool/*"))


def test_a_server_that_hangs_delays_the_end_by_one_request(
    team: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with RunLogger("hangs", "hung") as run:
        run.log_metrics({"loss": 2.0}, 0)
        os.killpg(team.group, signal.SIGSTOP)
        try:
            started = time.monotonic()
            run.finalize("success")  # notices: 5 s
            run.log_files({"x.txt": lambda path: path.write_text("x")})
            run.describe("text")  # neither asks again
            run.end("FINISHED")  # asks once more
            assert time.monotonic() - started < 15  # a third request would be the third time 5 s
        finally:
            os.killpg(team.group, signal.SIGCONT)
    run_id = str(run.version)
    with RunLogger("hangs", "next") as following:  # delivers what the first left
        _ = following.version
        assert connect().get_run(run_id).info.status == "FINISHED"
        assert history(run_id, "loss") == [(0, 2.0)]
        assert mlflow.artifacts.load_text(f"runs:/{run_id}/x.txt") == "x"


def test_a_backup_is_the_store(
    team: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLogger("backup", "kept") as run:
        run.log_metrics({"loss": 2.0}, 0)
    address = team.database.replace("+psycopg", "")
    commands = (
        ("pg_dump", "--format=custom", f"--file={tmp_path / 'mlflow.dump'}", address),
        ("createdb", "-h", team.folder, "-U", "memgate", "copy"),
        ("pg_restore", "--no-owner", f"--dbname={address.replace('/mlflow', '/copy')}"),
    )
    for name, *options in commands:
        last = [tmp_path / "mlflow.dump"] if name == "pg_restore" else []
        subprocess.run([str(program(name)), *options, *last], check=True)
    copy = team.database.replace("/mlflow", "/copy")
    subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", copy], check=True)
    expected = {run.info.run_id for run in connect().search_runs([experiment("backup")])}
    assert str(run.version) in expected
    monkeypatch.setenv("MLFLOW_TRACKING_URI", copy)
    client = connect()
    (found,) = client.search_experiments(filter_string="name = 'backup'")
    assert {run.info.run_id for run in client.search_runs([found.experiment_id])} == expected
    assert history(str(run.version), "loss") == [(0, 2.0)]


def test_the_page_starts_the_server_as_this_does(team: Server) -> None:
    """The page's server has the options of this one, its backup the programs tested above."""
    page = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", page, re.DOTALL)).replace("\\\n", " ")
    (start,) = [line for line in blocks.splitlines() if line.startswith("mlflow server")]
    assert set(re.findall(r"--[\w-]+", start)) == {
        part for part in team.command if part.startswith("--")
    }
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in blocks
    assert "\nmemgate sync\n" in blocks
    assert all(f"{name} --" in blocks for name in ("createdb", "pg_dump", "pg_restore"))
