"""Figures as files."""

from __future__ import annotations

import os
from pathlib import Path

from matplotlib.figure import Figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, 1,500 pixels wide: whole or not at all, same bytes for the same table.

    Raises:
        OSError: The folder is missing or can't be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # matplotlib writes its version into the file unless Software is None
        figure.savefig(partial, format="png", dpi=150, metadata={"Software": None})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
