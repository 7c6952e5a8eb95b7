"""`memgate generate` writes what the grammar draws, in the exchange format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memgate.cli import main
from memgate.data.sources import jsonl
from memgate.data.sources.grammar import Grammar


def generate(*args: str, out: str = "data/items.jsonl") -> int:
    return main(["generate", "--out", out, *args])


def test_what_is_written_is_what_the_grammar_draws(empty: Path) -> None:
    assert generate("--items", "50", "--seed", "4", "--max-intervening", "9") == 0
    read = jsonl.read(["data/items.jsonl"])
    drawn = Grammar(1, 1, 50, max_intervening=9, seed=4).load()["test"]
    assert read.to_list() == drawn.to_list()
    first = json.loads(Path("data/items.jsonl").read_text().splitlines()[0])
    assert first["label"] in ("sg", "pl")


def test_a_name_that_ends_in_gz_is_gzipped(empty: Path) -> None:
    assert generate("--items", "5", out="items.jsonl.gz") == 0
    assert Path("items.jsonl.gz").read_bytes().startswith(b"\x1f\x8b")
    assert len(jsonl.read(["items.jsonl.gz"])) == 5


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--items", "0"], "--items: expected at least 1, got 0"),
        (["--max-intervening", "81"], "max_intervening"),
        (["--max-attractors", "-1"], "max_attractors"),
    ],
)
def test_numbers_out_of_range_are_told(
    args: list[str], told: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(*args) == 2
    assert told in capsys.readouterr().err
    assert not Path("data").exists()


def test_a_file_that_can_not_be_written_is_told(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("a file")
    assert generate("--items", "2", out="taken/items.jsonl") == 2
    assert "taken/items.jsonl: expected a file to write to" in capsys.readouterr().err
    Path("folder").mkdir()
    assert generate("--items", "2", out="folder") == 2
    assert {path.name for path in Path().iterdir()} == {"configs", "taken", "folder"}
