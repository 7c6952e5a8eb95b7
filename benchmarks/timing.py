"""Times taken in turns, and ratios of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

Action = Callable[[], object]


class Ratio(NamedTuple):
    """A ratio of two times, taken repeat by repeat."""

    median: float
    low: float
    high: float


def now(device: torch.device) -> float:
    """Return the seconds of a clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds(action: Action, device: torch.device) -> float:
    """Return how long an action takes."""
    start = now(device)
    action()
    return now(device) - start


def in_turns(
    actions: Sequence[Action], repeats: int, device: torch.device, warm_up: int = 1
) -> list[list[float]]:
    """Time several actions, one after the other, again and again.

    Neighbours in time share what else the machine does, so their ratio says more than that of two
    series. Every other round goes backwards: none profits from always being the first.

    Args:
        actions: What is timed.
        repeats: Rounds that count.
        device: What they run on.
        warm_up: Rounds before, that don't.

    Returns:
        For each action its seconds in every round.
    """
    times: list[list[float]] = [[] for _ in actions]
    for round_ in range(warm_up + repeats):
        order = range(len(actions))
        for place in order if round_ % 2 else reversed(order):
            taken = seconds(actions[place], device)
            if round_ >= warm_up:
                times[place].append(taken)
    return times


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Return the median, the lowest and the highest of over/under, round by round."""
    each = [a / b for a, b in zip(over, under, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))
