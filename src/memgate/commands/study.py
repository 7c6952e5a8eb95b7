"""`memgate study`: many fits, planned in a file."""

from __future__ import annotations

from pathlib import Path

from memgate.reporting.console import echo
from memgate.studies.run import run_study


def study(file: Path, *, jobs: int | None = None, ray: str | None = None) -> None:
    """Train cells × data × tasks × seeds in parallel; a study that was stopped goes on.

    Args:
        file: YAML that says what to train, such as study/cells.yaml.
        jobs: Processes, one thread each; by default one on each core.
        ray: Address of a Ray cluster to run on instead: auto, HOST:PORT or ray://HOST:PORT.
    """
    name = run_study(file, jobs, ray)
    echo(f"study {name}: all runs are finished; `memgate report {name} --out DIR`")
