"""Jobs in other processes: `ProcessPool` on this machine, `RayPool` on a cluster, `completed`.

It imports nothing heavy, because every worker imports it first.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from memgate.errors import InputError

JobT = TypeVar("JobT")
Result = TypeVar("Result")

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Variables that numerical libraries read when they are imported: one thread a worker."""

PASSED_ON = re.compile("MEMGATE_DATA$|(MLFLOW|AWS|GOOGLE|AZURE)_")
"""Names of variables that a job on Ray gets: where the data are, and what MLflow's store needs.

The store may need an account (``MLFLOW_TRACKING_USERNAME``) and keys of S3, Google's or Azure's
storage. They are arguments of the job, because Ray writes its ``runtime_env`` to its logs.
"""


GRACE = 20
"""Seconds that processes have to end by themselves after an exception; a fit takes one or two."""


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ProcessPool:
    """Processes of this machine that are started when needed and do one job after the other.

    They leave Ctrl-C to this process and end with it, even if it is killed. A process that dies
    fails its own job with `BrokenProcessPool`; the others go on. Use the pool in a ``with`` block:
    an exception ends the processes, by SIGTERM and after `GRACE` seconds by SIGKILL.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        # A process that dies breaks its whole executor, so each has a single one.
        self._latest: dict[ProcessPoolExecutor, Future[Any]] = {}
        self._foreign = set(multiprocessing.active_children())

    def __str__(self) -> str:
        """Return where the jobs run, for messages."""
        return f"in {self.workers} processes"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is not None:
            processes = set(multiprocessing.active_children()) - self._foreign
            for process in processes:
                process.terminate()  # a fit ends its run as KILLED
            _wait_for_all(processes, GRACE)
            for process in processes:
                process.kill()
        for executor in self._latest:
            executor.shutdown(cancel_futures=True)

    def submit(
        self,
        name: str,  # noqa: ARG002  # RayPool shows it
        work: Callable[..., Result],
        *arguments: Any,
    ) -> Future[Result]:
        """Start a job, a function of a module, in a free process; wait for one if all are busy."""
        if len(self._latest) >= self.workers:
            wait(self._latest.values(), return_when=FIRST_COMPLETED)
        for executor, latest in list(self._latest.items()):
            if latest.done():
                try:
                    self._latest[executor] = future = executor.submit(work, *arguments)
                except BrokenProcessPool:  # it died while it was idle
                    executor.shutdown()
                    del self._latest[executor]
                else:
                    return future
        context = multiprocessing.get_context("spawn")  # a fork copies the locks of torch and Arrow
        # Outside of the block: it starts multiprocessing's resource tracker, which unblocks SIGINT.
        executor = ProcessPoolExecutor(1, context, _begin_worker)
        with _interrupt_deferred():
            self._latest[executor] = future = executor.submit(work, *arguments)
        return future


def _wait_for_all(processes: Iterable[BaseProcess], seconds: float) -> None:
    """Wait until processes have ended; `join` doesn't notice if the executor was told first."""
    running, deadline = {process.sentinel for process in processes}, time.monotonic() + seconds
    while running and time.monotonic() < deadline:
        running.difference_update(connection.wait([*running], deadline - time.monotonic()))


@contextmanager
def _interrupt_deferred() -> Iterator[None]:
    """Defer Ctrl-C while a process starts, and let the process ignore it.

    Else Ctrl-C would leave a process behind that is half started. Children inherit the signal mask
    of the thread; Python's handler runs in the main thread, whichever thread gets the signal.
    """
    interrupts: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        handler = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_main:
            signal.signal(signal.SIGINT, handler)
        if interrupts:
            signal.raise_signal(signal.SIGINT)


def _begin_worker() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(ONE_THREAD)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


class RayPool:
    """The cores of a Ray cluster, one for each job.

    Every machine needs memgate, this working directory and the data under the same paths, and the
    files that variables of `PASSED_ON` name. The jobs work in that directory, so that on this
    machine they share its sqlite store. The address is ``auto`` for the cluster on this machine,
    ``HOST:PORT`` or ``ray://…``. Use the pool in a ``with`` block: an exception cancels the jobs.

    Raises:
        InputError: (when the block is entered) Ray isn't installed, or there is no such cluster.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._tasks: dict[Future[Any], Any] = {}

    def __str__(self) -> str:
        """Return where the jobs run, for messages."""
        return f"on Ray at {self.address}"

    def __enter__(self) -> Self:
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise InputError("--ray: expected Ray; pip install 'memgate[ray]'") from error
        # libraries of Hugging Face read these when they are imported
        caches = {
            key: os.environ[key] for key in ("HF_HOME", "HF_DATASETS_CACHE") if key in os.environ
        }
        try:
            if self.address not in ("auto", "local"):  # Ray would wait for minutes
                host, _, port = self.address.rpartition("://")[2].partition(":")
                socket.create_connection((host, int(port)), timeout=10).close()
            self._ray.init(
                address=self.address,
                runtime_env={"env_vars": {**caches, **ONE_THREAD}},
                log_to_driver=False,
                logging_level="ERROR",
                ignore_reinit_error=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"--ray {self.address}: expected auto or HOST:PORT of a Ray cluster, got: {reason}"
            ) from error
        variables = {key: value for key, value in os.environ.items() if PASSED_ON.match(key)}
        self._environment = Path.cwd(), variables
        self._remote = self._ray.remote(num_cpus=1, max_retries=0)(_on_ray_worker)
        self.workers = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is not None:
                for task in self._running().values():
                    self._ray.cancel(task, force=True)
        finally:
            self._ray.shutdown()

    def submit(self, name: str, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start a job on the cluster; Ray's own tools list it by its name."""
        task = self._remote.options(name=name).remote(*self._environment, work, arguments)
        future: Future[Result] = task.future()
        self._tasks = {**self._running(), future: task}
        return future

    def _running(self) -> dict[Future[Any], Any]:
        return {future: task for future, task in self._tasks.items() if not future.done()}

    def other_machines(self) -> list[str]:
        """Return the names and addresses of the cluster's machines that aren't this one."""
        addresses = {item.address for items in psutil.net_if_addrs().values() for item in items}
        # The name counts too: every machine has a 127.0.0.1, and many containers a 172.17.0.2.
        name = socket.gethostname()
        nodes = [
            (node["NodeManagerHostname"], node["NodeManagerAddress"])
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        return [f"{host} ({at})" for host, at in nodes if host != name or at not in addresses]


Pool = ProcessPool | RayPool


def _on_ray_worker(
    folder: Path, variables: dict[str, str], work: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    for name in ("MEMGATE_DATA", "MLFLOW_TRACKING_URI"):  # the command's, or none
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        os.chdir(folder)
    except OSError as error:
        machine = socket.gethostname()
        raise InputError(f"{machine}: expected the folder of the command, got: {error}") from error
    return work(*arguments)


def completed(
    pool: Pool,
    work: Callable[[JobT], Result],
    jobs: Iterable[tuple[str, JobT]],
    on_start: Callable[[str], object] | None = None,
) -> Iterator[tuple[str, JobT, Future[Result]]]:
    """Run jobs, as many at a time as the pool has workers, and yield each when it has ended.

    Jobs begin in their order, so put long ones first. One is only taken from `jobs` when a worker
    is free for it. A worker keeps what a job loaded in variables of the module of `work`.

    Args:
        pool: Where they run; entered.
        work: A function of a module.
        jobs: The name and the argument of each.
        on_start: Is called with the name of every job that begins.

    Yields:
        The name, the argument, and the future, which has a result or an exception.
    """
    waiting = iter(jobs)
    running: dict[Future[Result], tuple[str, JobT]] = {}
    while True:
        for name, job in islice(waiting, pool.workers - len(running)):
            running[pool.submit(name, work, job)] = name, job
            if on_start is not None:
                on_start(name)
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield *running.pop(future), future
