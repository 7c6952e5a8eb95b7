"""Result files of a command, written all or not at all: `write_all`, and `write_file` for one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from memgate.errors import InputError


def write_all(out: Path, files: Mapping[str, Callable[[Path], object]]) -> None:
    """Write several files of a folder: all, or where something is wrong none.

    Args:
        out: Folder, created if it is missing.
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


def write_file(path: Path, write: Callable[[Path], object]) -> str:
    """Write a single file whole or not at all, and return the line to print about it.

    A file that is there already is replaced, and the line says so: that is the rule for every
    command that writes a single file.

    Args:
        path: The file; its folder is created if it is missing.
        write: Writes to the path it gets.

    Raises:
        InputError: The file can't be written.
    """
    if not path.name or path.is_dir():
        raise InputError(f"{path}: expected a file to write to, got a folder")
    replaced = ""
    if path.exists():
        before = path.stat()
        when = datetime.fromtimestamp(before.st_mtime).astimezone()
        replaced = f", in place of one of {when:%Y-%m-%d %H:%M} ({before.st_size:,} bytes)"
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: expected a file to write to, got: {error}") from error
    finally:
        with suppress(OSError):  # Ctrl-C leaves no half-written file either
            partial.unlink(missing_ok=True)
    return f"wrote {path}{replaced}"
