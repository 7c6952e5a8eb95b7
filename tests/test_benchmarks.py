"""The benchmarks run, and their arithmetic is right; no test looks at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.growth import MACHINE, memory_ends_at, slopes
from benchmarks.loops import stacked_gates
from benchmarks.machine import Machine
from benchmarks.setting import mixed, prefixes
from benchmarks.table import Row, as_markdown, at_least, at_most, write_docs
from benchmarks.timing import Ratio, in_turns, ratio
from memgate.errors import InputError
from memgate.models.classifier import RECURRENCE
from memgate.models.trajectory import replay

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
MACHINE_AT_HAND = Machine("a machine", "cpu", 1, flops=100.0, copied=10.0)


@pytest.mark.processes
def test_the_whole_table_in_little(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench cpu -->\nold\n<!-- /bench cpu -->\nafter\n")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [*command, "--docs", str(page)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out/bench.json").read_text())
    rows = {row["key"]: row for row in report["rows"]}
    reads = [f"gates-{cell}-{units}" for units in (8, 16) for cell in ("lstm", "gru")]
    traces = [read.replace("gates", "trace") for read in reads]
    assert list(rows) == [
        "fit-lstm-50/trainer",
        "fit-lstm-50/bare",
        "fit-lstm-50/recipe",
        *(f"{read}/{other}" for read in reads for other in ("fused", "loop", "loop-counted")),
        *(f"{read}/{other}" for read in traces for other in ("fused", "loop")),
        *("memory", "evaluate", "grammar", "jsonl", "help", "explain"),
        *(("keystroke",) if shutil.which("chromium") else ()),
    ]
    for row in rows.values():
        assert row["ours"] > 0
        if row["ratio"] is not None:
            assert row["ratio"]["low"] <= row["ratio"]["median"] <= row["ratio"]["high"]
            assert (row["met"] is None) == (row["target"] is None)
    assert "weights of both differ by 0 at most" in rows["fit-lstm-50/bare"]["note"]
    table = (tmp_path / "out/bench.md").read_text()
    assert page.read_text() == f"before\n<!-- bench cpu -->\n{table}<!-- /bench cpu -->\nafter\n"
    listed = [line for line in table.splitlines() if line.startswith("| ")]
    assert len(listed) == len(rows) + 1
    assert all(line.count("|") == 9 for line in listed)


def test_actions_take_turns_and_warm_up_does_not_count() -> None:
    done: list[str] = []
    times = in_turns([lambda: done.append("a"), lambda: done.append("b")], 3, CPU, warm_up=1)
    assert "".join(done) == "baabbaab"
    assert [len(each) for each in times] == [3, 3]


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == Ratio(2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (at_least(CPU, 0.85, gpu=0.8), 0.84, False),
        (at_least(torch.device("cuda"), 0.85, gpu=0.8), 0.84, True),
        (at_most(CPU, 1.6), 1.6, True),
        (at_most(CPU, 1.6), 1.61, False),
    ],
)
def test_a_target_is_a_bound_from_below_or_above(target, value, met) -> None:  # type: ignore[no-untyped-def]
    row = Row("key", "what", "other", "s", 1.0, 1.0, Ratio(value, value, value), target)
    assert row.met is met
    assert row.cells()[6] == ("yes" if met else "no")


def test_the_floor_adds_operations_and_bytes() -> None:
    assert MACHINE_AT_HAND.floor(50, moved=20) == pytest.approx(2.5)


def test_a_page_without_a_place_for_the_table_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench cpu -->\n")
    table = as_markdown([], MACHINE_AT_HAND, "2026-11-22", 1)
    with pytest.raises(InputError, match="expected the lines <!-- bench cpu -->"):
        write_docs(page, "cpu", table)
    assert page.read_text() == "<!-- bench cpu -->\n"


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_loop_stacks_the_gates_that_memgate_reads(cell: str) -> None:
    torch.manual_seed(0)
    net = RECURRENCE[cell](3, 5, batch_first=True).double()
    inputs = torch.randn(4, 6, 3, dtype=torch.float64)
    found = stacked_gates(net, inputs)
    (layer,) = replay(net, inputs)
    torch.testing.assert_close(found.pop("hidden"), net(inputs)[0], rtol=0, atol=1e-12)
    assert found.keys() == layer.gates.keys()
    for gate, values in found.items():
        torch.testing.assert_close(values, layer.gates[gate], rtol=0, atol=1e-12)


def test_the_mix_keeps_the_quantiles() -> None:
    lengths = np.arange(1, 101)
    assert mixed(lengths, 10, distinct=4).tolist() == [13] * 3 + [38] * 3 + [63] * 3 + [88]


def test_prefixes_made_here_are_whole() -> None:
    made = prefixes(np.array([1, 4, 2, 7]), vocabulary=11)
    assert made.starts.tolist() == [0, 1, 5, 7]
    assert len(made.ids) == len(made.roles) == 14
    assert 0 <= int(made.ids.min()) <= int(made.ids.max()) < 11
    subject = (made.starts + made.subjects).tolist()
    assert (made.roles == 1).nonzero().flatten().tolist() == subject
    assert (made.subjects + made.intervening + 1).tolist() == [1, 4, 2, 7]


def test_slopes_and_the_end_of_memory_are_those_of_the_lines() -> None:
    n = np.array([10, 100, 1000])
    parts = [
        pd.DataFrame({"what": what, "by": "items", "n": n, "value": value})
        for what, value in {"training": 3.0 * n, "gates": 5.0 * n**2}.items()
    ]
    found = slopes(pd.concat(parts))
    assert found[("training", "items")] == pytest.approx(1)
    assert found[("gates", "items")] == pytest.approx(2)
    assert memory_ends_at([100, 200], [1100, 1200]) == pytest.approx(MACHINE - 1000)
