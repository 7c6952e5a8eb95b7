"""What memgate wrote before its packages moved is still read, with the same results.

``tests/stores/before_house.tar.xz`` was written by the sources at commit ed0d81d: two fits of a GRU
of 4 units on 8,000 items of the grammar (seeds 0 and 1), promotions and rollbacks, an exported
folder, and 200 items. Checkpoints and figures were removed. The numbers below are what those
sources computed from it.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import memgate
from memgate.cli import main
from memgate.gates.drift import profile_hash, read_profile
from memgate.tracking.registry.origin import origin_of
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect

ARCHIVE = Path(__file__).parents[2] / "stores" / "before_house.tar.xz"
NAME = "memgate-gru-synthetic"
CHAMPION = f"models:/{NAME}@champion"
TEXTS = [
    "the cat",
    "the cats near the dog",
    "a boy who the girls saw",
    "the dogs that the girl by the cars likes",
]
P_PLURAL = [0.042740438133478165, 0.9351109266281128, 0.12585873901844025, 0.6341041326522827]
"""Of the champion, version 2."""
WRITE = [0.25922101736068726, 0.15938973426818848, 0.03577089309692383]
"""Of its unit 0:2 at the first words of "the cats near …"."""
PROFILE_HASH = "c92336f269529a3d25e07dbbf4263cbfb137ce2724b4a4b0e2532ed852d7b4a3"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``mlruns``, the folder ``exported`` and ``items.jsonl``."""
    with tarfile.open(ARCHIVE) as archive:
        if hasattr(tarfile, "data_filter"):  # from Python 3.11.4 on, and later ones warn without
            archive.extractall(tmp_path, filter="data")
        else:
            archive.extractall(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path / "before_house")
    return tmp_path / "before_house"


def close(values: object, expected: list[float]) -> bool:
    """Float32 on another processor differs by 1e-7 at most."""
    return np.allclose(np.asarray(values), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", ["exported", CHAMPION, f"models:/{NAME}/2"])
def test_predictions(old: Path, model: str) -> None:
    assert close(memgate.load(model).predict(TEXTS), P_PLURAL)


def test_the_copied_code_of_a_registered_model_runs(old: Path) -> None:
    connect()
    model = mlflow.pyfunc.load_model(CHAMPION)
    frame = pd.DataFrame({"prefix": TEXTS})
    plain = model.predict(frame)
    assert list(plain.columns) == ["number", "probability", "p_plural"]
    assert plain["number"].tolist() == ["singular", "plural", "singular", "plural"]
    assert close(plain["p_plural"], P_PLURAL)
    gates = model.predict(frame, params={"gates": True})["gates"][1]
    assert gates["words"] == gates["read"] == TEXTS[1].split()
    assert list(gates["units"]) == ["0:2", "0:3", "0:1"]
    assert close(gates["units"]["0:2"]["write"][:3], WRITE)
    assert close(gates["units"]["0:2"]["keep"][:3], [1 - write for write in WRITE])
    first = mlflow.pyfunc.load_model(f"models:/{NAME}/1")
    with pytest.raises(mlflow.MlflowException, match="no number units are known of this model"):
        first.predict(frame, params={"gates": True})
    with pytest.raises(mlflow.MlflowException, match=r"row 0: verb_idx: expected 1 to 2, .* got 9"):
        first.predict(pd.DataFrame({"text": ["the cat"], "verb_idx": [9]}))


def test_gate_profiles(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare-gates", f"models:/{NAME}/1", "exported"]) == 0
    assert "69 of 210 means differ beyond sampling error" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["exported", CHAMPION])
def test_evaluate(old: Path, model: str) -> None:
    assert main(["evaluate", model, "--data", "items.jsonl", "--out", "out"]) == 0
    table = pd.read_csv("out/accuracy.csv")
    overall = table[table["by"] == "overall"]
    network = overall[overall["system"] == "network"]
    assert network[["n", "correct"]].to_numpy().tolist() == [[200, 185]]
    assert len(overall) == 7, "with its six baselines"


def test_what_lies_alongside_a_model(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("exported", CHAMPION):
        folder = model_folder(model)
        assert profile_hash(read_profile(folder / "profile.parquet")) == PROFILE_HASH
        run = origin_of(folder)
        assert run is not None
        assert (run.name, run.commit[:7]) == ("gru-synthetic-seed1", "ed0d81d")
    assert main(["compare", f"models:/{NAME}/1", "exported", "--out", "out"]) == 0
    (overall, *_) = pd.read_csv("out/paired.csv").to_dict("records")
    assert [overall[name] for name in ("n", "only_a", "only_b")] == [400, 10, 53]


def test_the_record_of_champions(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", NAME]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2:] for line in lines[2:-1]] == [
        ["1", "–", "registered"],
        ["2", "1", "promoted"],
        ["1", "2", "put", "back", "two", "seeds", "are", "few"],
        ["2", "1", "forced", "it", "fits"],
        ["1", "2", "put", "back"],
        ["2", "1", "promoted"],
    ]
    assert lines[2].split()[:2] == ["2026-12-01", "02:40:07"]
    assert lines[-1] == "now it is version 2"
    assert main(["rollback", NAME]) == 0
    assert main(["promote", NAME, "2"]) == 0
    assert main(["history", NAME]) == 0
    assert len(capsys.readouterr().out.splitlines()) > len(lines), "the record goes on"


def test_nothing_in_the_archive_is_a_pickle_or_names_a_user() -> None:
    with tarfile.open(ARCHIVE) as archive:
        for member in archive.getmembers():
            assert (member.uid, member.gid) == (0, 0)
            stream = archive.extractfile(member)
            assert stream is None or not stream.read(1).startswith(b"\x80"), member.name
