"""`memgate study`: cells × data × tasks × seeds, in parallel, each a tracked and registered run."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten

from rich.console import Console

from memgate.errors import InputError
from memgate.fitting import checkpoints
from memgate.fitting.config_files import config_file
from memgate.fitting.configuration import EXPERIMENT, configure
from memgate.fitting.progress import FitProgress
from memgate.fitting.real_text import build_corpus
from memgate.fitting.run import run_fit
from memgate.reporting.console import console
from memgate.studies import search
from memgate.studies.jobs import (
    JobProgress,
    alone,
    processes_of,
    run_jobs,
    tell_failures,
    unwarned,
)
from memgate.studies.plan import Study, StudyRun, read_study
from memgate.studies.ray_jobs import on_this_machine, run_on_ray
from memgate.tracking import study_runs
from memgate.tracking.delivery import spool

FOLDER = Path("mlruns/studies")
"""What a study keeps beside its runs: a lock, and the storage of its search."""


def study(file: Path, jobs: int | None = None, ray: str | None = None) -> None:
    """Do what is missing of a study, then say how to see it.

    Stopped, it goes on: with the runs that are missing, and those that were stopped within where
    their last checkpoint is. A run whose settings the file no longer plans leaves the study, as a
    report would take it for another seed of what is planned; a seed no longer planned stays. What
    others make under the study's name on the same server is left alone.

    Args:
        file: What the study consists of, see `memgate.studies.plan.read_study`.
        jobs: Processes, one thread each; None for as many as there are cores.
        ray: Address of a Ray cluster to run on instead, such as ``auto`` or
            ``ray://head:10001``; its machines need what `memgate.studies.ray_jobs.run_on_ray`
            says, and ``MLFLOW_TRACKING_URI`` unless all are this one. Where not all are, a search
            runs its trials here, in `jobs` processes: its storage is a file of this machine.

    Raises:
        InputError: The file, an option or the data can't be used; or at the end the store doesn't
            have all runs: some failed, as stderr tells, or wait to be delivered.
    """
    processes = processes_of(jobs)
    planned = read_study(config_file(file))
    search.check(planned)
    search_ray = ray if ray and on_this_machine(ray) else None
    for name in dict.fromkeys(group.data for group in planned.groups):
        build_corpus(name)
    with alone(FOLDER / planned.name, "memgate study"):
        try:
            found = search.find(planned, FOLDER / planned.name, processes, search_ray)
            runs = planned.runs(found.settings)
            failed = _run(planned.name, runs, processes, ray)
        except KeyboardInterrupt:
            print("stopped; the same command goes on with what is missing", file=sys.stderr)
            raise
    _conclude(planned, runs, found, failed)
    print(f"study {planned.name}: all runs are there; `memgate report {planned.name} --out DIR`")


def _run(name: str, runs: Sequence[StudyRun], processes: int, ray: str | None) -> Mapping[str, str]:
    """Make the runs that aren't there; return what went wrong, by their names."""
    there = study_runs.attempts(EXPERIMENT, name)
    waiting = {run.name: run for run in _left(runs, there)}
    done = len(runs) - len(waiting)
    for one in there:
        run = waiting.get(one.name)
        if run is not None and one.running and is_elsewhere(one, run.owner):
            print(f"left alone, as it goes on at {_owner(one)}: {one.name} (run {one.run_id})")
            del waiting[one.name]
    where = f"on Ray at {ray}" if ray else f"in {processes} processes"
    print(f"study {name}: {len(runs)} runs, {done} done, {len(waiting)} to do {where}")
    _check(list(waiting.values()))
    _retire_others(runs, there)
    if not waiting:
        return {}
    with JobProgress(len(runs), console(), len(runs) - len(waiting)) as progress:
        if ray:
            return run_on_ray(make, waiting, ray, progress)
        return run_jobs(make, waiting, processes, progress)


def _left(runs: Sequence[StudyRun], there: Sequence[study_runs.Attempt]) -> list[StudyRun]:
    """Return the runs that aren't finished."""
    finished = {(one.name, one.digest) for one in there if one.finished}
    return [run for run in runs if (run.name, run.digest) not in finished]


def _retire_others(runs: Sequence[StudyRun], there: Sequence[study_runs.Attempt]) -> None:
    """Take what has other settings than any planned run out of the study.

    Raises:
        InputError: It isn't ours to take out.
    """
    digests = {run.digest for run in runs}
    others = [one for one in there if one.digest not in digests] if runs else []
    for one in others:
        if is_elsewhere(one, runs[0].owner):
            raise InputError(
                f"study {runs[0].study}: expected a name that nobody else uses, got run "
                f"{one.run_id} ({one.name}) of other settings at {_owner(one)}; name one of the "
                "two files otherwise"
            )
    if others:
        study_runs.retire(others, runs[0].study)
        print(f"{len(others)} runs of other settings left the study; they stay in the store")


def is_elsewhere(attempt: study_runs.Attempt, owner: str) -> bool:
    """Say whether an attempt is another's, and so not to be touched.

    Args:
        attempt: In the store that both use.
        owner: Who asks, see `memgate.tracking.study_runs.current_owner`. What left a checkpoint or
            a spool in this folder is his too (the folder may have moved),
            and what has no owner and isn't at work.
    """
    traces = (checkpoints.FOLDER / attempt.name / attempt.run_id, spool.FOLDER / attempt.run_id)
    if any(folder.exists() for folder in traces):
        return False
    return attempt.owner != owner if attempt.owner else attempt.running


def _owner(attempt: study_runs.Attempt) -> str:
    return attempt.owner or "another machine or folder"


def _conclude(
    planned: Study, runs: Sequence[StudyRun], found: search.Found, failed: Mapping[str, str]
) -> None:
    """Tell what failed, and see that the store has every run: it may have been away.

    Raises:
        InputError: It hasn't, or doesn't answer.
    """
    tell_failures({**found.failed, **failed})
    again = "the same command goes on with them"
    if failed:
        raise InputError(f"{len(failed)} of {len(runs)} runs failed, see above; {again}")
    waits = f"what waits in {spool.FOLDER}, `memgate sync` delivers"
    try:
        left = _left(runs, study_runs.attempts(EXPERIMENT, planned.name))
    except InputError as error:
        raise InputError(f"study {planned.name}: {error}; {waits}") from error
    if left:
        names = shorten(", ".join(run.name for run in left), 200, placeholder=" …")
        how = waits if spool.folders() else again
        raise InputError(
            f"study {planned.name}: {len(left)} of {len(runs)} runs aren't done in the store: "
            f"{names}; {how}"
        )
    without = [each.name for each in planned.groups if each.name not in found.settings]
    if planned.search and without:
        raise InputError(
            f"no trial came to its end of the search for {', '.join(without)}; {again}"
        )


def _check(runs: Sequence[StudyRun]) -> None:
    """See that the arguments of each group's first run can be understood.

    Raises:
        InputError: They can't.
    """
    firsts: dict[str, StudyRun] = {}
    for run in runs:
        firsts.setdefault(run.digest, run)
    for run in firsts.values():
        try:
            configure([*run.arguments, "--track=false"])
        except InputError as error:
            raise InputError(f"{run.name}: {error}") from error


@unwarned()
def make(run: StudyRun) -> None:
    """Make a run, or go on with it where it was stopped; nothing, if it is done by now."""
    mine = [
        one
        for one in study_runs.attempts(EXPERIMENT, run.study)
        if (one.name, one.digest) == (run.name, run.digest)
    ]
    if any(one.finished for one in mine):  # its ending was delivered meanwhile
        return
    own = [one for one in mine if not is_elsewhere(one, run.owner)]
    stopped = next((one for one in own if _checkpoint(one).is_file()), None)
    study_runs.retire([one for one in own if one != stopped], run.study)
    go_on = [] if stopped is None else [f"--ckpt_path={_checkpoint(stopped)}"]
    with FitProgress(1, Console(file=io.StringIO())) as progress:
        run_fit([*run.arguments, *go_on], progress, run.tags)


def _checkpoint(attempt: study_runs.Attempt) -> Path:
    """Return where the last checkpoint of an attempt is, if there is one."""
    return checkpoints.FOLDER / attempt.name / attempt.run_id / "checkpoints" / "last.ckpt"
