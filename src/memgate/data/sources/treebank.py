"""Source: Universal Dependencies treebanks, gold trees in CoNLL-U files or on the Hub."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets

from memgate.data import files
from memgate.data.items.dependencies import ROOT, UD, ParsedSentence, Tree, extract_items
from memgate.data.items.numbers import NOUN_NUMBER
from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.sources import conllu
from memgate.errors import InputError

HUB_COLUMNS = ("tokens", "xpos", "head", "deprel")
"""What is read of the Hub's tables, one list a sentence; and ``sent_id`` or ``idx``, its name."""

HUB_SPLITS: Mapping[str, Sequence[str]] = {
    "train": ("train",),
    "validation": ("validation", "dev"),
    "test": ("test",),
}

log = logging.getLogger(__name__)


class Treebank:
    """Agreement items of treebanks with Universal Dependencies and PTB tags; see `dependencies`.

    Args:
        train: CoNLL-U files of the training split: paths or globs, compressed or not; ``$NAME`` and
            ``~`` are replaced.
        validation: Files of the validation split.
        test: Files of the test split.
        repository: A dataset repository of the Hugging Face Hub, such as
            ``commul/universal_dependencies``, or a local folder of the same layout. Splits for
            which no files are named are then the treebank's own.
        treebank: The treebank in the repository.
        revision: Branch, tag or commit of the repository.
    """

    def __init__(
        self,
        train: Sequence[str] = (),
        validation: Sequence[str] = (),
        test: Sequence[str] = (),
        repository: str | None = None,
        treebank: str = "en_ewt",
        revision: str | None = None,
    ) -> None:
        self.files = {"train": train, "validation": validation, "test": test}
        self.repository = repository
        self.treebank = treebank
        self.revision = revision

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``, each with `FEATURES`.

        Raises:
            InputError: A file is missing, empty, malformed (with the line) or without items; or the
                repository can't be reached, or has no such treebank, split or column.
        """
        missing = [split for split in SPLITS if not self.files[split]]
        if missing and self.repository is None:
            raise InputError(f"{missing[0]}: expected files or a repository, got neither")
        hub: Mapping[str, datasets.Dataset] = {}
        if missing and self.repository is not None:
            hub = _load(self.repository, self.treebank, self.revision)
        return datasets.DatasetDict(
            {
                split: read(self.files[split])
                if self.files[split]
                else self._hub_split(hub, str(split))
                for split in SPLITS
            }
        )

    def _hub_split(self, hub: Mapping[str, datasets.Dataset], split: str) -> datasets.Dataset:
        where = f"{self.repository}, {self.treebank}"
        name = next((name for name in HUB_SPLITS[split] if name in hub), None)
        if name is None:
            raise InputError(
                f"{where}: expected a split {split!r}, found {', '.join(hub)}; "
                f"name the files of {split} instead"
            )
        missing = [column for column in HUB_COLUMNS if column not in hub[name].column_names]
        if missing:
            raise InputError(f"{where}: expected also the columns {', '.join(missing)}")
        return _table(_hub_sentences(hub[name], f"{where} ({name})"), f"{where} ({name})")


def read(patterns: Iterable[str]) -> datasets.Dataset:
    """Return the agreement items of CoNLL-U files as one table with `FEATURES`.

    Args:
        patterns: Paths or globs, compressed or not; ``$NAME`` and ``~`` are replaced.

    Raises:
        InputError: A file is missing, empty, malformed (with the line) or without items.
    """
    paths = files.paths(patterns, "CoNLL-U")
    return datasets.concatenate_datasets([_table(conllu.read(path), path) for path in paths])


def _table(sentences: Iterable[ParsedSentence], where: str) -> datasets.Dataset:
    tags = Counter[str]()

    def counted() -> Iterator[ParsedSentence]:
        for sentence in sentences:
            tags.update(sentence.tree.tags)
            yield sentence

    extraction = extract_items(counted(), UD)
    dropped = extraction.dropped.most_common()
    reasons = ", ".join(f"{reason} {count}" for reason, count in dropped)
    if not extraction.items:
        if tags and tags.keys().isdisjoint(NOUN_NUMBER):
            frequent = ", ".join(tag for tag, _ in tags.most_common(3))
            raise InputError(
                f"{where}: expected PTB tags in XPOS, such as NN and NNS of nouns, got {frequent}"
            )
        got = f"{extraction.sentences} sentences, none with a subject (nsubj)"
        if reasons:
            got = f"{extraction.sentences} sentences whose subjects are left out: {reasons}"
        raise InputError(f"{where}: expected sentences with agreement, got {got}")
    log.info("%s: %d items; subjects left out: %s", where, len(extraction.items), reasons or "none")
    return datasets.Dataset.from_list([dict(item) for item in extraction.items], features=FEATURES)


def _load(repository: str, treebank: str, revision: str | None) -> datasets.DatasetDict:
    if not Path(repository).is_dir():
        return files.load_repository(repository, treebank, revision=revision)
    # Where a README lists the files, `datasets` 5.2 keeps their columns by the folder's last name,
    # whatever its files hold: so no cache. English treebanks have at most 20,000 sentences.
    with tempfile.TemporaryDirectory() as cache, files.reported(f"{repository}, {treebank}"):
        return datasets.load_dataset(repository, treebank, cache_dir=cache, keep_in_memory=True)


def _hub_sentences(rows: datasets.Dataset, where: str) -> Iterator[ParsedSentence]:
    names = [name for name in ("sent_id", "idx") if name in rows.column_names]
    for number, row in enumerate(rows.select_columns([*HUB_COLUMNS, *names[:1]]), 1):
        name = row[names[0]] if names else None
        yield ParsedSentence(str(name or number), _hub_tree(row, f"{where}, row {number}"))


def _hub_tree(row: Mapping[str, Any], where: str) -> Tree:
    """Return the tree of one row; a token without head is a multiword token or an empty node."""
    columns = [row[column] or [] for column in HUB_COLUMNS]
    if len({len(column) for column in columns}) != 1:
        raise InputError(f"{where}: expected lists of one length in {', '.join(HUB_COLUMNS)}")
    tokens = [
        (str(form), str(tag), str(head), str(relation))
        for form, tag, head, relation in zip(*columns, strict=True)
        if str(head) not in ("None", "_", "")
    ]
    heads = [int(head) if head.isdecimal() else -1 for _, _, head, _ in tokens]
    if not all(0 <= head <= len(tokens) for head in heads):
        raise InputError(f"{where}: expected heads from 0 to {len(tokens)}, got {row['head']}")
    return Tree(
        words=[form for form, _, _, _ in tokens],
        tags=[tag for _, tag, _, _ in tokens],
        heads=[head - 1 if head else ROOT for head in heads],
        relations=[relation for _, _, _, relation in tokens],
    )
