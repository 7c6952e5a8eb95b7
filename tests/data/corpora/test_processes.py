"""Workers end with their parent, however it ends, and leave Ctrl-C to it: real processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import psutil
import pytest

from memgate.data.corpora.processes import submit, workers

HEAVY = "{'numpy', 'torch', 'datasets', 'pandas', 'pyarrow', 'lightning', 'mlflow'}"


def test_work_is_done_in_other_processes_that_imported_nothing_heavy() -> None:
    with workers(1) as pool:
        assert submit(pool, os.getpid).result() != os.getpid()
        assert submit(pool, divmod, 17, 5).result() == (3, 2)
        heavy = f"sorted({HEAVY} & set(__import__('sys').modules))"
        assert submit(pool, eval, heavy).result() == []
        with pytest.raises(ZeroDivisionError):  # which spoils nothing
            submit(pool, divmod, 1, 0).result()
        assert submit(pool, len, "abc").result() == 3
    assert multiprocessing.active_children() == []


def fail_beside_long_work() -> None:
    with workers(2) as pool:
        for _ in range(3):
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


def test_a_process_that_dies_breaks_the_pool() -> None:
    with pytest.raises(BrokenProcessPool), workers(1) as pool:
        submit(pool, os._exit, 3).result()
    assert multiprocessing.active_children() == []


class Interrupted(Executor):
    """Is sent Ctrl-C while it takes work, as if one pressed it while a process starts."""

    taken = 0

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # Python's handlers run between instructions
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())  # children inherit it
        self.taken += 1
        return Future()


def test_ctrl_c_is_put_off_while_work_is_handed_over() -> None:
    before = signal.getsignal(signal.SIGINT)
    executor = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        submit(executor, print)
    assert executor.taken == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_work_can_be_handed_over_by_another_thread() -> None:
    with ThreadPoolExecutor(1) as thread, workers(1) as pool:
        future = thread.submit(submit, pool, len, "ab").result()
        assert future.result() == 2


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
    from memgate.data.corpora.processes import submit, workers
    with workers(2) as pool:
        for future in [submit(pool, work, number) for number in range(4)]:
            future.result()
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
        _, told = parent.communicate(timeout=20)
        assert parent.returncode == -sent
        assert until(lambda: session(parent.pid) == [])
    finally:
        for pid in session(parent.pid):
            os.kill(pid, signal.SIGKILL)
    assert told.count("KeyboardInterrupt") == (sent == signal.SIGINT)  # the parent's, and no other
    assert not list(tmp_path.glob("working-[23]"))  # what waited never began
