"""Workers end with their parent, however it ends, and leave Ctrl-C to it: real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import psutil
import pytest

from memgate.pool import ProcessPool, available_cores, completed

pytestmark = pytest.mark.processes

HEAVY = "{'numpy', 'torch', 'datasets', 'pandas', 'pyarrow', 'lightning', 'mlflow'}"


def submit(pool: ProcessPool, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
    return pool.submit("a job", work, *arguments)


def test_work_is_done_in_other_processes_that_imported_nothing_heavy() -> None:
    with ProcessPool(1) as pool:
        assert submit(pool, os.getpid).result() != os.getpid()
        assert submit(pool, divmod, 17, 5).result() == (3, 2)
        heavy = f"sorted({HEAVY} & set(__import__('sys').modules))"
        assert submit(pool, eval, heavy).result() == []
        assert submit(pool, os.getenv, "OMP_NUM_THREADS").result() == "1"
        with pytest.raises(ZeroDivisionError):  # which spoils nothing
            submit(pool, divmod, 1, 0).result()
        assert submit(pool, len, "abc").result() == 3
    assert multiprocessing.active_children() == []


def fail_beside_long_work() -> None:
    with ProcessPool(2) as pool:
        for _ in range(2):
            submit(pool, time.sleep, 60)
        raise ValueError("by the way")


def test_a_failing_block_does_not_wait_for_the_work() -> None:
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    begun = time.monotonic()
    with pytest.raises(ValueError, match="by the way"):
        fail_beside_long_work()
    assert time.monotonic() - begun < 30
    assert multiprocessing.active_children() == [other]  # not the pool's, and left alone
    other.kill()
    other.join()


def test_a_process_that_dies_fails_its_own_job_only() -> None:
    jobs = [("dies", "__import__('os')._exit(3)"), *((f"{n}", f"{n}") for n in range(4))]
    outcomes = {}
    with ProcessPool(2) as pool:
        for name, _, future in completed(pool, eval, jobs):
            error = future.exception()
            outcomes[name] = error if error else future.result()
            time.sleep(0.3)  # a parent that is busy while its processes go on
    assert isinstance(outcomes.pop("dies"), BrokenProcessPool)
    assert outcomes == {f"{n}": n for n in range(4)}
    assert multiprocessing.active_children() == []


def test_an_idle_process_that_dies_is_replaced() -> None:
    with ProcessPool(1) as pool:
        pid = submit(pool, os.getpid).result()
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: not psutil.pid_exists(pid))
        time.sleep(0.2)
        assert submit(pool, os.getpid).result() != pid


def test_jobs_begin_in_their_order_and_no_more_than_run_are_taken() -> None:
    taken: list[int] = []
    started: list[str] = []

    def jobs() -> Iterator[tuple[str, int]]:
        for n in range(5):
            taken.append(n)
            yield f"{n}", n

    with ProcessPool(2) as pool:
        ends = enumerate(completed(pool, abs, jobs(), started.append))
        for ended, (_, job, future) in ends:
            assert future.result() == job
            assert len(taken) <= ended + pool.workers
    assert taken == [*range(5)]
    assert started == ["0", "1", "2", "3", "4"]


def test_ctrl_c_is_deferred_while_a_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def interrupted(*_: Any) -> Future[Any]:  # as if one pressed it while a process starts
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # Python's handlers run between instructions
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # children inherit it
        taken.append(1)
        return Future()

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        submit(ProcessPool(1), print)
    assert taken == [1]
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_jobs_can_be_submitted_by_another_thread() -> None:
    with ThreadPoolExecutor(1) as thread, ProcessPool(1) as pool:
        future = thread.submit(submit, pool, len, "ab").result()
        assert future.result() == 2


def test_the_cores_are_those_that_the_process_may_use() -> None:
    all_cores = os.sched_getaffinity(0)
    assert available_cores() == len(all_cores)
    os.sched_setaffinity(0, {min(all_cores)})
    try:
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, all_cores)


PARENT = """
import os, sys, time
from pathlib import Path

SECONDS, FOLDER = float(sys.argv[1]), Path(sys.argv[2])

def work(number):
    (FOLDER / f"working-{number}").touch()
    time.sleep(600)

if __name__ == "__mp_main__":  # a worker imports this before all else
    (FOLDER / f"starting-{os.getpid()}").touch()
    time.sleep(SECONDS)

if __name__ == "__main__":
    from memgate.pool import ProcessPool, completed
    with ProcessPool(2) as pool:
        for _ in completed(pool, work, [(str(number), number) for number in range(4)]):
            pass
"""


def until(true: Callable[[], bool]) -> bool:
    """Wait up to 20 s until something is true."""
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def session(leader: int) -> list[int]:
    """The processes of a session that still run, whoever is their parent by now."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getsid(process.pid) == leader and process.info["status"] != "zombie":
                found.append(process.pid)
        except ProcessLookupError:
            continue  # it ended meanwhile
    return found


@pytest.mark.parametrize(
    ("sent", "when", "seconds"),
    [
        (signal.SIGINT, "starting", 600),  # which isn't waited for
        (signal.SIGINT, "working", 0),
        (signal.SIGTERM, "starting", 1),  # then each sees that its parent is gone
        (signal.SIGTERM, "working", 0),
        (signal.SIGKILL, "starting", 1),
        (signal.SIGKILL, "working", 0),
    ],
)
def test_no_process_outlives_its_parent(
    tmp_path: Path, sent: signal.Signals, when: str, seconds: float
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    command = [sys.executable, str(script), str(seconds), str(tmp_path)]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert until(lambda: len(list(tmp_path.glob(f"{when}-*"))) == 2)
        running = session(parent.pid)
        assert len(running) >= 3
        if sent == signal.SIGINT:
            for pid in set(running) - {parent.pid}:
                os.kill(pid, sent)
            time.sleep(0.3)
            assert session(parent.pid) == running  # it is the parent's to answer
            os.killpg(parent.pid, sent)  # as a terminal does
        else:
            parent.send_signal(sent)
        _, errors = parent.communicate(timeout=20)
        assert parent.returncode == -sent
        assert until(lambda: session(parent.pid) == [])
    finally:
        for pid in session(parent.pid):
            os.kill(pid, signal.SIGKILL)
    assert errors.count("KeyboardInterrupt") == (
        sent == signal.SIGINT
    )  # the parent's, and no other
    assert not list(tmp_path.glob("working-[23]"))  # what waited never began
