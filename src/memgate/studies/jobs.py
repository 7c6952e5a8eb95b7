"""Jobs in parallel processes: what fails is reported, and stops none of the others.

It knows nothing of what the jobs do and imports nothing heavy: a worker imports this first.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from memgate.data.corpora.processes import submit, workers
from memgate.errors import InputError

Job = TypeVar("Job")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What numerical libraries read when they are first imported; one thread a process."""

DIED = "its process ended without a word; was it killed, or was there too little memory?"


class JobProgress:
    """Draws a bar over all jobs in a terminal, or a line a job in a log.

    Args:
        total: How many jobs there are.
        console: Where to; its kind decides between bar and lines.
        done: How many were done before.
    """

    def __init__(self, total: int, console: Console, done: int = 0) -> None:
        self.total, self.done = total, done
        self._running: list[str] = []
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=600,  # s: jobs take half a minute each, the default is 30
        )

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task("starting", total=self.total, completed=self.done)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def began(self, name: str) -> None:
        """Say that a job is at work."""
        self._running.append(name)
        self._tell()

    def lost(self, name: str) -> None:
        """Say that a job is no longer at work and will be begun once more."""
        self._running.remove(name)
        self._tell()

    def ended(self, name: str, error: str | None) -> None:
        """Say that a job ended, and how where it failed."""
        self.done += 1
        self._running.remove(name)
        self._tell()
        if not self._console.is_terminal:
            told = f" failed: {error}" if error else ""
            self._console.print(f"[{self.done}/{self.total}] {name}{told}", markup=False)

    def _tell(self) -> None:
        left = self.total - self.done - len(self._running)
        running = escape(", ".join(self._running)) or "none"
        told = f"running: {running}; waiting: {left}"
        self._bar.update(self._task, completed=self.done, description=told)


def run_jobs(
    work: Callable[[Job], object],
    jobs: Mapping[str, Job],
    processes: int,
    progress: JobProgress,
) -> dict[str, str]:
    """Run jobs in processes of their own, each of which takes one job after the other.

    What a worker has loaded stays for its next job, in variables of the module of `work`. Jobs
    begin in their order, so put long ones first. Ctrl-C ends the workers at once, and so does the
    end of this process: a job writes its result whole or not at all.

    Where a process dies, nobody knows which of the jobs at work was at fault: each is begun once
    more and alone, and the one that dies again failed. So a job must bear to be begun twice.

    Args:
        work: A function of a module, so that a process can import it.
        jobs: What it is given, by name.
        processes: How many at a time.
        progress: Is told of every job that ends; entered.

    Returns:
        What went wrong, in one line, by the name of the job; empty if nothing did.

    Raises:
        KeyboardInterrupt: The user stopped it.
    """
    failed: dict[str, str] = {}
    waiting = deque(jobs.items())
    while waiting:  # more than once only where a process died: a pool doesn't outlive that
        for one in _run_pool(work, waiting, processes, progress, failed):
            _run_pool(work, deque([one]), 1, progress, failed)
    return failed


def _run_pool(
    work: Callable[[Job], object],
    waiting: deque[tuple[str, Job]],
    processes: int,
    progress: JobProgress,
    failed: dict[str, str],
) -> list[tuple[str, Job]]:
    """Run jobs until none waits or a process dies; return those that ran then, if several did."""
    running: dict[Future[str | None], tuple[str, Job]] = {}
    lost: list[tuple[str, Job]] = []
    alive = True
    with workers(min(processes, len(waiting)), _one_thread) as pool:
        while running or (alive and waiting):
            # No more than run at once: what died with a process is then known.
            while alive and waiting and len(running) < processes:
                name, job = waiting.popleft()
                try:
                    running[submit(pool, told, work, job)] = name, job
                    progress.began(name)
                except BrokenProcessPool:  # a process died since the last look
                    waiting.appendleft((name, job))
                    alive = False
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, job = running.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    lost.append((name, job))
                    alive = False
                else:
                    wrong = future.result() if error is None else line_of(error)
                    failed |= {name: wrong} if wrong else {}
                    progress.ended(name, wrong)
    if len(lost) == 1:
        name, _ = lost.pop()
        failed[name] = DIED
        progress.ended(name, DIED)
    for name, _ in lost:
        progress.lost(name)
    return lost


def _one_thread() -> None:
    os.environ.update(dict.fromkeys(THREADS, "1"))


def told(work: Callable[[Job], object], job: Job) -> str | None:
    """Do a job; return in one line what went wrong, as not every exception can be sent."""
    try:
        work(job)
    except (Exception, SystemExit) as error:  # whatever it is, the other jobs go on
        return line_of(error)
    return None


@contextmanager
def unwarned() -> Iterator[None]:
    """Log no warnings within: each job would say the same, over the bar."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def line_of(error: BaseException) -> str:
    """Say an error in one line; of one that isn't the user's also where it came up."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"


def tell_failures(failed: Mapping[str, str]) -> None:
    """Say on stderr what failed: a line for each job, as `run_jobs` returned it."""
    for name, error in failed.items():
        print(f"{name}: {error}", file=sys.stderr)


def processes_of(asked: int | None) -> int:
    """Return how many processes to run: as many as asked, or as there are cores.

    Raises:
        InputError: It is below 1.
    """
    if asked is not None and asked < 1:
        raise InputError(f"--jobs: expected at least 1 process, got {asked}")
    return asked or os.cpu_count() or 1


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Keep a folder to this process: another would take what is half done for left over.

    Args:
        folder: Is made if need be.
        what: The command, for the message.

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
            raise InputError(f"{folder}: another `{what}` is at work there") from error
        yield
