"""Jobs on a Ray cluster: as `memgate.commands.jobs`, but on several machines."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from memgate.commands.jobs import THREADS, Job, JobProgress, line_of, told
from memgate.errors import InputError

PASSED_ON = ("MEMGATE_DATA", "MLFLOW_TRACKING_URI", "HF_HOME", "HF_DATASETS_CACHE")
"""Variables of the environment that the workers get too."""


def run_on_ray(
    work: Callable[[Job], object],
    jobs: Mapping[str, Job],
    address: str,
    progress: JobProgress,
) -> dict[str, str]:
    """Run jobs on a Ray cluster, one core each, as many at a time as it has cores.

    Every machine needs memgate and the data under the same paths. Where the tracking URI is a file,
    the workers must share it: they work in this folder.

    Args:
        work: A function of a module.
        jobs: What it is given, by name.
        address: Of the cluster: ``auto`` for the one on this machine, ``HOST:PORT``, ``ray://…``.
        progress: Is told of every job that begins and ends; entered.

    Returns:
        What went wrong, in one line, by the name of the job.

    Raises:
        InputError: Ray isn't installed, or there is no such cluster.
        KeyboardInterrupt: The user stopped it; the jobs are cancelled.
    """
    ray = _connected(address)
    try:
        return _run(ray, work, jobs, progress)
    finally:
        ray.shutdown()


def _run(
    ray: Any, work: Callable[[Job], object], jobs: Mapping[str, Job], progress: JobProgress
) -> dict[str, str]:
    folder = Path.cwd()

    def here(job: Job) -> str | None:
        os.chdir(folder)
        return told(work, job)

    remote = ray.remote(num_cpus=1, max_retries=0)(here)
    failed: dict[str, str] = {}
    waiting, running = deque(jobs.items()), dict[Any, str]()
    at_once = max(1, int(ray.cluster_resources().get("CPU", 1)))
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                name, job = waiting.popleft()
                running[remote.remote(job)] = name
                progress.began(name)
            (one,), _ = ray.wait(list(running), num_returns=1)
            name, error = running.pop(one), _error(ray, one)
            if error is not None:
                failed[name] = error
            progress.ended(name, error)
    except BaseException:
        for one in running:
            ray.cancel(one, force=True)
        raise
    return failed


def _error(ray: Any, one: Any) -> str | None:
    try:
        error: str | None = ray.get(one)
    except ray.exceptions.RayError as broken:  # its process or its machine is gone
        return line_of(broken)
    return error


def _connected(address: str) -> Any:
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise InputError("--ray: expected Ray; pip install 'memgate[ray]'") from error
    _require_listening(address)
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    variables |= dict.fromkeys(THREADS, "1")
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": variables},
            log_to_driver=False,
            logging_level="ERROR",
            ignore_reinit_error=True,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--ray {address}: expected a Ray cluster, got: {reason}") from error
    return ray


def _require_listening(address: str) -> None:
    """See that something listens where the cluster should be: Ray itself would wait for minutes.

    Raises:
        InputError: Nothing does.
    """
    host, _, port = address.rpartition("://")[2].partition(":")
    if address in ("auto", "local"):
        return
    try:
        with socket.create_connection((host, int(port)), timeout=10):
            return
    except (OSError, ValueError) as error:
        raise InputError(
            f"--ray {address}: expected auto or HOST:PORT of a Ray cluster, got: {error}"
        ) from error
