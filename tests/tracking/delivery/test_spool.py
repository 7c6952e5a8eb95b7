from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.errors import InputError
from memgate.tracking.delivery.spool import Spool, folders

ABOUT = {"run": "toy", "store": "sqlite:///mlruns/mlflow.db"}


def point(number: int) -> dict[str, object]:
    return {"key": "loss", "value": number / 3, "timestamp": number, "step": number}


def released(folder: Path) -> Spool:
    again = Spool.open(folder)
    assert again is not None
    return again


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 5)),
            st.tuples(st.just("send"), st.integers(1, 4)),
            st.tuples(st.just("put"), st.integers(0, 2)),
            st.tuples(st.just("drop"), st.just(0)),
            st.tuples(st.just("close"), st.just(0)),
        )
    )
)
def test_everything_comes_out_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("spool") / "f00"
    spool = Spool.create(folder, ABOUT)
    added, sent, put, dropped = 0, list[int](), 0, list[int]()
    for what, count in steps:
        if what == "add":
            spool.add_metrics([point(number) for number in range(added, added + count)])
            added += count
        elif what == "send":
            found, place = spool.next_metrics(count)
            sent += [metric["step"] for metric in found]
            spool.mark_delivered(place)
        elif what == "put":
            spool.add_item("files", {"n": put}, {"a/b.txt": lambda path: path.write_text("x")})
            put += 1
        elif what == "drop":
            for item in list(spool.items())[:1]:
                assert (item.files / "a/b.txt").read_text() == "x"
                dropped.append(item.values["n"])
                spool.remove(item)
        else:
            spool.close()
            assert folder.exists() == (len(sent) < added or len(dropped) < put)
            spool = released(folder) if folder.exists() else Spool.create(folder, ABOUT)
            assert spool.about() == ABOUT
    found, place = spool.next_metrics(1000)
    assert sent + [metric["step"] for metric in found] == list(range(added))
    assert dropped + [item.values["n"] for item in spool.items()] == list(range(put))
    spool.mark_delivered(place)
    for item in spool.items():
        spool.remove(item)
    spool.close()
    assert list(folder.parent.iterdir()) == []


def test_what_waits(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "f00", ABOUT)
    assert spool.pending() == ""
    spool.add_metrics([point(0), point(1)])
    spool.add_item("model", {})
    spool.add_item("end", {})
    assert spool.pending() == "2 metrics, model, end"
    spool.mark_delivered(spool.next_metrics(1)[1])
    assert spool.pending() == "1 metric, model, end"
    spool.close()


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "f00", ABOUT)

    def fail(path: Path) -> None:
        path.write_text("half")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        spool.add_item("files", {}, {"x.txt": fail})
    assert list(spool.items()) == []
    assert spool.add_item("files", {}, {"y.txt": lambda path: path.write_text("whole")}) == 1
    (item,) = spool.items()
    assert [path.name for path in item.files.iterdir()] == ["y.txt"]
    spool.close()


def test_a_line_cut_off_is_dropped(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "f00", ABOUT)
    spool.add_metrics([point(0)])
    spool.close()
    with (tmp_path / "f00" / "metrics.jsonl").open("a") as file:
        file.write('{"key": "lo')
    again = released(tmp_path / "f00")
    again.add_metrics([point(1)])
    assert again.next_metrics(10)[0] == [point(0), point(1)]
    again.close()


HOLD = """
import os, signal, sys
from pathlib import Path
from memgate.tracking.delivery.spool import Spool
spool = Spool.create(Path("mlruns/spool/f00"), {"run": "held", "store": "x"})
spool.add_metrics([{"key": "loss", "value": float("nan"), "timestamp": 1, "step": 0}])
print("held", flush=True)
sys.stdin.read()
"""


def test_only_one_process_has_it_and_kill_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders() == []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        (folder,) = folders()
        assert Spool.open(folder) is None
        process.kill()
    spool = released(folder)
    assert Spool.open(folder) is None  # nor does this process take it twice
    (metric,) = spool.next_metrics(10)[0]
    assert metric["value"] != metric["value"]
    spool.mark_delivered(spool.next_metrics(10)[1])
    spool.close()
    assert folders() == []
    assert Spool.open(folder) is None


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path / "f00", ABOUT)
    (tmp_path / "f00" / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"f00/run\.json: expected an object with run, store, got"):
        spool.about()
    spool.close()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("metrics.jsonl", '{"key": "lo{"key": "loss"}\n'),
        ("metrics.jsonl", '{"key": "loss", "value": 1.5}\n'),
        ("sent", "x"),
        ("0001/item.json", ""),
        ("0001/item.json", "[]"),
    ],
)
def test_damaged_contents_are_named_and_kept(tmp_path: Path, file: str, text: str) -> None:
    spool = Spool.create(tmp_path / "f00", ABOUT)
    spool.add_metrics([point(0)])
    spool.add_item("tags", {"a": "b"})
    (tmp_path / "f00" / file).write_text(text)
    with pytest.raises(InputError, match=rf"f00/{file}: expected "):
        _ = spool.next_metrics(9), list(spool.items())
    spool.close()
    assert (tmp_path / "f00" / file).read_text() == text


FULL = """
import resource, signal, sys
from pathlib import Path
from memgate.tracking.delivery.spool import Spool
spool = Spool.create(Path("f00"), {"run": "full", "store": "x"})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # a disk with 1,000 bytes left
points = [{"key": "loss", "value": 0.5, "timestamp": 1, "step": step} for step in range(9)]
spool.add_metrics(points)
try:
    spool.add_metrics(points)
except OSError as error:
    print(error.strerror, end="; ")
spool.add_metrics(points[:1])
print(len(spool.next_metrics(99)[0]))
spool.close()
"""


def test_a_full_disk_cuts_no_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "File too large; 10\n"
