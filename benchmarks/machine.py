"""The machine: in words, and what it can do at best."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from benchmarks.timing import in_turns

SIDE = 1024
"""Of the squares that are multiplied: 6.4 GFLOP in 3, enough for any core to be at its best."""


@dataclass(frozen=True)
class Machine:
    """What the table was made on.

    Args:
        words: Cores, memory, device, versions.
        device: ``cpu`` or ``cuda``.
        threads: Of torch.
        flops: Floating-point operations a second of a float32 matrix product.
        copied: Bytes a second that a large copy reads and writes.
    """

    words: str
    device: str
    threads: int
    flops: float
    copied: float

    def floor(self, operations: float, moved: float = 0.0) -> float:
        """Return the seconds that operations and bytes read or written take at best."""
        return operations / self.flops + moved / self.copied


def measured(device: torch.device, quick: bool) -> Machine:
    """Measure what a device can do.

    Args:
        device: Of the timings.
        quick: Whether small matrices will do.
    """
    side = SIDE // 8 if quick else SIDE * (1 if device.type == "cpu" else 8)
    one, other = torch.rand(2, side, side, device=device)
    much = torch.rand(2**16 if quick else 2**25, device=device)
    target = torch.empty_like(much)
    product, copy = in_turns(
        [lambda: one @ other, lambda: target.copy_(much)], 7, device, warm_up=2
    )
    moved = 2 * much.numel() * much.element_size()
    rates = 2 * side**3 / min(product), moved / min(copy)
    return Machine(_words(device), device.type, torch.get_num_threads(), *rates)


def _words(device: torch.device) -> str:
    memory = psutil.virtual_memory().total / 2**30
    parts = [f"{psutil.cpu_count()} cores of {_processor()}", f"{memory:.0f} GiB"]
    if device.type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    parts.append(f"{torch.get_num_threads()} thread(s) of torch {torch.__version__}")
    return ", ".join([*parts, f"Python {platform.python_version()}"])


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    if about.is_file():
        for line in about.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
