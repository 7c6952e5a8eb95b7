"""`run_study` runs what is missing of a study; every run is tracked and registered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten

from rich.console import Console

from memgate.errors import InputError
from memgate.fitting import checkpoints
from memgate.fitting.config_files import config_file
from memgate.fitting.configuration import configure
from memgate.fitting.progress import FitProgress
from memgate.fitting.real_text import build_corpora
from memgate.fitting.run import run_fit
from memgate.pool import Pool, RayPool
from memgate.reporting.console import echo
from memgate.studies.jobs import locked, print_failures, process_pool, run_jobs
from memgate.studies.plan import PlannedRun, Study, read_study
from memgate.studies.search import SearchResult, read_space, search_settings
from memgate.tracking.delivery import spool
from memgate.tracking.store import EXPERIMENT, store_name, tracking_uri
from memgate.tracking.study_runs import Attempt, attempts, current_owner, retire

STUDIES_FOLDER = Path("mlruns/studies")
"""Where a study keeps its lock and the storage of its search."""

HOST = re.compile(r"://(?:[^/@]*@)?(\[[^\]]*\]|[^:/?#]+)")
LOOPBACK = re.compile(r"localhost$|127\.|0\.0\.0\.0$|\[::1?\]$")

RESUME = "the same command goes on with them"


def run_study(file: Path, jobs: int | None = None, ray: str | None = None) -> str:
    """Run what is missing of a study.

    A study that was stopped goes on with the runs that are missing; a run that was stopped resumes
    at its last checkpoint. A run whose settings the file no longer plans leaves the study, because
    a report would take it for another seed of what is planned; a seed that is no longer planned
    stays. Runs that others make under the study's name on the same server are not touched.

    Args:
        file: The study's file, see `memgate.studies.plan.read_study`.
        jobs: Processes, one thread each; None for one on each core.
        ray: Address of a Ray cluster to run on instead, see `memgate.pool.RayPool`. If it has
            other machines, they need ``MLFLOW_TRACKING_URI``, and a search runs its trials here,
            in `jobs` processes, because its storage is a file of this machine.

    Returns:
        The study's name.

    Raises:
        InputError: The file, an option or the data can't be used; or at the end the store doesn't
            have all runs, because some failed, as stderr lists, or wait to be delivered.
    """
    local = process_pool(jobs)
    study = read_study(config_file(file))
    read_space(study)  # refuses an impossible search
    _require_valid_arguments(study.runs({group.name: {} for group in study.groups}))
    with RayPool(ray) if ray else local as pool:
        others = pool.other_machines() if isinstance(pool, RayPool) else []
        if others:
            _require_shared_store(f"--ray {ray}", others[0])
        for data in dict.fromkeys(group.data for group in study.groups):
            build_corpora(data)
        folder = STUDIES_FOLDER / study.name
        with locked(folder, "memgate study"):
            try:
                if others:
                    with local:
                        best = search_settings(study, folder, local)
                else:
                    best = search_settings(study, folder, pool)
                runs = study.runs(best.settings, current_owner())
                failed = _run_missing(study.name, runs, pool)
            except KeyboardInterrupt:
                echo("stopped; the same command goes on with what is missing", err=True)
                raise
    print_failures({**best.failed, **failed})
    _require_all_finished(study, runs, best, failed)
    return study.name


def _require_shared_store(option: str, machine: str) -> None:
    """Check that another machine reaches the store: it is no file and no server on loopback."""
    host = HOST.search(tracking_uri())
    if host is None or LOOPBACK.match(host[1]):
        raise InputError(
            f"{option}: expected MLFLOW_TRACKING_URI=http://… of a server that {machine} reaches "
            f"too, got {store_name()}"
        )


def _run_missing(study: str, runs: Sequence[PlannedRun], pool: Pool) -> Mapping[str, str]:
    """Make the runs that aren't finished; return what went wrong, by their names."""
    tried = attempts(EXPERIMENT, study)
    missing = {run.name: run for run in _unfinished(runs, tried)}
    done = len(runs) - len(missing)
    for attempt in tried:
        run = missing.get(attempt.name)
        if run is not None and attempt.running and is_elsewhere(attempt, run.owner):
            owner = _owner(attempt)
            echo(f"left alone, still running at {owner}: {attempt.name} (run {attempt.run_id})")
            del missing[attempt.name]
    echo(f"study {study}: {len(runs)} runs, {done} done, {len(missing)} to do {pool}")
    _retire_unplanned(runs, tried)
    if not missing:
        return {}
    return run_jobs(pool, make_run, missing, len(runs) - len(missing))


def _unfinished(runs: Sequence[PlannedRun], tried: Sequence[Attempt]) -> list[PlannedRun]:
    finished = {(attempt.name, attempt.digest) for attempt in tried if attempt.finished}
    return [run for run in runs if (run.name, run.digest) not in finished]


def _require_valid_arguments(runs: Sequence[PlannedRun]) -> None:
    """Check the arguments of one run of each digest."""
    by_digest: dict[str, PlannedRun] = {}
    for run in runs:
        by_digest.setdefault(run.digest, run)
    for run in by_digest.values():
        try:
            configure([*run.arguments, "--track=false"])
        except InputError as error:
            raise InputError(f"{run.name}: {error}") from error


def _retire_unplanned(runs: Sequence[PlannedRun], tried: Sequence[Attempt]) -> None:
    """Remove attempts from the study whose settings no planned run has."""
    digests = {run.digest for run in runs}
    unplanned = [attempt for attempt in tried if attempt.digest not in digests] if runs else []
    for attempt in unplanned:
        if is_elsewhere(attempt, runs[0].owner):
            raise InputError(
                f"study {runs[0].study}: expected a name that nobody else uses, got run "
                f"{attempt.run_id} ({attempt.name}) of other settings at {_owner(attempt)}; name "
                "one of the two files otherwise"
            )
    if unplanned:
        retire(unplanned, runs[0].study)
        echo(f"{len(unplanned)} runs of other settings left the study; they stay in the store")


def is_elsewhere(attempt: Attempt, owner: str) -> bool:
    """Return whether an attempt is somebody else's and so must not be touched.

    Args:
        attempt: In the store that both use.
        owner: The caller, see `memgate.tracking.study_runs.current_owner`. The owner also owns
            attempts with a checkpoint or a spool in this folder (the folder may have moved),
            and those that have no owner and are not running.
    """
    traces = (
        checkpoints.CHECKPOINTS_FOLDER / attempt.name / attempt.run_id,
        spool.SPOOLS_FOLDER / attempt.run_id,
    )
    if any(folder.exists() for folder in traces):
        return False
    return attempt.owner != owner if attempt.owner else attempt.running


def _owner(attempt: Attempt) -> str:
    return attempt.owner or "another machine or folder"


def make_run(run: PlannedRun) -> None:
    """Make a run or resume it where it was stopped; do nothing if it is finished by now."""
    tried = [
        attempt
        for attempt in attempts(EXPERIMENT, run.study)
        if (attempt.name, attempt.digest) == (run.name, run.digest)
    ]
    if any(attempt.finished for attempt in tried):  # its ending was delivered meanwhile
        return
    owned = [attempt for attempt in tried if not is_elsewhere(attempt, run.owner)]
    stopped = next((attempt for attempt in owned if _last_checkpoint(attempt).is_file()), None)
    retire([attempt for attempt in owned if attempt != stopped], run.study)
    resume = [] if stopped is None else [f"--ckpt_path={_last_checkpoint(stopped)}"]
    with FitProgress(1, Console(quiet=True, force_terminal=False)) as progress:
        run_fit([*run.arguments, *resume], progress, run.tags)


def _last_checkpoint(attempt: Attempt) -> Path:
    return (
        checkpoints.CHECKPOINTS_FOLDER / attempt.name / attempt.run_id / "checkpoints" / "last.ckpt"
    )


def _require_all_finished(
    study: Study, runs: Sequence[PlannedRun], best: SearchResult, failed: Mapping[str, str]
) -> None:
    """Check that the store has every run: it may have been out of reach."""
    if failed:
        raise InputError(f"{len(failed)} of {len(runs)} runs failed, see above; {RESUME}")
    delivery = f"`memgate sync` delivers what waits in {spool.SPOOLS_FOLDER}"
    try:
        unfinished = _unfinished(runs, attempts(EXPERIMENT, study.name))
    except InputError as error:
        raise InputError(f"study {study.name}: {error}; {delivery}") from error
    if unfinished:
        names = shorten(", ".join(run.name for run in unfinished), 200, placeholder=" …")
        raise InputError(
            f"study {study.name}: {len(unfinished)} of {len(runs)} runs aren't finished in the "
            f"store: {names}; {delivery if spool.folders() else RESUME}"
        )
    without = [group.name for group in study.groups if group.name not in best.settings]
    if study.search and without:
        raise InputError(f"search: no trial was completed for {', '.join(without)}; {RESUME}")
