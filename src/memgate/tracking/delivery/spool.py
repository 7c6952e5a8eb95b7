"""What a run has to say and the store hasn't taken yet: a folder, in order, safe from kill -9."""

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

FOLDER = Path("mlruns/spool")
"""Below it each run that has something to deliver has a folder, named by its id."""

ABOUT, LOCK, BEGUN = "run.json", "lock", "begun"
METRICS, SENT, ITEM = "metrics.jsonl", "sent", "item.json"

METRIC = MappingProxyType({"key": str, "value": (float, int), "timestamp": int, "step": int})

NO_FILES: Mapping[str, Callable[[Path], object]] = MappingProxyType({})


@dataclass(frozen=True)
class Item:
    """One thing to deliver that isn't a metric.

    Attributes:
        folder: Where it is kept, named by its place in the order.
        what: Its kind, see `memgate.tracking.delivery.deliver`.
        values: Plain values.
    """

    folder: Path
    what: str
    values: dict[str, Any]

    @property
    def number(self) -> int:
        """Its place in the order, from 1."""
        return int(self.folder.name)

    @property
    def files(self) -> Path:
        """The folder of its files."""
        return self.folder / "files"


class Spool:
    """The folder of one run; while it is open no other process can take it.

    Metrics are lines of ``metrics.jsonl``, and the file ``sent`` holds how many of its bytes are
    delivered while not all are; other things are folders ``0001``, ``0002``, … . A thing is there
    whole or not at all, and is taken away only after its delivery: what is killed in between is
    delivered again, so deliveries must bear that. Written files outlive the process, not a loss of
    power (no fsync).
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self._guard = threading.Lock()
        self._metrics = os.open(folder / METRICS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        text = (folder / METRICS).read_bytes()
        os.ftruncate(self._metrics, text.rfind(b"\n") + 1)  # a line cut off by kill -9

    @classmethod
    def create(cls, folder: Path, about: Mapping[str, str]) -> Self:
        """Make the folder of a run and take it.

        Args:
            folder: Doesn't exist.
            about: What `about` is to return: names of the run and of its store.

        Raises:
            OSError: The folder can't be made.
        """
        aside = _aside(folder)
        aside.mkdir(parents=True)
        (aside / ABOUT).write_text(json.dumps(dict(about)), encoding="utf-8")
        lock = os.open(aside / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX)
        aside.rename(folder)  # locked from its first moment on
        return cls(folder, lock)

    @classmethod
    def take(cls, folder: Path) -> Self | None:
        """Take the folder of a run, or return None if it is gone, in use or another user's."""
        try:
            lock = os.open(folder / LOCK, os.O_RDWR)
        except OSError:  # gone, or another user's
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), (folder / LOCK).stat()):
                return cls(folder, lock)
        except OSError:  # another process has it; or it was delivered and removed meanwhile
            os.close(lock)
            return None
        os.close(lock)
        return None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.folder.name

    def about(self) -> dict[str, str]:
        """Return what it was made with.

        Raises:
            InputError: It is damaged.
        """
        path = self.folder / ABOUT
        text = path.read_bytes() if path.exists() else b""
        return _object(path, text, {"run": str, "store": str})

    def begin(self) -> None:
        """Note that training began; for `begun`, in each process of a fit."""
        (self.folder / BEGUN).touch()

    def begun(self) -> bool:
        """Say whether training began."""
        return (self.folder / BEGUN).exists()

    def add(self, metrics: Sequence[Mapping[str, object]]) -> None:
        """Append metrics, all or none; any thread may.

        Raises:
            OSError: The disk is full.
        """
        lines = "".join(json.dumps(metric) + "\n" for metric in metrics).encode()
        with self._guard:
            size = os.fstat(self._metrics).st_size
            try:
                written = 0
                while written < len(lines):  # a full disk takes a part
                    written += os.write(self._metrics, lines[written:])
            except OSError:
                os.ftruncate(self._metrics, size)  # whole lines or none
                raise

    def metrics(self, most: int) -> tuple[list[dict[str, Any]], int]:
        """Return the first metrics that aren't delivered, and the place behind them for `sent`.

        Args:
            most: How many at most.

        Raises:
            InputError: They are damaged.
        """
        lines: list[bytes] = []
        with self._guard, (self.folder / METRICS).open("rb") as file:
            file.seek(self._sent())
            while len(lines) < most and (line := file.readline()):
                lines.append(line)
            return [_object(self.folder / METRICS, line, METRIC) for line in lines], file.tell()

    def sent(self, place: int) -> None:
        """Note that all metrics before a place are delivered; behind the last the file is emptied.

        Args:
            place: As `metrics` returned it.
        """
        mark = self.folder / SENT
        with self._guard:
            if place < os.fstat(self._metrics).st_size:
                aside = _aside(mark)
                aside.write_text(str(place), encoding="utf-8")
                aside.replace(mark)
            else:
                mark.unlink(missing_ok=True)  # first: killed here, all is delivered once more
                os.ftruncate(self._metrics, 0)

    def _sent(self) -> int:
        mark = self.folder / SENT
        text = mark.read_text(encoding="utf-8") if mark.exists() else "0"
        if not text.isdecimal():
            raise InputError(f"{mark}: expected a number of bytes, got {text[:40]!r}")
        return int(text)

    def put(
        self,
        what: str,
        values: Mapping[str, object],
        files: Mapping[str, Callable[[Path], object]] = NO_FILES,
    ) -> int:
        """Append a thing that isn't a metric, and return its number.

        Args:
            what: Its kind.
            values: What JSON can hold.
            files: For each path, such as ``tables/accuracy.csv``, the function that writes it.
        """
        number = max((item.number for item in self.items()), default=0) + 1
        place = self.folder / f"{number:04d}"
        aside = _aside(place)
        shutil.rmtree(aside, ignore_errors=True)  # of a writer that failed
        (aside / "files").mkdir(parents=True)
        for name, write in files.items():
            path = aside / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
        text = json.dumps({"what": what, "values": dict(values)})
        (aside / ITEM).write_text(text, encoding="utf-8")
        aside.rename(place)
        return number

    def items(self) -> Iterator[Item]:
        """Yield what isn't a metric, in order.

        Raises:
            InputError: One is damaged.
        """
        for folder in sorted(
            (each for each in self.folder.iterdir() if each.name.isdecimal()),
            key=lambda each: int(each.name),
        ):
            path = folder / ITEM
            text = path.read_bytes() if path.exists() else b""
            told = _object(path, text, {"what": str, "values": dict})
            yield Item(folder, told["what"], told["values"])

    def drop(self, item: Item) -> None:
        """Take a thing away: it is delivered."""
        aside = _aside(item.folder)
        item.folder.rename(aside)
        shutil.rmtree(aside)

    def written(self) -> float:
        """Return when a metric was added or delivered last, in seconds since 1970."""
        return os.fstat(self._metrics).st_mtime

    def waiting(self) -> str:
        """Say what waits, such as ``12 metrics, model, end``; empty if nothing does.

        Raises:
            InputError: It is damaged.
        """
        with self._guard, (self.folder / METRICS).open("rb") as file:
            file.seek(self._sent())
            metrics = sum(1 for _ in file)
        names = [item.what for item in self.items()]
        return ", ".join([f"{metrics} metrics"][: metrics > 0] + names)

    def close(self) -> None:
        """Give the folder back, and remove it if nothing waits."""
        try:
            empty = not self.waiting()
        except InputError:  # damaged: kept as it is
            empty = False
        os.close(self._metrics)
        if empty:
            aside = _aside(self.folder)
            self.folder.rename(aside)
            shutil.rmtree(aside)
        os.close(self._lock)


def folders() -> list[Path]:
    """Return the folders of all runs of this working directory, the oldest first."""
    if not FOLDER.is_dir():
        return []
    found = [each for each in FOLDER.absolute().iterdir() if not each.name.startswith(".")]
    return sorted(found, key=lambda each: (_age(each), each.name))


def _age(folder: Path) -> float:
    path = folder / ABOUT
    return path.stat().st_mtime if path.exists() else 0.0


def _aside(path: Path) -> Path:
    """Return where a path is made or removed out of everybody's sight."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def _object(path: Path, text: bytes, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Read a file of a spool, or a line of it: an object with some keys, each of its types."""
    with suppress(ValueError, TypeError, KeyError):
        told = json.loads(text)
        if all(isinstance(told[key], kind) for key, kind in keys.items()):
            return {**told}
    raise InputError(f"{path}: expected an object with {', '.join(keys)}, got {text[:60]!r}")
