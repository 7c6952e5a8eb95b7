"""The jobs of a study: `run_jobs` runs them in a pool with a bar, `locked` guards their folder."""

from __future__ import annotations

import fcntl
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from memgate.errors import InputError
from memgate.pool import Pool, ProcessPool, available_cores, completed
from memgate.reporting.console import console, echo
from memgate.reporting.progress import ProgressBars

Job = TypeVar("Job")
Result = TypeVar("Result")

DIED = "its process ended without a message; was it killed, or was there too little memory?"


def process_pool(jobs: int | None) -> ProcessPool:
    """Return a pool of so many processes (the option ``--jobs``), or of one on each core.

    Raises:
        InputError: They are fewer than 1.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs: expected at least 1 process, got {jobs}")
    return ProcessPool(jobs or available_cores())


class Outcome(NamedTuple, Generic[Result]):
    """What a job returned, or what went wrong in one line; one of the two is None."""

    result: Result | None
    error: str | None


def run_jobs(
    pool: Pool,
    work: Callable[[Job], Result],
    jobs: Mapping[str, Job],
    done: int = 0,
    on_result: Callable[[str, Any], object] | None = None,
) -> dict[str, str]:
    """Run jobs with a bar over all of them in a terminal, or a line for each in a log.

    A job that fails doesn't stop the others. It writes its result whole or not at all, because
    Ctrl-C ends the workers.

    Args:
        pool: Where they run; entered.
        work: A function of a module.
        jobs: Its argument, by the name of the job; long ones first.
        done: How many more jobs were done before.
        on_result: Is called with the name of each job that succeeded, and what it returned.

    Returns:
        What went wrong, in one line, by the name of the job; empty if nothing did.
    """
    failed: dict[str, str] = {}
    running: list[str] = []
    total = done + len(jobs)
    # A job takes half a minute or more, so the speed is measured over ten minutes.
    with ProgressBars(console(), speed_estimate_period=600) as bars:
        bar = bars.add_task("all jobs", total=total, completed=done)

        def show() -> None:
            waiting = total - done - len(running)
            status = f"{done}/{total}; running: {', '.join(running)}; waiting: {waiting}"
            bars.update(bar, completed=done, status=status)

        def start(name: str) -> None:
            running.append(name)
            show()

        for name, _, future in completed(pool, partial(attempt, work), jobs.items(), start):
            error = future.exception()
            result, message = future.result() if error is None else (None, error_line(error))
            running.remove(name)
            done += 1
            show()
            bars.line(f"[{done}/{total}] {name}{f' failed: {message}' if message else ''}")
            if message:
                failed[name] = message
            elif on_result is not None:
                on_result(name, result)
    return failed


def attempt(work: Callable[[Job], Result], job: Job) -> Outcome[Result]:
    """Do a job; return an error as one line, because not every exception can be sent.

    Warnings are not logged: each job would repeat the same ones, over the bar.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return Outcome(work(job), None)
    except (Exception, SystemExit) as error:  # whatever it is, the other jobs go on
        return Outcome(None, error_line(error))
    finally:
        logging.disable(disabled)


def error_line(error: BaseException) -> str:
    """Return an error in one line; for one that isn't the user's also its kind and position."""
    if isinstance(error, BrokenProcessPool):
        return DIED
    cause = getattr(error, "cause", None)  # of Ray's error: the job's
    error = cause if isinstance(cause, BaseException) else error
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    position = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{position}"


def print_failures(failed: Mapping[str, str]) -> None:
    """Print a line on stderr for each job that failed, as `run_jobs` returned it."""
    for name, message in failed.items():
        echo(f"{name}: {message}", err=True)


@contextmanager
def locked(folder: Path, command: str) -> Iterator[None]:
    """Lock a folder for a command; another would take unfinished files for leftovers.

    Raises:
        InputError: Another process is at work there, or it is no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(f"{folder}: expected a folder to work in, got: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{folder}: another `{command}` is at work there") from error
        yield
