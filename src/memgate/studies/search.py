"""The search for settings by Optuna: trials in parallel, the worse ones stopped early."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from memgate.errors import InputError
from memgate.fitting.checkpoints import best_checkpoint
from memgate.fitting.configuration import configure
from memgate.fitting.progress import FitProgress
from memgate.fitting.run import log_setting, training_settings
from memgate.reporting.console import console
from memgate.studies.jobs import JobProgress, run_jobs, unwarned
from memgate.studies.plan import Group, Study, digest_of
from memgate.studies.ray_jobs import run_on_ray

METRIC = "val/accuracy"
"""What is searched for the largest of: that of the best epoch."""

RANGE = {"low", "high", "log", "step"}
"""What a setting's range may say; otherwise ``choices`` lists its values."""


@dataclass(frozen=True)
class Trial:
    """A fit with settings that Optuna proposes.

    Attributes:
        study: Name of the study.
        group: What is trained.
        settings: Those of the study.
        space: For each setting that is searched for its range or its choices.
        storage: Optuna's, an SQLAlchemy URI.
        number: Which job it is; with it come other proposals.
        seed: Of the network.
    """

    study: str
    group: Group
    settings: Mapping[str, Any]
    space: Mapping[str, Mapping[str, Any]]
    storage: str
    number: int
    seed: int

    @property
    def search(self) -> str:
        """Name of the group's search; one with other settings, ranges or data is another."""
        digest = digest_of(self.group.arguments(self.settings), self.space, self.seed)
        return f"{self.study}-{self.group.name}-{digest}"

    def open(self) -> Any:
        """Open the group's search: proposals by TPE (Bergstra et al. 2011), pruning by the median.

        A trial is stopped where its best epoch so far is worse than the median of the others' at
        the same epoch (Golovin et al. 2017, section 3.3); five trials are run whole before.

        Raises:
            InputError: Optuna isn't installed.
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
class Found:
    """What a search found.

    Attributes:
        settings: The best of each group, by its name; it lacks one whose trials all failed.
        failed: What went wrong, in one line, by the name of the trial.
    """

    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def find(study: Study, folder: Path, processes: int, ray: str | None = None) -> Found:
    """Run the trials that are missing, and return the best settings of each group.

    A trial that fails stops none of the others, and the best of those that came to their end
    counts; the next search makes up for it.

    Args:
        study: What is searched for, and the rest of the settings; the first of its seeds is taken.
        folder: Where Optuna's storage is, ``search.db``: a stopped search goes on.
        processes: How many trials at a time.
        ray: Address of a Ray cluster to run on instead, all on this machine: Optuna's storage is a
            file.

    Raises:
        InputError: What is to be searched for can't be, or Optuna isn't installed.
    """
    if not study.search:
        return Found()
    check(study)
    trials, space = study.search["trials"], study.search["settings"]
    storage = f"sqlite:///{(folder / 'search.db').absolute()}"
    opened = {}
    waiting: dict[str, Trial] = {}
    for group in study.groups:
        first = Trial(study.name, group, study.settings, space, storage, 0, study.seeds[0])
        search = opened[group.name] = first.open()
        done = _count(search)
        for number in range(len(search.trials), len(search.trials) + trials - done):
            waiting[f"{group.name}-trial{number}"] = replace(first, number=number)
    total = trials * len(study.groups)
    where = f"on Ray at {ray}" if ray else f"in {processes} processes"
    print(f"search {study.name}: {total} trials, {len(waiting)} to do {where}")
    failed = _run(waiting, total, processes, ray) if waiting else {}
    best = {name: _best(name, search) for name, search in opened.items()}
    return Found({name: settings for name, settings in best.items() if settings}, failed)


def _run(
    waiting: Mapping[str, Trial], total: int, processes: int, ray: str | None
) -> dict[str, str]:
    with JobProgress(total, console(), total - len(waiting)) as progress:
        if ray:
            return run_on_ray(run_trial, waiting, ray, progress)
        return run_jobs(run_trial, waiting, processes, progress)


def check(study: Study) -> None:
    """See that what is to be searched for can be.

    Raises:
        InputError: The number of trials, or a setting's range or choices, is impossible.
    """
    if not study.search:
        return
    where = f"{study.file}: search"
    trials, space = study.search.get("trials"), study.search.get("settings")
    if set(study.search) != {"trials", "settings"} or type(trials) is not int or trials < 1:
        raise InputError(
            f"{where}: expected trials, a number of at least 1, and settings; got {study.search}"
        )
    if not isinstance(space, dict) or not space:
        raise InputError(f"{where}: settings: expected names with ranges, got {space!r}")
    for name, given in space.items():
        keys = set(given) if isinstance(given, dict) else set()
        ranged = keys <= RANGE and {"low", "high"} <= keys
        if not ranged and keys != {"choices"}:
            raise InputError(
                f"{where}: {name}: expected low and high (and log or step), or choices; "
                f"got {given!r}"
            )
        wrong = _wrong_range(**given) if ranged else _wrong_choices(given["choices"])
        if wrong:
            raise InputError(f"{where}: {name}: {wrong}")


def _wrong_choices(choices: Any) -> str:
    plain = isinstance(choices, list) and all(
        one is None or isinstance(one, str | int | float) for one in choices
    )
    return "" if plain and choices else f"expected choices, a list of values; got {choices!r}"


def _wrong_range(low: Any, high: Any, log: Any = False, step: Any = None) -> str:
    """Say what is wrong with a range, in words; or nothing."""
    for name, value in (("low", low), ("high", high), ("step", 1 if step is None else step)):
        if type(value) not in (int, float) or not math.isfinite(value):
            yaml = "; YAML reads 1e-3 as text, and 1.0e-3 as a number"
            return f"{name}: expected a number, got {value!r}{yaml * isinstance(value, str)}"
    if low > high:
        return f"expected low to be at most high, got {low} and {high}"
    if type(log) is not bool or (log and (low <= 0 or step is not None)):
        return f"expected log: true with low above 0 and no step, got {log!r} with low {low}"
    whole = type(low) is int and type(high) is int
    if step is not None and (step <= 0 or (whole and type(step) is not int)):
        kind = "a whole number" if whole else "a number"
        return f"step: expected {kind} above 0, got {step}"
    return ""


def _count(search: Any) -> int:
    """Count the trials that came to an end; those of a killed process count as failed."""
    states = _optuna().trial.TrialState
    for trial in search.get_trials(states=[states.RUNNING]):
        search.tell(trial.number, state=states.FAIL)
    return len(search.get_trials(states=[states.COMPLETE, states.PRUNED]))


def _best(name: str, search: Any) -> dict[str, Any]:
    """Tell the best settings, and return them; none where no trial came to its end."""
    states = _optuna().trial.TrialState
    ended = {
        state: len(search.get_trials(states=[states[state]])) for state in ("COMPLETE", "PRUNED")
    }
    if not ended["COMPLETE"]:
        return {}
    best = dict(search.best_trial.params)
    told = ", ".join(f"{setting} {value}" for setting, value in best.items())
    print(
        f"search {name}: {100 * search.best_value:.1f}% of validation right with {told} "
        f"(the best of {ended['COMPLETE']} trials; {ended['PRUNED']} more were stopped early)"
    )
    return best


@unwarned()
def run_trial(trial: Trial) -> None:
    """Ask for settings, train with them, and tell Optuna what came of it."""
    optuna = _optuna()
    search = trial.open()
    asked = search.ask()
    try:
        settings = {name: suggest(asked, name, given) for name, given in trial.space.items()}
        score = _fit(trial, asked, settings)
    except BaseException:
        search.tell(asked, state=optuna.trial.TrialState.FAIL)
        raise
    if score is None:
        search.tell(asked, state=optuna.trial.TrialState.PRUNED)
    else:
        search.tell(asked, score)


def suggest(asked: Any, name: str, given: Mapping[str, Any]) -> Any:
    """Let Optuna's trial propose a setting of a range or of choices that `check` let pass."""
    if "choices" in given:
        return asked.suggest_categorical(name, given["choices"])
    whole = type(given["low"]) is int and type(given["high"]) is int
    return (asked.suggest_int if whole else asked.suggest_float)(name, **given)


def _fit(trial: Trial, asked: Any, settings: Mapping[str, Any]) -> float | None:
    """Train, tracked but not registered; return the best score, None if the trial was pruned."""
    best = best_checkpoint()
    labels = {
        "search": trial.study,
        "study_run": f"{trial.group.name}-trial{asked.number}",
        **{f"setting/{name}": str(value) for name, value in settings.items()},
    }
    given = {**trial.settings, **settings, "seed_everything": trial.seed}
    with FitProgress(1, Console(file=io.StringIO())) as progress:
        pruning = import_module("optuna_integration").PyTorchLightningPruningCallback(asked, METRIC)
        callbacks = [progress, pruning, best]
        fit = configure(trial.group.arguments(given), callbacks, labels)
        fit.prepare()
        run = fit.run
        if run is None:
            raise InputError("search: expected tracked trials, got --track=false")
        with run:
            log_setting(fit, training_settings(fit))
            try:
                fit.trainer.fit(fit.module, fit.data)
            except _optuna().TrialPruned:
                run.log_hyperparams({"pruned": True})
                return None
            finally:
                if best.dirpath is not None:
                    shutil.rmtree(best.dirpath, ignore_errors=True)
    return float(best.best_model_score or 0.0)


def _optuna() -> Any:
    try:
        import_module("optuna_integration")  # the callback that prunes
        return import_module("optuna")
    except ImportError as error:
        raise InputError("search: expected Optuna; pip install 'memgate[search]'") from error
