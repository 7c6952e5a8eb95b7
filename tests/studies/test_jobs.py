"""Jobs in parallel processes. The jobs here are lines of Python: `exec` is importable anywhere."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from memgate.errors import InputError
from memgate.pool import ProcessPool, available_cores
from memgate.studies.jobs import DIED, attempt, process_pool, run_jobs

pytestmark = pytest.mark.processes


def ran(jobs: dict[str, str], processes: int) -> dict[str, str]:
    """Return what failed."""
    with ProcessPool(processes) as pool:
        return run_jobs(pool, exec, jobs)


def writing(path: Path, what: str) -> str:
    return f"import os, pathlib; pathlib.Path({str(path)!r}).write_text(str({what}))"


def test_what_fails_is_reported_and_the_others_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = ran(
        {
            "divides": "1 / 0",
            "wrong": "from memgate.errors import InputError; raise InputError('a\\nb')",
            "exits": "raise SystemExit(4)",
            "one": writing(tmp_path / "one", "os.getpid()"),
            "two": writing(tmp_path / "two", "os.environ['OMP_NUM_THREADS']"),
        },
        processes=2,
    )
    assert failed.pop("divides").startswith("ZeroDivisionError: division by zero (<string>:1)")
    assert failed.pop("wrong") == "a b"
    assert failed.pop("exits").startswith("SystemExit: 4")
    assert not failed
    assert int((tmp_path / "one").read_text()) != os.getpid()
    assert (tmp_path / "two").read_text() == "1"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("]")[0] for line in lines] == [f"[{n}/5" for n in range(1, 6)]
    assert any("divides failed: ZeroDivisionError" in line for line in lines)


def test_a_process_that_dies_takes_its_own_job_only(tmp_path: Path) -> None:
    jobs = {f"{n}": writing(tmp_path / f"{n}", "''") for n in range(3)}
    failed = ran({"dies": "import os; os._exit(3)", **jobs}, processes=1)
    assert failed == {"dies": DIED}
    assert {path.name for path in tmp_path.iterdir()} == set(jobs)


def test_warnings_are_not_logged_within_a_job(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("memgate.test")

    def job(message: str) -> None:
        logger.warning("within")
        raise ValueError(message)

    message = attempt(job, "by the way").error
    assert message is not None
    assert message.startswith("ValueError: by the way (test_jobs.py:")
    logger.warning("afterwards")
    assert caplog.messages == ["afterwards"]


def test_a_job_alongside_one_that_dies_is_begun_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alongside = (
        "import pathlib, time\n"
        f"pathlib.Path({str(tmp_path)!r}, str(time.monotonic_ns())).touch()\n"
        "time.sleep(2)\n"
        f"pathlib.Path({str(tmp_path / 'done')!r}).touch()"
    )
    dies = (
        "import os, pathlib, time\n"
        f"while not any(pathlib.Path({str(tmp_path)!r}).iterdir()): time.sleep(0.01)\n"
        "os._exit(3)"
    )
    assert ran({"dies": dies, "alongside": alongside}, processes=2) == {"dies": DIED}
    assert (tmp_path / "done").exists()
    assert len(list(tmp_path.iterdir())) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"[1/2] dies failed: {DIED}", "[2/2] alongside"]


def test_a_worker_keeps_what_it_loaded(tmp_path: Path) -> None:
    add = "import builtins; builtins.kept = [*getattr(builtins, 'kept', []), 1]; "
    jobs = {f"{n}": add + writing(tmp_path / f"{n}", "len(builtins.kept)") for n in range(3)}
    assert ran(jobs, processes=1) == {}
    assert [(tmp_path / f"{n}").read_text() for n in range(3)] == ["1", "2", "3"]


PARENT = """
import sys
from memgate.pool import ProcessPool
from memgate.studies.jobs import run_jobs
job = f"import os, pathlib, time; pathlib.Path({sys.argv[1]!r}, str(os.getpid())).touch(); "
jobs = {str(n): job + "time.sleep(600)" for n in range(4)}
with ProcessPool(2) as pool:
    run_jobs(pool, exec, jobs)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and wasn't waited for (Z) doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], bool]) -> bool:
    """Wait up to 20 s until something is true."""
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(tmp_path: Path, sent: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert until(lambda: len(list(tmp_path.iterdir())) == 2)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        assert all(alive(pid) for pid in workers)
        parent.send_signal(sent)
        assert parent.wait(timeout=20) != 0
        assert until(lambda: not any(alive(pid) for pid in workers))
    finally:
        parent.kill()
        errors = parent.communicate()[1]
    if sent == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    assert len(list(tmp_path.iterdir())) == 2  # those that waited never began


def test_processes_are_as_many_as_asked_or_as_there_are_cores() -> None:
    assert process_pool(3).workers == 3
    assert process_pool(None).workers == available_cores()
    with pytest.raises(InputError, match="expected at least 1 process, got 0"):
        process_pool(0)
