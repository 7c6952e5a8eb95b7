"""`memgate fit`, `validate` and `test`: stopping, going on, and what is refused."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from mlflow.entities import Run

from memgate.cli import main
from memgate.fitting import run as fitting_run
from memgate.fitting.checkpoints import has_stopped
from memgate.fitting.config_files import with_config_paths
from memgate.fitting.configuration import CONFIGURATIONS, configure
from memgate.tracking.store import connect


def runs() -> list[Run]:
    client = connect(create=False)
    experiment = client.get_experiment_by_name("memgate")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that a command printed on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("memgate: error: ")
    return lines[0]


def checkpoint(kind: str, run: str = "*") -> str:
    (path,) = Path("mlruns/checkpoints").glob(f"{run}/*/checkpoints/{kind}.ckpt")
    return str(path)


@pytest.mark.processes
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_what_is_stopped_is_a_killed_run_that_goes_on_in_the_same_run(
    empty: Path,
    fit_args: list[str],
    sent: signal.Signals,
    status: int,
) -> None:
    long = [sys.executable, "-m", "memgate", *fit_args, "--trainer.max_epochs", "100000"]
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(long, **pipe) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "epoch 3/" in line:
                process.send_signal(sent)
                break
        rest = process.stdout.read()
    assert process.returncode == status
    assert "Traceback" not in rest
    assert "--ckpt_path last" in rest
    (killed,) = runs()
    assert killed.info.status == "KILLED"
    stopped = torch.load(checkpoint("last"), weights_only=True)
    assert stopped["epoch"] >= 2
    epochs = stopped["epoch"] + 2
    assert main([*fit_args, "--ckpt_path", "last", f"--trainer.max_epochs={epochs}"]) == 0
    (run,) = runs()
    assert run.info.run_id == killed.info.run_id
    assert run.info.status == "FINISHED"
    history = connect().get_metric_history(run.info.run_id, "val/accuracy")
    steps = [entry.step for entry in history]
    assert len(steps) == epochs  # every epoch once, none again
    assert steps == sorted(set(steps))
    assert torch.load(checkpoint("last"), weights_only=True)["epoch"] == epochs - 1


@pytest.mark.processes
def test_two_processes_train_test_and_register_once(empty: Path, fit_args: list[str]) -> None:
    ddp = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    command = [sys.executable, "-m", "memgate", *fit_args, *ddp]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = runs()
    assert run.info.status == "FINISHED"
    client = connect()
    (version,) = client.search_model_versions("name='memgate-gru-synthetic'")
    assert version.run_id == run.info.run_id
    note = re.sub(r"(&nbsp;| )+", " ", run.data.tags["mlflow.note.content"])
    assert "| overall | all | 200 |" in note


@pytest.mark.processes
def test_a_terminal_that_is_closed_leaves_a_killed_run(empty: Path, fit_args: list[str]) -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "memgate", *fit_args, "--trainer.max_epochs", "100000"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        # So that the terminal sends it SIGHUP. One call of the kernel, so threads do no harm.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    ) as process:
        os.close(terminal)
        printed = b""
        while not re.search(rb"epoch \d+/", printed):  # a bar shows some of them
            printed += os.read(master, 4096)
        os.close(master)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert Path(checkpoint("last")).is_file()


@pytest.mark.parametrize("kind", ["last", "best"])
def test_a_checkpoint_is_scored_as_the_fit_scored_it(
    kind: str, trained: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", *fit_args[1:], "--ckpt_path", kind]) == 0
    printed = capsys.readouterr().out
    if kind == "best":
        (gru,) = [run for run in runs() if run.data.tags["cell"] == "gru"]
        accuracy = 100 * gru.data.metrics["test/accuracy"]
        assert re.search(r"^synthetic \(test\).*\n +n +gru-synthetic-seed0 ", printed, re.MULTILINE)
        assert re.search(rf"^ all items +200 +{accuracy:.1f} ", printed, re.MULTILINE)
    assert main(["validate", *fit_args[1:], "--ckpt_path", kind]) == 0
    assert "synthetic (val)" in capsys.readouterr().out
    assert len(runs()) == 3


def test_a_fit_that_is_not_tracked_leaves_no_store(empty: Path, fit_args: list[str]) -> None:
    assert main([*fit_args, "--track=false", "--trainer.max_epochs=1"]) == 0
    assert not list(empty.rglob("*.db"))
    assert {path.name for path in empty.iterdir()} <= {"configs", "mlruns"}


CALLBACKS = "lightning.pytorch.callbacks"

ONE_CYCLE = (
    "--model.lr_scheduler=OneCycleLR",
    "--model.lr_scheduler.max_lr=0.1",
    "--model.lr_scheduler_interval=step",
)

PLATEAU = ("--model.lr_scheduler=lightning.pytorch.cli.ReduceLROnPlateau",)


@pytest.mark.parametrize(
    "flags",
    [
        ["--trainer.gradient_clip_val=0.5"],
        ["--trainer.gradient_clip_val=0.5", "--trainer.gradient_clip_algorithm=value"],
        ["--trainer.gradient_clip_val=0.5", "--trainer.precision=bf16-mixed"],
        ["--trainer.accumulate_grad_batches=3"],
        *([f"--trainer.precision={kind}"] for kind in ("bf16-mixed", "bf16-true", "64-true")),
        ["--trainer.limit_train_batches=2"],
        ["--trainer.limit_val_batches=1"],
        ["--trainer.limit_test_batches=2"],
        ["--trainer.max_steps=40"],
        ["--trainer.max_epochs=-1", "--trainer.max_steps=20", "--trainer.val_check_interval=10"],
        ["--trainer.val_check_interval=5"],
        ["--trainer.val_check_interval=0.5"],
        ["--trainer.check_val_every_n_epoch=2"],
        ["--trainer.overfit_batches=2"],
        ["--trainer.fast_dev_run=true"],
        ["--trainer.fast_dev_run=2"],
        ["--trainer.max_epochs=-1", "--trainer.max_steps=40"],
        ["--trainer.reload_dataloaders_every_n_epochs=1"],
        ["--trainer.num_sanity_val_steps=2"],
        ["--trainer.profiler=simple"],
        ["--trainer.enable_progress_bar=true"],
        ["--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1"],
        [*PLATEAU, "--model.lr_scheduler.monitor=val/loss"],
        [*ONE_CYCLE],
    ],
    ids=lambda flags: "+".join(flag.rpartition(".")[2] for flag in flags),
)
def test_each_flag_of_the_trainer_works(
    flags: list[str], empty: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*fit_args, "--track=false", *flags]) == 0
    assert re.search(r"gru-synthetic(-.+)?-seed0: epoch", capsys.readouterr().out)


@pytest.mark.filterwarnings("ignore:.*AMP with fp16 is not supported on CPU")  # so it is
def test_half_precision_on_a_cpu_is_that_which_a_cpu_has(empty: Path, fit_args: list[str]) -> None:
    assert main([*fit_args, "--track=false", "--trainer.precision=16-mixed"]) == 0


@pytest.mark.parametrize("precision", ["16-true", "bf16-true", "64-true"])
def test_gates_are_read_in_single_precision_whatever_trains(
    precision: str, empty: Path, fit_args: list[str]
) -> None:
    assert main([*fit_args, f"--trainer.precision={precision}", "--trainer.max_epochs=1"]) == 0
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert 0 < run.data.metrics["gates/write_subject"] < 1


def test_callbacks_act_by_step_of_the_optimiser(empty: Path, fit_args: list[str]) -> None:
    by_step = [
        f"--trainer.callbacks+={CALLBACKS}.LearningRateMonitor",
        "--trainer.callbacks.logging_interval=step",
        f"--trainer.callbacks+={CALLBACKS}.ModelCheckpoint",
        "--trainer.callbacks.dirpath=by_step",
        "--trainer.callbacks.every_n_train_steps=4",
        "--trainer.callbacks.save_top_k=-1",
    ]
    settings = ["--trainer.log_every_n_steps=1", "--trainer.accumulate_grad_batches=2"]
    assert main([*fit_args, "--analyse_gates=false", *settings, *by_step]) == 0
    (run,) = runs()

    def steps(metric: str) -> list[int]:
        history = connect().get_metric_history(run.info.run_id, metric)
        return sorted({entry.step for entry in history})

    n = steps("val/accuracy")[0]
    assert steps("val/accuracy") == steps("train/loss") == [n, 2 * n]
    assert steps("lr-Adam") == list(range(2 * n))
    assert steps("gates/write_subject")[-2:] == [n, 2 * n]
    names = {re.sub(r".*-", "", path.stem) for path in Path("by_step").iterdir()}
    assert names == {f"step={step}" for step in range(4, 2 * n + 1, 4)}


def test_the_default_optimiser_shows_its_rate(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "-c", "configs/cell/gru.yaml", "--print_config"])
    optimizer = yaml.safe_load(capsys.readouterr().out)["model"]["optimizer"]
    assert optimizer["class_path"] == "torch.optim.Adam"
    assert optimizer["init_args"]["lr"] == 0.001
    assert optimizer["init_args"]["fused"] is True


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (
            ["--model.cell", "transformer"],
            "--model.cell: expected 'rnn', 'gru' or 'lstm', got 'transformer'",
        ),
        (["--model.hidden_size", "x"], "--model.hidden_size: expected int, got 'x'"),
        (
            ["--model.hiden_size", "3"],
            "unknown option --model.hiden_size; did you mean --model.hidden_size?",
        ),
        (["--model.hidden_size", "0"], "--model.hidden_size: expected at least 1, got 0"),
        (["--trainer.accelerator", "cuda"], "CUDA"),
        (["--trainer.accelerator", "quantum"], "quantum"),
        (["-c", "configs/none.yaml"], "configs/none.yaml: expected a configuration file"),
        (["--data.batch_size", "0"], "batch_size: expected at least 1, got 0"),
        (["--data.vocab_size", "0"], "expected a size of at least 1, got 0"),
        (["--data.source.init_args.train", "0"], "train: expected at least 1 item, got 0"),
        (["--data.source", "memgate.data.sources.jsonl.JsonLines"], "train: expected files"),
        (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt: expected a checkpoint, found no file"),
        (["--ckpt_path", "last"], "expected a run below"),
        (["--threads", "0"], "--threads: expected at least 1, got 0"),
        (["--seed_everything", "true"], "--seed_everything: expected a number"),
        (["--trainer.logger", "false"], "--track=false does without"),
        (["--trainer.gradient_clip_val=-1"], "--trainer.gradient_clip_val: expected 0 or above"),
        (["--trainer.gradient_clip_algorithm=l1"], "Allowed algorithms: ['value', 'norm']"),
        (["--trainer.accumulate_grad_batches=0"], "expected at least 1, got 0"),
        (["--trainer.precision=transformer-engine"], "transformer_engine"),
        (["--trainer.precision=8-true"], "bf16-mixed"),
        (["--trainer.limit_train_batches=0"], "limit_train_batches: expected at least a batch"),
        (["--trainer.strategy=ddp_fork", "--trainer.devices=2"], "--trainer.strategy"),
        (["--trainer.strategy=ddp_spawn", "--trainer.devices=2"], "--trainer.strategy"),
        (["--trainer.limit_train_batches=0.01"], "expected at least a batch, to train on; got"),
        (["--trainer.limit_val_batches=0"], "because validation accuracy chooses the best epoch"),
        (["--trainer.limit_test_batches=0"], "limit_test_batches: expected at least a batch"),
        (["--trainer.val_check_interval=500"], "expected at most the"),
        (["--trainer.max_steps=3"], "the fit ends after 3 steps, the first validation is after"),
        (["--trainer.check_val_every_n_epoch=3"], "expected a validation, from which"),
        (["--trainer.max_epochs=0"], "--trainer.max_epochs: expected at least 1"),
        (["--trainer.enable_checkpointing=false"], "enable_checkpointing=False"),
        (
            ["--trainer.max_epoch=3"],
            "unknown option --trainer.max_epoch; did you mean --trainer.max_epochs?",
        ),
        (["--trainer.max_epoch", "3"], "did you mean --trainer.max_epochs?"),
        (["--model.lr_schedule=StepLR"], "did you mean --model.lr_scheduler?"),
        (["--data.source.trai=3"], "--data.source: unknown setting trai"),
        (
            [
                f"--trainer.callbacks={CALLBACKS}.EarlyStopping",
                "--trainer.callbacks.monitor=val_loss",
            ],
            "EarlyStopping: expected monitor to be one of train/loss, val/loss",
        ),
        (["--model.lr_scheduler=CosineAnnealingLR"], "expected also --model.lr_scheduler.T_max"),
        (["--model.lr_scheduler=StepLL"], "expected a class, such as a.module.ClassName, got"),
        (["--model.optimizer.lr=x"], "--model.optimizer: expected float, got 'x'"),
        (["-c", "typo.yaml"], "typo.yaml: unknown setting modell.cell; did you mean model.cell?"),
        ([*ONE_CYCLE, "--model.lr_scheduler.total_steps=3"], "total_steps of at least those"),
        ([*ONE_CYCLE, "--trainer.max_epochs=-1"], "--model.lr_scheduler: "),
        ([*PLATEAU, "--model.lr_scheduler.monitor=val_loss"], "expected monitor to be one of"),
        (
            ["--model.lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau"],
            "expected lightning.pytorch.cli.ReduceLROnPlateau",
        ),
        (["--data.name", "a/b"], "name: expected letters"),
        (["--trainer.devices", "10000"], "--trainer.devices: expected at most"),
        (["--trainer.devices", "x"], "should be an int > 0"),
        (["--trainer.accelerator", "tpu"], "xla"),
        (
            ["--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", "-1"],
            "--model.optimizer: Invalid learning rate: -1.0",
        ),
    ],
    ids=lambda value: "".join(value[-1:]) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    extra: list[str],
    told: str,
    empty: Path,
    fit_args: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("typo.yaml").write_text("modell: {cell: gru}\n")
    assert main([*fit_args, *extra]) == 2
    assert told in error(capsys)
    assert not (empty / "mlruns").exists()


@pytest.mark.parametrize("setting", ["--trainer.max_epochs=0", "--model.hidden_size=-3"])
def test_a_wrong_setting_is_refused_before_data_are_read(
    setting: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"train": ["none.jsonl"], "validation": ["none.jsonl"], "test": ["none.jsonl"]}
    source = {"class_path": "memgate.data.sources.jsonl.JsonLines", "init_args": files}
    Path("none.yaml").write_text(yaml.safe_dump({"data": {"name": "none", "source": source}}))
    command = ["fit", "-c", "cell/gru.yaml", "-c", "none.yaml"]
    assert main(command) == 2
    assert "none.jsonl" in error(capsys)
    assert main([*command, setting]) == 2
    assert "expected at least 1" in error(capsys)


def test_a_fit_without_configurations_names_some(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit"]) == 2
    assert error(capsys).endswith(f"give one of each kind: {CONFIGURATIONS}")
    configurations = CONFIGURATIONS.split()
    with pytest.raises(SystemExit) as ended:
        main(["fit", *configurations, "--print_config"])
    assert not ended.value.code


def test_tasks_of_slurm_that_cannot_be_used_are_refused_in_one_line(
    empty: Path,
    fit_args: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {"NTASKS": "4", "JOB_ID": "7", "JOB_NAME": "fit", "NODELIST": "a"}
    ranks = {"PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in (variables | ranks).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert main(fit_args) == 2
    assert "--trainer: You set `--ntasks=4` in your SLURM bash script" in error(capsys)
    assert not (empty / "mlruns").exists()


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ((), "gru-synthetic"),
        (("--model.dropout=0",), "gru-synthetic"),
        (("--model.num_layers", "2"), "gru-synthetic-num_layers2"),
        (("--trainer.max_epochs=7",), "gru-synthetic"),
        (("--model.optimizer=SGD", "--model.optimizer.lr=1"), "gru-synthetic-optimizerSGD-lr1.0"),
        (
            ("--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=2"),
            "gru-synthetic-lr_schedulerStepLR",
        ),
        (("--data.name=mine", "--data.batch_size=5"), "gru-mine-batch_size5"),
    ],
)
def test_the_name_of_a_run_says_how_its_setting_differs(
    empty: Path, extra: tuple[str, ...], name: str
) -> None:
    configs = ["-c=trainer/default.yaml", "-c=cell/gru.yaml", "-c=data/synthetic.yaml"]
    fit = configure(with_config_paths([*configs, *extra]))
    assert fit.name == f"{name}-seed0"


def test_a_corrupt_checkpoint_is_told_and_the_run_left_alone(
    trained: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = next(Path("mlruns/checkpoints/gru-synthetic-seed0").iterdir())
    path = folder / "checkpoints/last.ckpt"
    whole = path.read_bytes()
    before = {run.info.run_id: run.info.status for run in runs()}
    for damaged in (whole[: len(whole) // 2], b"", b"\x80\x04not a checkpoint"):
        path.write_bytes(damaged)
        assert main([*fit_args, "--ckpt_path", "last"]) == 2
        assert "last.ckpt: expected a checkpoint, got a damaged or other file" in error(capsys)
    torch.save({"weights": torch.zeros(2)}, path)
    assert main([*fit_args, "--ckpt_path", "last"]) == 2
    assert "expected a checkpoint of memgate" in error(capsys)
    assert {run.info.run_id: run.info.status for run in runs()} == before


def test_a_checkpoint_of_an_earlier_version_is_scored_and_not_resumed(
    trained: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(Path("mlruns/checkpoints/gru-synthetic-seed0").iterdir()) / "checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)
    progress = "epoch_loop.automatic_optimization.optim_progress"
    # Manual optimisation, which it had, leaves the steps of automatic optimisation at 0.
    state["loops"]["fit_loop"][progress]["optimizer"]["step"]["total"]["completed"] = 0
    torch.save(state, path)
    assert main([*fit_args, "--ckpt_path=last", "--trainer.max_epochs=9"]) == 2
    assert "an earlier version of memgate saved it" in error(capsys)
    assert main(["test", *fit_args[1:], "--ckpt_path=last"]) == 0


def test_a_checkpoint_that_does_not_fit_the_network_is_told(
    trained: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    best = checkpoint("best", "gru-synthetic-seed0")
    assert main(["test", *fit_args[1:], "--ckpt_path", best, "--model.hidden_size=5"]) == 2
    assert "checkpoint: expected classifier.recurrence" in error(capsys)
    assert main(["test", *fit_args[1:], "--ckpt_path", "best", "--model.hidden_size=5"]) == 2
    assert "expected a run below mlruns/checkpoints/gru-synthetic-hidden_size5-seed0" in error(
        capsys
    )


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")  # so Lightning says it
def test_a_fit_without_a_whole_epoch_is_told(
    empty: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*fit_args, "--trainer.max_time=00:00:00:00", "--trainer.min_epochs=0"]) == 2
    assert "no epoch was validated" in error(capsys)
    (run,) = runs()
    assert run.info.status == "FAILED"


def test_what_does_not_fit_a_finished_run_leaves_it_as_it_is(
    trained: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def state() -> list[tuple[str, str, dict[str, str]]]:
        return [(run.info.run_id, run.info.status, run.data.tags) for run in runs()]

    before = state()
    assert main([*fit_args, "--ckpt_path", "last"]) == 2
    assert "its 2 epochs are done" in error(capsys)
    more = [*fit_args, "--ckpt_path", checkpoint("last", "gru-synthetic-seed0")]
    more += ["--trainer.max_epochs=3"]
    assert main([*more, "--model.hidden_size=5"]) == 2
    assert "checkpoint: expected classifier" in error(capsys)
    assert main([*more, "--data.vocab_size=20"]) == 2
    assert "vocabulary" in error(capsys)
    assert state() == before


EARLY = (
    "--trainer.max_epochs=9",
    "--trainer.callbacks=lightning.pytorch.callbacks.EarlyStopping",
    "--trainer.callbacks.monitor=val/accuracy",
    "--trainer.callbacks.mode=max",
)


@pytest.mark.parametrize(
    ("settings", "epochs", "told"),
    [
        ((), 2, "its 2 epochs are done"),
        # no epoch is better than the first by 2, which is impossible
        (
            (*EARLY, "--trainer.callbacks.min_delta=2", "--trainer.callbacks.patience=1"),
            2,
            "early stopping ended it after 2 epochs; to go on, set a patience above its",
        ),
        ((*EARLY, "--trainer.callbacks.stopping_threshold=0"), 1, "ended it after 1 epochs"),
    ],
    ids=["epochs", "patience", "threshold"],
)
def test_what_is_stopped_behind_the_last_epoch_goes_on_to_its_end(
    empty: Path,
    fit_args: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
    epochs: int,
    told: str,
) -> None:
    fit_args = [*fit_args, *settings]

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting_run, "fit_baselines", stopped)
        assert main(fit_args) == 130
    assert "--ckpt_path last" in capsys.readouterr().err
    (run,) = runs()
    assert run.info.status == "KILLED"
    if epochs == 2:
        assert main([*fit_args, "--ckpt_path", "last", "--trainer.max_epochs", "1"]) == 2
        assert "its 2 epochs are done; to go on, set --trainer.max_epochs above 1" in error(capsys)
        (run,) = runs()
        assert run.info.status == "KILLED"
    assert main([*fit_args, "--ckpt_path", "last"]) == 0
    assert "registered memgate-gru-synthetic version 1" in capsys.readouterr().out
    (run,) = runs()
    assert run.info.status == "FINISHED"
    steps = [entry.step for entry in connect().get_metric_history(run.info.run_id, "val/accuracy")]
    assert len(set(steps)) == len(steps) == epochs
    assert run.data.metrics["epoch"] == epochs  # so long the noun-only network is trained too
    capsys.readouterr()
    assert main([*fit_args, "--ckpt_path", "last"]) == 2  # now there is nothing left to do
    assert told in error(capsys)
    if "--trainer.callbacks.patience=1" in settings:
        patient = [*fit_args, "--ckpt_path=last", "--trainer.callbacks.patience=3"]
        for most, last in ((3, 2), (9, 3)):
            assert main([*patient, f"--trainer.max_epochs={most}"]) == 0
            assert torch.load(checkpoint("last"), weights_only=True)["epoch"] == last


@pytest.mark.parametrize(
    ("patience", "waited", "stopped"),
    [(2, 2, True), (3, 2, False), (1, 2, True), (3, 4, True), (5, 4, False), (2, 0, True)],
)
def test_only_more_patience_takes_the_end_of_a_fit_back(
    patience: int, waited: int, stopped: bool
) -> None:
    # waited for longer than its patience of 2, or not any more: it had to train to min_epochs
    ended = EarlyStopping("val/accuracy", patience=2)
    ended.wait_count = waited
    assert not has_stopped(EarlyStopping("val/accuracy", patience=patience), ended.state_dict())
    ended.stopping_reason = EarlyStoppingReason.PATIENCE_EXHAUSTED
    now = EarlyStopping("val/accuracy", patience=patience)
    assert has_stopped(now, ended.state_dict()) is stopped


def test_scoring_needs_a_checkpoint(
    empty: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", *fit_args[1:]]) == 2
    assert "--ckpt_path: expected a checkpoint" in error(capsys)


def test_an_unreadable_store_is_told_before_anything_is_trained(
    empty: Path, fit_args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mlruns").mkdir()
    Path("mlruns/mlflow.db").write_text("this is no database\n" * 1000)
    started = time.monotonic()
    assert main([*fit_args, "--trainer.max_epochs=100000"]) == 2
    assert "mlflow.db" in error(capsys)
    assert time.monotonic() - started < 120  # 100,000 epochs would take hours
    assert [path.name for path in Path("mlruns").iterdir()] == ["mlflow.db"]
