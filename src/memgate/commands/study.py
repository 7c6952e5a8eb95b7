"""`memgate study`: cells × data × tasks × seeds, in parallel, each a tracked and registered run."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from memgate.commands import checkpoints, search
from memgate.commands.fit import run_fit
from memgate.commands.jobs import JobProgress, alone, processes_of, run_jobs, tell_failures
from memgate.commands.lightning_cli import EXPERIMENT, AgreementCLI
from memgate.commands.progress import FitProgress
from memgate.commands.ray_jobs import run_on_ray
from memgate.commands.report import console
from memgate.commands.study_plan import StudyRun, read_study
from memgate.commands.train import make_corpus
from memgate.errors import InputError
from memgate.tracking import studies

FOLDER = Path("mlruns/studies")
"""What a study keeps beside its runs: a lock, and the storage of its search."""


def study(
    file: Path, configs: Path = Path("configs"), jobs: int | None = None, ray: str | None = None
) -> None:
    """Do what is missing of a study, then say how to see it.

    Stopped, it goes on: with the runs that are missing, and those that were stopped within where
    their last checkpoint is. A run that was made with other settings is made anew, and the old one
    leaves the study.

    Args:
        file: What the study consists of, see `memgate.commands.study_plan.read_study`.
        configs: Folder with ``cell/``, ``data/`` and ``trainer/``.
        jobs: Processes, one thread each; None for as many as there are cores.
        ray: Address of a Ray cluster to run on instead, such as ``auto`` or
            ``ray://head:10001``; its machines need memgate, the data under the same paths, and one
            MLflow server in ``MLFLOW_TRACKING_URI``.

    Raises:
        InputError: The file, an option or the data can't be used; or runs failed, which stderr
            tells of.
    """
    processes = processes_of(jobs)
    planned = read_study(file, configs)
    for name in dict.fromkeys(group.data for group in planned.groups):
        make_corpus(configs, name)
    with alone(FOLDER / planned.name, "memgate study"):
        try:
            found = search.find(planned, FOLDER / planned.name, processes)
            _run(planned.runs(found), processes, ray)
        except KeyboardInterrupt:
            print("stopped; the same command goes on with what is missing", file=sys.stderr)
            raise
    print(f"study {planned.name}: all runs are there; `memgate report {planned.name} --out DIR`")


def _run(runs: Sequence[StudyRun], processes: int, ray: str | None) -> None:
    """Make the runs that aren't there."""
    name = runs[0].study
    there = studies.attempts(EXPERIMENT, name)
    finished = {(one.name, one.digest) for one in there if one.finished}
    done = {run.name for run in runs if (run.name, run.digest) in finished}
    waiting = {run.name: run for run in runs if run.name not in done}
    where = f"on Ray at {ray}" if ray else f"in {processes} processes"
    print(f"study {name}: {len(runs)} runs, {len(done)} done, {len(waiting)} to do {where}")
    if not waiting:
        return
    _check(list(waiting.values()))
    with JobProgress(len(runs), console(), len(done)) as progress:
        failed = (
            run_on_ray(make, waiting, ray, progress)
            if ray
            else run_jobs(make, waiting, processes, progress)
        )
    tell_failures(failed, len(waiting))


def _check(runs: Sequence[StudyRun]) -> None:
    """See that the arguments of each group's first run can be understood.

    Raises:
        InputError: They can't.
    """
    firsts: dict[str, StudyRun] = {}
    for run in runs:
        firsts.setdefault(run.name.rpartition("-seed")[0], run)
    for run in firsts.values():
        try:
            AgreementCLI([*run.arguments, "--track=false"])
        except InputError as error:
            raise InputError(f"{run.name}: {error}") from error


def make(run: StudyRun) -> None:
    """Make a run, or go on with it where it was stopped."""
    logging.disable(logging.WARNING)  # said once for every run, over the bar
    mine = [one for one in studies.attempts(EXPERIMENT, run.study) if one.name == run.name]
    stopped = next((one for one in mine if _checkpoint(run, one).is_file()), None)
    studies.retire([one for one in mine if one != stopped], run.study)
    go_on = [] if stopped is None else [f"--ckpt_path={_checkpoint(run, stopped)}"]
    with FitProgress(1, Console(file=io.StringIO())) as progress:
        run_fit([*run.arguments, *go_on], progress, run.tags)


def _checkpoint(run: StudyRun, attempt: studies.Attempt) -> Path:
    """Return where the last checkpoint of an attempt is, if it was made with the same settings."""
    same = attempt.digest == run.digest
    folder = checkpoints.FOLDER / run.name / (attempt.run_id if same else "-")
    return folder / "checkpoints" / "last.ckpt"
