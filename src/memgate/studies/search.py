"""The search for a study's settings with Optuna: `search_settings`."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from memgate.errors import InputError
from memgate.fitting.checkpoints import best_checkpoint
from memgate.fitting.configuration import configure
from memgate.fitting.progress import FitProgress
from memgate.fitting.run import log_setting, training_settings
from memgate.pool import Pool
from memgate.reporting.console import echo
from memgate.studies.jobs import run_jobs
from memgate.studies.plan import Group, Study, digest_of

SEARCHED_METRIC = "val/accuracy"
"""The best epoch's is maximised."""

RANGE = {"low", "high", "log", "step"}
"""The keys of a setting's range; otherwise ``choices`` lists its values."""


@dataclass(frozen=True)
class TrialJob:
    """A fit of a group with settings that Optuna proposes; `number` seeds the proposals."""

    study: Study
    group: Group
    storage: str
    number: int = 0

    @property
    def search(self) -> str:
        """Name of the group's search; with other settings, ranges or data it is another search."""
        arguments = self.group.arguments(self.study.settings)
        digest = digest_of(arguments, self.study.search["settings"], self.study.seeds[0])
        return f"{self.study.name}-{self.group.name}-{digest}"

    def open(self) -> Any:
        """Open the group's search: proposals by TPE (Bergstra et al. 2011), pruning by the median.

        A trial is stopped if its best epoch so far is worse than the median of the other trials at
        the same epoch (Golovin et al. 2017, section 3.3). The first five trials run whole.
        """
        optuna = _optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna.create_study(
            study_name=self.search,
            storage=self.storage,
            sampler=optuna.samplers.TPESampler(seed=self.number, constant_liar=True),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
            direction="maximize",
            load_if_exists=True,
        )


@dataclass(frozen=True)
class SearchResult:
    """The best settings of each group that has a completed trial, and the errors of trials."""

    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def search_settings(study: Study, folder: Path, pool: Pool) -> SearchResult:
    """Run the trials that are missing, and return the best settings of each group.

    Optuna's storage is ``search.db`` in the folder, so the pool must be on this machine. A trial
    that fails doesn't stop the others; the next search makes up for it.

    Raises:
        InputError: The search is impossible, or Optuna isn't installed.
    """
    if not read_space(study):
        return SearchResult()
    states = _optuna().trial.TrialState
    storage = f"sqlite:///{(folder / 'search.db').absolute()}"
    trials = study.search["trials"]
    searches = {}
    jobs: dict[str, TrialJob] = {}
    for group in study.groups:
        job = TrialJob(study, group, storage)
        search = searches[group.name] = job.open()
        for killed in search.get_trials(states=[states.RUNNING]):
            search.tell(killed.number, state=states.FAIL)
        first = len(search.trials)
        ended = len(search.get_trials(states=[states.COMPLETE, states.PRUNED]))
        for number in range(first, first + trials - ended):
            jobs[f"{group.name}-trial{number}"] = replace(job, number=number)
    total = trials * len(study.groups)
    echo(f"search {study.name}: {total} trials, {len(jobs)} to do {pool}")
    failed = run_jobs(pool, run_trial, jobs, total - len(jobs)) if jobs else {}
    best = {}
    for name, search in searches.items():
        completed = len(search.get_trials(states=[states.COMPLETE]))
        pruned = len(search.get_trials(states=[states.PRUNED]))
        if completed:
            best[name] = dict(search.best_trial.params)
            settings = ", ".join(f"{setting} {value}" for setting, value in best[name].items())
            echo(
                f"search {name}: best validation accuracy {100 * search.best_value:.1f}% with "
                f"{settings} ({completed} trials completed, {pruned} pruned)"
            )
    return SearchResult(best, failed)


def run_trial(job: TrialJob) -> None:
    """Let Optuna run one trial of a group's search; it records the score or the failure."""
    job.open().optimize(partial(_train, job), n_trials=1)


def _train(job: TrialJob, trial: Any) -> float:
    """Train, tracked but not registered, and return the best score."""
    settings = {
        name: suggest(trial, name, bounds) for name, bounds in read_space(job.study).items()
    }
    labels = {
        "search": job.study.name,
        "study_run": f"{job.group.name}-trial{trial.number}",
        **{f"setting/{name}": str(value) for name, value in settings.items()},
    }
    pruning = import_module("optuna_integration").PyTorchLightningPruningCallback(
        trial, SEARCHED_METRIC
    )
    best = best_checkpoint()
    seed = {"seed_everything": job.study.seeds[0]}
    arguments = job.group.arguments({**job.study.settings, **settings, **seed})
    with FitProgress(1, Console(quiet=True, force_terminal=False)) as progress:
        fit = configure(arguments, [progress, pruning, best], labels)
        fit.prepare()
        if fit.run is None:
            raise InputError("search: expected tracked trials, got --track=false")
        pruned: Exception | None = None
        try:
            with fit.run:
                log_setting(fit, training_settings(fit))
                try:
                    fit.trainer.fit(fit.module, fit.data)
                except _optuna().TrialPruned as error:  # the run is finished all the same
                    fit.run.log_hyperparams({"pruned": True})
                    pruned = error
        finally:
            if best.dirpath is not None:
                shutil.rmtree(best.dirpath, ignore_errors=True)
    if pruned:
        raise pruned
    return float(best.best_model_score or 0.0)


def read_space(study: Study) -> Mapping[str, Mapping[str, Any]]:
    """Return the range or the choices of each setting that is searched for; empty without a search.

    Raises:
        InputError: The number of trials, or a setting's range or choices, is impossible.
    """
    if not study.search:
        return {}
    position = f"{study.file}: search"
    trials, space = study.search.get("trials"), study.search.get("settings")
    if set(study.search) != {"trials", "settings"} or type(trials) is not int or trials < 1:
        raise InputError(
            f"{position}: expected trials, a number of at least 1, and settings; got {study.search}"
        )
    if not isinstance(space, dict) or not space:
        raise InputError(f"{position}: settings: expected names with ranges, got {space!r}")
    for name, bounds in space.items():
        problem = _problem(bounds)
        if problem:
            raise InputError(f"{position}: {name}: {problem}")
    return space


def _problem(bounds: Any) -> str:
    """Return what is wrong with a range or choices, or ""."""
    keys = set(bounds) if isinstance(bounds, dict) else set()
    if keys == {"choices"}:
        choices = bounds["choices"]
        is_plain = isinstance(choices, list) and all(
            choice is None or isinstance(choice, str | int | float) for choice in choices
        )
        return "" if is_plain and choices else f"expected choices, a list of values; got {choices}"
    if not {"low", "high"} <= keys <= RANGE:
        return f"expected low and high (and log or step), or choices; got {bounds!r}"
    return _problem_of_range(bounds, {"log": False, "step": 1, **bounds})


def _problem_of_range(bounds: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Check a range; Optuna itself takes any ``log``, and rounds steps of whole numbers down."""
    for name in ("low", "high", "step"):
        value = values[name]
        if type(value) not in (int, float) or not math.isfinite(value):
            hint = "; YAML reads 1e-3 as text, and 1.0e-3 as a number"
            return f"{name}: expected a number, got {value!r}{hint if type(value) is str else ''}"
    low, high, log, step = (values[name] for name in ("low", "high", "log", "step"))
    if low > high:
        return f"expected low to be at most high, got {low} and {high}"
    if type(log) is not bool or (log and (low <= 0 or "step" in bounds)):
        return f"expected log: true with low above 0 and no step, got {log!r} with low {low}"
    if step <= 0 or (_is_whole(bounds) and type(step) is not int):
        kind = "a whole number" if _is_whole(bounds) else "a number"
        return f"step: expected {kind} above 0, got {step}"
    return ""


def _is_whole(bounds: Mapping[str, Any]) -> bool:
    return type(bounds["low"]) is int and type(bounds["high"]) is int


def suggest(trial: Any, name: str, bounds: Mapping[str, Any]) -> Any:
    """Let Optuna's trial propose a value within a range or choices that `read_space` accepted."""
    if "choices" in bounds:
        return trial.suggest_categorical(name, bounds["choices"])
    return (trial.suggest_int if _is_whole(bounds) else trial.suggest_float)(name, **bounds)


def _optuna() -> Any:
    try:
        import_module("optuna_integration")  # the callback that prunes
        return import_module("optuna")
    except ImportError as error:
        raise InputError("search: expected Optuna; pip install 'memgate[search]'") from error
