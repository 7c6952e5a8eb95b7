"""Result files of a command, written all or not at all: `write_all`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from memgate.errors import InputError


def write_all(out: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    """Write several files of a folder: all, or where something is wrong none.

    Args:
        out: Folder, made where it is missing.
        files: For each name a function that writes to the path it gets.

    Raises:
        InputError: The folder can't be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".writing-") as name:
            for file, write in files.items():
                if (out / file).is_dir():
                    raise IsADirectoryError(f"{file} is a folder")
                write(Path(name, file))
            for file in files:
                Path(name, file).replace(out / file)
    except OSError as error:
        raise InputError(f"{out}: expected a folder to write to, got: {error}") from error
