"""Result files of a command, written all or not at all: `write_all`, and `whole_file` for one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; when all is written, it becomes the file.

    Args:
        path: The file, replaced if it exists; its folder is created if it is missing.

    Raises:
        InputError: The file can't be written.
    """
    if not path.name or path.is_dir():
        raise InputError(f"{path}: expected a file to write to, got a folder")
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: expected a file to write to, got: {error}") from error
    finally:
        with suppress(OSError):  # Ctrl-C leaves no half-written file either
            partial.unlink(missing_ok=True)
