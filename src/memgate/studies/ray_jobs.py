"""Jobs on a Ray cluster: as `memgate.studies.jobs`, but on several machines."""

from __future__ import annotations

import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil

from memgate.errors import InputError
from memgate.studies.jobs import THREADS, Job, JobProgress, line_of, told
from memgate.tracking.store import store_name, tracking_uri

READ_AT_IMPORT = ("HF_HOME", "HF_DATASETS_CACHE")
"""Variables that Ray sets for the workers, as libraries read them when they are imported."""

SAME = ("MEMGATE_DATA", "MLFLOW_TRACKING_URI")
"""Variables that a job has as this process has them, or not at all."""

PASSED_ON = re.compile(f"({'|'.join(SAME)})$|(MLFLOW|AWS|GOOGLE|AZURE)_")
"""Names of variables that a job sets: where the data are, and what MLflow needs for its store.

That is an account at its server (``MLFLOW_TRACKING_USERNAME``, ``…_TOKEN``) and, where clients
write artifacts to a store themselves, the keys of S3, Google's or Azure's storage; all are read at
the first request. They go with the job and not by Ray's ``runtime_env``, which stands in its logs.
"""

HOST = re.compile(r"://(?:[^/@]*@)?(\[[^\]]*\]|[^:/?#]+)")
LOOPBACK = re.compile(r"localhost$|127\.|0\.0\.0\.0$|\[::1?\]$")


def run_on_ray(
    work: Callable[[Job], object],
    jobs: Mapping[str, Job],
    address: str,
    progress: JobProgress,
) -> dict[str, str]:
    """Run jobs on a Ray cluster, one core each, as many at a time as it has cores.

    Every machine needs memgate, this working directory and the data under the same paths, and the
    files that variables of `PASSED_ON` name. The jobs work in that directory, so that on this
    machine they share its sqlite store; what waits for a server lies there too.

    Args:
        work: A function of a module.
        jobs: What it is given, by name.
        address: Of the cluster: ``auto`` for the one on this machine, ``HOST:PORT``, ``ray://…``.
        progress: Is told of every job that begins and ends; entered.

    Returns:
        What went wrong, in one line, by the name of the job.

    Raises:
        InputError: Ray isn't installed, there is no such cluster, or its machines can't share the
            store.
        KeyboardInterrupt: The user stopped it; the jobs are cancelled.
    """
    with _connected(address) as ray:
        return _run(ray, work, jobs, progress)


def on_this_machine(address: str) -> bool:
    """Say whether all machines of a Ray cluster are this one.

    Raises:
        InputError: As `run_on_ray` says.
    """
    with _connected(address) as ray:
        return not _elsewhere(ray)


def _elsewhere(ray: Any) -> list[str]:
    """Return the names and addresses of the cluster's machines that aren't this one."""
    own = {each.address for several in psutil.net_if_addrs().values() for each in several}
    name = socket.gethostname()  # too: all have a 127.0.0.1, and many containers a 172.17.0.2
    nodes = [
        (node["NodeManagerHostname"], node["NodeManagerAddress"])
        for node in ray.nodes()
        if node["Alive"]
    ]
    return [f"{host} ({at})" for host, at in nodes if host != name or at not in own]


def _require_shared(ray: Any, address: str) -> None:
    """See that all machines reach the store, which is no file and no server on loopback.

    Raises:
        InputError: One can't.
    """
    host = HOST.search(tracking_uri())
    others = _elsewhere(ray)
    if others and (host is None or LOOPBACK.match(host[1])):
        raise InputError(
            f"--ray {address}: expected MLFLOW_TRACKING_URI=http://… of a server that "
            f"{others[0]} reaches too, got {store_name()}"
        )


def _run(
    ray: Any, work: Callable[[Job], object], jobs: Mapping[str, Job], progress: JobProgress
) -> dict[str, str]:
    folder = Path.cwd()
    variables = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}

    def here(job: Job) -> str | None:
        for name in SAME:
            os.environ.pop(name, None)
        os.environ.update(variables)
        try:
            os.chdir(folder)
        except OSError as error:
            return f"{socket.gethostname()}: expected the folder of the command, got: {error}"
        return told(work, job)

    remote = ray.remote(num_cpus=1, max_retries=0)(here)
    failed: dict[str, str] = {}
    waiting, running = deque(jobs.items()), dict[Any, str]()
    at_once = max(1, int(ray.cluster_resources().get("CPU", 1)))
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                name, job = waiting.popleft()
                running[remote.options(name=name).remote(job)] = name
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


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise InputError("--ray: expected Ray; pip install 'memgate[ray]'") from error
    _require_listening(address)
    variables = {name: os.environ[name] for name in READ_AT_IMPORT if name in os.environ}
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
    try:
        _require_shared(ray, address)
        yield ray
    finally:
        ray.shutdown()


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
