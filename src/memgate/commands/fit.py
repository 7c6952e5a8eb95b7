"""`memgate fit`, `validate` and `test`: LightningCLI's arguments, with configurations by name."""

from __future__ import annotations

from collections.abc import Sequence

from memgate.fitting import run
from memgate.fitting.config_files import with_config_paths


def fit(arguments: Sequence[str]) -> None:
    """Train, test the best epoch, track, register, and print the accuracy.

    Args:
        arguments: Of the command line, such as ``-c cell/gru.yaml``.
    """
    run.fit(with_config_paths(arguments))


def validate(arguments: Sequence[str]) -> None:
    """Score a checkpoint on the validation split.

    Args:
        arguments: As for `fit`, with ``--ckpt_path``.
    """
    run.validate(with_config_paths(arguments))


def test(arguments: Sequence[str]) -> None:
    """Score a checkpoint on the test split.

    Args:
        arguments: As for `fit`, with ``--ckpt_path``.
    """
    run.test(with_config_paths(arguments))
