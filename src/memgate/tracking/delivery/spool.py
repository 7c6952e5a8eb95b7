"""`Spool`: the folder with what a run logged and the store does not have yet; safe from kill -9."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from memgate.errors import InputError

SPOOLS_FOLDER = Path("mlruns/spool")
"""Folder of all spools. Each is named by the id of its run."""

ABOUT, LOCK, STARTED = "run.json", "lock", "begun"
METRICS_FILE, DELIVERED_FILE, ITEM_FILE = "metrics.jsonl", "sent", "item.json"
"""Names of files in a spool, as spools of earlier versions have them."""

RESERVE_FILE, RESERVE = "reserve", 262_144
"""A file and its bytes: room on a disk that fills, for the end of the run in spool and store."""

METRIC_FIELDS = MappingProxyType({"key": str, "value": (float, int), "timestamp": int, "step": int})
"""Fields of a line of the metrics."""

NO_FILES: Mapping[str, Callable[[Path], object]] = MappingProxyType({})


@dataclass(frozen=True)
class SpoolItem:
    """Something to deliver that isn't a metric.

    Attributes:
        folder: Its folder, named by its number.
        kind: One of `memgate.tracking.delivery.deliver.DELIVERIES`.
        values: Plain values.
    """

    folder: Path
    kind: str
    values: dict[str, Any]

    @property
    def number(self) -> int:
        """Its position in the order of items, from 1."""
        return int(self.folder.name)

    @property
    def files(self) -> Path:
        """The folder of its files."""
        return self.folder / "files"


class Spool:
    """The spool of one run. While it is open, no other process can open it.

    Metrics are lines of ``metrics.jsonl``; the file ``sent`` holds how many of its bytes are
    delivered. Items are folders ``0001``, ``0002``, and so on. An item or a line is there whole or
    not at all, and is removed only after its delivery. A process that is killed in between delivers
    it again, so every delivery must be repeatable. What is written outlives the process, but not a
    loss of power (there is no fsync).
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self._guard = threading.Lock()
        self._metrics = os.open(folder / METRICS_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        text = (folder / METRICS_FILE).read_bytes()
        os.ftruncate(self._metrics, text.rfind(b"\n") + 1)  # a line cut off by kill -9

    @classmethod
    def create(cls, folder: Path, about: Mapping[str, str]) -> Self:
        """Create the spool of a run and open it; `about` has the names of the run and its store."""
        temporary = _temporary(folder)
        temporary.mkdir(parents=True)
        (temporary / ABOUT).write_text(json.dumps(dict(about)), encoding="utf-8")
        (temporary / RESERVE_FILE).write_bytes(bytes(RESERVE))
        lock = os.open(temporary / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX)
        temporary.rename(folder)  # so it is locked as soon as others can see it
        return cls(folder, lock)

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """Open a spool, or return None if it is gone, open in a process, or another user's."""
        try:
            lock = os.open(folder / LOCK, os.O_RDWR)
        except OSError:  # gone, or another user's
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), (folder / LOCK).stat()):
                return cls(folder, lock)
        except OSError:  # open in another process, or delivered and removed meanwhile
            os.close(lock)
            return None
        os.close(lock)
        return None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder.name

    def about(self) -> dict[str, str]:
        """Return what the spool was created with.

        Raises:
            InputError: The file is damaged.
        """
        path = self.folder / ABOUT
        text = path.read_bytes() if path.exists() else b""
        return _parse(path, text, {"run": str, "store": str})

    def free_reserve(self) -> bool:
        """Give a full disk the room that was kept for the end; return whether there was any."""
        path = self.folder / RESERVE_FILE
        was_there = path.exists()
        path.unlink(missing_ok=True)
        return was_there

    def mark_started(self) -> None:
        """Record that training started, for every process of the fit."""
        (self.folder / STARTED).touch()

    def is_started(self) -> bool:
        """Return whether training started."""
        return (self.folder / STARTED).exists()

    def add_metrics(self, metrics: Sequence[Mapping[str, object]]) -> None:
        """Append metrics, all or none, from any thread.

        Raises:
            OSError: The disk is full.
        """
        lines = "".join(json.dumps(metric) + "\n" for metric in metrics).encode()
        with self._guard:
            size = os.fstat(self._metrics).st_size
            try:
                written = 0
                while written < len(lines):  # a full disk accepts a part
                    written += os.write(self._metrics, lines[written:])
            except OSError:
                os.ftruncate(self._metrics, size)  # whole lines or none
                raise

    def next_metrics(self, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Return the first metrics that aren't delivered, and the offset of the byte after them.

        Raises:
            InputError: They are damaged.
        """
        lines: list[bytes] = []
        with self._guard, (self.folder / METRICS_FILE).open("rb") as file:
            file.seek(self._delivered())
            while len(lines) < limit and (line := file.readline()):
                lines.append(line)
            offset = file.tell()
        path = self.folder / METRICS_FILE
        return [_parse(path, line, METRIC_FIELDS) for line in lines], offset

    def mark_delivered(self, offset: int) -> None:
        """Record that all metrics before an offset are delivered; when all are, empty the file."""
        mark = self.folder / DELIVERED_FILE
        with self._guard:
            if offset < os.fstat(self._metrics).st_size:
                temporary = _temporary(mark)
                temporary.write_text(str(offset), encoding="utf-8")
                temporary.replace(mark)
            else:
                # In this order: a process killed in between delivers all metrics once more.
                mark.unlink(missing_ok=True)
                os.ftruncate(self._metrics, 0)

    def _delivered(self) -> int:
        mark = self.folder / DELIVERED_FILE
        text = mark.read_text(encoding="utf-8") if mark.exists() else "0"
        if not text.isdecimal():
            raise InputError(f"{mark}: expected a number of bytes, got {text[:40]!r}")
        return int(text)

    def add_item(
        self,
        kind: str,
        values: Mapping[str, object],
        files: Mapping[str, Callable[[Path], object]] = NO_FILES,
    ) -> int:
        """Append an item: plain values, and files, each with its writer; return its number."""
        number = max((item.number for item in self.items()), default=0) + 1
        folder = self.folder / f"{number:04d}"
        temporary = _temporary(folder)
        shutil.rmtree(temporary, ignore_errors=True)  # of a writer that failed
        (temporary / "files").mkdir(parents=True)
        for name, write in files.items():
            path = temporary / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
        text = json.dumps({"what": kind, "values": dict(values)})
        (temporary / ITEM_FILE).write_text(text, encoding="utf-8")
        temporary.rename(folder)
        return number

    def items(self) -> Iterator[SpoolItem]:
        """Yield the items in order.

        Raises:
            InputError: An item is damaged.
        """
        folders = [path for path in self.folder.iterdir() if path.name.isdecimal()]
        for folder in sorted(folders, key=lambda folder: int(folder.name)):
            path = folder / ITEM_FILE
            text = path.read_bytes() if path.exists() else b""
            content = _parse(path, text, {"what": str, "values": dict})
            yield SpoolItem(folder, content["what"], content["values"])

    def remove(self, item: SpoolItem) -> None:
        """Remove an item that is delivered."""
        temporary = _temporary(item.folder)
        item.folder.rename(temporary)
        shutil.rmtree(temporary)

    def last_write(self) -> float:
        """Return when a metric was last added or delivered, in seconds since 1970."""
        return os.fstat(self._metrics).st_mtime

    def pending(self) -> str:
        """Return a list of what is not delivered, such as ``12 metrics, model, end``, or nothing.

        Raises:
            InputError: It is damaged.
        """
        with self._guard, (self.folder / METRICS_FILE).open("rb") as file:
            file.seek(self._delivered())
            metrics = sum(1 for _ in file)
        names = [item.kind for item in self.items()]
        if metrics:
            names.insert(0, "1 metric" if metrics == 1 else f"{metrics} metrics")
        return ", ".join(names)

    def close(self) -> None:
        """Let other processes open the spool; remove it if everything is delivered."""
        try:
            empty = not self.pending()
        except InputError:  # damaged: kept as it is
            empty = False
        os.close(self._metrics)
        if empty:
            temporary = _temporary(self.folder)
            self.folder.rename(temporary)
            shutil.rmtree(temporary)
        os.close(self._lock)


def folders() -> list[Path]:
    """Return the folders of all spools of this working directory, the oldest first."""
    if not SPOOLS_FOLDER.is_dir():
        return []
    paths = [path for path in SPOOLS_FOLDER.absolute().iterdir() if not path.name.startswith(".")]
    return sorted(paths, key=lambda path: (_created(path), path.name))


def _created(folder: Path) -> float:
    path = folder / ABOUT
    return path.stat().st_mtime if path.exists() else 0.0


def _temporary(path: Path) -> Path:
    """Return the hidden path under which a path is written or removed."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def _parse(path: Path, text: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Parse a file of a spool, or a line of it: an object with these fields of these types."""
    with suppress(ValueError, TypeError, KeyError):
        content = json.loads(text)
        if all(isinstance(content[name], kind) for name, kind in fields.items()):
            return {**content}
    raise InputError(f"{path}: expected an object with {', '.join(fields)}, got {text[:60]!r}")
