"""Rows: the peak of memory while gates are read; a process of its own for each size.

``python -m benchmarks.memory ITEMS LENGTHS DEVICE`` prints what that process saw, as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks.gates import read
from benchmarks.setting import ROOT, VOCABULARY, Setting, mixed, prefixes
from benchmarks.table import Row, at_most
from benchmarks.timing import Ratio
from memgate.arrays import Ints
from memgate.models.classifier import Classifier

UNITS = 50
MIB = 2**20


def rows(setting: Setting, lengths: Ints) -> Iterator[Row]:
    """Yield one row: the peak with twice the items, held against that with half.

    Args:
        setting: Device and sizes.
        lengths: Of the prefixes of a corpus.
    """
    few, many = setting.sizes.memory
    path = setting.folder / "lengths.npy"
    np.save(path, lengths)
    processes = [_begin(items, path, setting.device) for items in (few, many)]
    once, twice = (_seen(process) for process in processes)  # at once: nothing here is a time
    change = twice["peak"] / once["peak"]
    notes = [
        f"{n:,} items: {seen['data'] / MIB:.0f} MiB of data, {seen['before'] / MIB:.0f} MiB before "
        f"the pass (Python, torch and the data), at most {seen['own'] / MIB:.1f} MiB more in it"
        for n, seen in ((few, once), (many, twice))
    ]
    yield Row(
        "memory",
        f"peak of memory, gates of {many:,} items, LSTM {UNITS}",
        f"{few:,} items",
        "MiB",
        twice["peak"] / MIB,
        once["peak"] / MIB,
        Ratio(change, change, change),
        at_most(setting.device, 1.05),
        note="; ".join(notes),
    )


def _begin(items: int, lengths: Path, device: torch.device) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.memory", str(items), str(lengths), device.type]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _seen(process: subprocess.Popen[str]) -> dict[str, float]:
    printed, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    found: dict[str, float] = json.loads(printed)
    return found


def peak() -> int:
    """Return the most bytes that this process ever held, or since `forget_peak`."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def forget_peak() -> None:
    """Begin anew to look for the peak, where the system can (Linux); making the items had its own.

    See proc(5), ``/proc/pid/clear_refs``.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def main(items: int, lengths: Path, device: torch.device) -> None:
    """Read the gates of so many items, and print what memory that took, in bytes."""
    torch.set_num_threads(1)
    data = prefixes(mixed(np.load(lengths), items))
    torch.manual_seed(0)
    net = Classifier(VOCABULARY, "lstm", UNITS, UNITS).to(device).eval()
    read(net, prefixes(np.arange(1, 50)))  # what the first pass loads and keeps isn't the data's
    columns = ("ids", "starts", "targets", "intervening", "attractors", "roles", "subjects")
    held = sum(getattr(data, name).nbytes for name in columns) + data.lengths.nbytes
    forget_peak()
    before = psutil.Process().memory_info().rss
    if device.type == "cuda":
        data = data.to(device)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    read(net, data)
    most = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak()
    print(json.dumps({"data": held, "before": before, "peak": most, "own": most - before}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), torch.device(sys.argv[3]))
