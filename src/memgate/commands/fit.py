"""`memgate fit`, `validate` and `test`: LightningCLI's arguments, with configurations by name."""

from __future__ import annotations

from collections.abc import Sequence

from memgate.fitting.config_files import with_config_paths
from memgate.fitting.finalize import show
from memgate.fitting.progress import FitProgress
from memgate.fitting.run import run_fit, score
from memgate.reporting.console import console


def fit(arguments: Sequence[str]) -> None:
    """Train, test the best epoch, track, register, and print the accuracy."""
    with FitProgress(1, console()) as progress:
        result = run_fit(with_config_paths(arguments), progress)
    show([result])


def validate(arguments: Sequence[str]) -> None:
    """Score a checkpoint on the validation split."""
    show([score(with_config_paths(arguments), "val")])


def test(arguments: Sequence[str]) -> None:
    """Score a checkpoint on the test split."""
    show([score(with_config_paths(arguments), "test")])
