"""One run over all rows."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

import datasets
import torch
from rich.console import Console

from benchmarks import fitting, gates, memory, page, reading, scoring, starting, traces
from benchmarks.machine import measured
from benchmarks.setting import FULL, QUICK, Setting
from benchmarks.table import Row, as_json, as_markdown, show, write_docs
from memgate.data.datamodule import AgreementData
from memgate.errors import InputError


def run(given: argparse.Namespace, folder: Path) -> None:
    """Measure what is asked for, print the table and write it.

    Args:
        given: What `benchmarks.__main__` parsed.
        folder: Empty, for what the measurements leave.

    Raises:
        InputError: There is no such device, or no place for the table.
    """
    if given.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: expected a device that torch can use, got cuda")
    begun = time.perf_counter()
    console = Console(highlight=False)
    torch.set_num_threads(given.threads)
    datasets.disable_progress_bars()
    device = torch.device(given.device)
    sizes = QUICK if given.quick else FULL
    setting = Setting(device, folder, sizes, measured(device, given.quick), given.quick)
    found = list(_rows(setting, given.only, console))
    taken = time.perf_counter() - begun
    made = date.today().isoformat()
    show(found, Console(highlight=False, width=None if console.is_terminal else 200))
    about = found, setting.machine, made, taken
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "bench.json").write_text(as_json(*about), encoding="utf-8")
    (given.out / "bench.md").write_text(as_markdown(*about), encoding="utf-8")
    if given.docs is not None:
        write_docs(given.docs, device.type, as_markdown(*about))
    console.print(f"{taken:.0f} s; wrote {given.out}/bench.json and {given.out}/bench.md")


def _rows(setting: Setting, only: str, console: Console) -> Iterable[Row]:
    """Yield the rows of the parts asked for, all if none is."""
    data = _data(setting)
    lengths = data.prefixes["train"].lengths
    parts: dict[str, Callable[[], Iterable[Row]]] = {
        "fit": lambda: fitting.rows(setting),
        "gates": lambda: gates.rows(setting, lengths),
        "trace": lambda: traces.rows(setting),
        "memory": lambda: memory.rows(setting, lengths),
        "evaluate": lambda: scoring.rows(setting, data),
        "reading": lambda: reading.rows(setting),
        "starting": lambda: starting.rows(setting),
        "page": lambda: page.rows(setting),
    }
    for name, rows in parts.items():
        if only in ("", name):
            begun = time.perf_counter()
            yield from rows()
            console.print(f"{name}: {time.perf_counter() - begun:.0f} s")


def _data(setting: Setting) -> AgreementData:
    """Read the items that the fits train on."""
    data = AgreementData(setting.source().items, "benchmark")
    data.setup()
    return data
