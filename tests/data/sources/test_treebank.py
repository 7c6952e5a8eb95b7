"""Agreement items of Universal Dependencies treebanks."""

from __future__ import annotations

import gzip
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest

from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.sources import conllu
from memgate.data.sources.treebank import Treebank, read
from memgate.errors import InputError

DATA = os.environ.get("MEMGATE_DATA")
real = pytest.mark.skipif(DATA is None, reason="MEMGATE_DATA is not set")

Write = Callable[..., str]

ROWS = (  # ID, FORM, XPOS, HEAD, DEPREL
    ("1-2", "Today's", "_", "_", "_"),
    ("1", "Today", "NN", "3", "nmod:poss"),
    ("2", "'s", "POS", "1", "case"),
    ("3", "keys", "NNS", "5", "nsubj"),
    ("4", "are", "VBP", "5", "cop"),
    ("4.1", "not", "RB", "_", "_"),
    ("5", "red", "JJ", "0", "root"),
)
FOUND = {"text": "Today 's keys are red", "subj_idx": 2, "verb_idx": 3, "label": 1}


def line(number: str, form: str, tag: str, head: str, relation: str) -> str:
    return "\t".join([number, form, form, "_", tag, "_", head, relation, "_", "_"])


def sentence(name: str = "s1", rows: Sequence[Sequence[str]] = ROWS) -> list[str]:
    return [f"# sent_id = {name}", "# text = any", *(line(*row) for row in rows), ""]


def some(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in FOUND}


def test_a_source_has_three_splits(write: Write) -> None:
    train, validation, test = ([write(f"{s}.conllu.gz", *sentence(s))] for s in SPLITS)
    splits = Treebank(train, validation, test).load()
    assert list(splits) == list(SPLITS)
    for split, rows in splits.items():
        assert rows.features == FEATURES
        assert [row["id"] for row in rows] == [f"{split}:3"]
        assert some(rows[0]) == FOUND


def test_multiword_tokens_and_empty_nodes_are_passed_over(write: Write) -> None:
    (parsed,) = conllu.read(write("a.conllu", *sentence()))
    assert parsed.name == "s1"
    assert parsed.tree.words == ["Today", "'s", "keys", "are", "red"]
    assert parsed.tree.heads == [2, 0, 4, 4, -1]
    assert parsed.tree.tags == ["NN", "POS", "NNS", "VBP", "JJ"]


def test_ends_of_lines_marks_and_names(write: Write, tmp_path: Path) -> None:
    lines = [*sentence("a"), "", "", *sentence("b")[1:-1]]  # no blank line at the end
    one = "\r\n".join(lines)
    path = tmp_path / "odd.conllu"
    path.write_bytes(b"\xef\xbb\xbf" + one.encode())
    names = [parsed.name for parsed in conllu.read(str(path))]
    assert names == ["a", "odd.conllu:15"]
    zipped = tmp_path / "really-gzip.conllu"
    zipped.write_bytes(gzip.compress(one.encode()))
    assert [parsed.tree for parsed in conllu.read(str(zipped))] == [
        parsed.tree for parsed in conllu.read(str(path))
    ]


def test_globs_and_variables(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        write(f"{name}.conllu", *sentence(name))
    monkeypatch.setenv("TREES", str(tmp_path))
    assert list(read(["$TREES/*.conllu"])["id"]) == ["a:3", "b:3"]
    with pytest.raises(InputError, match=r"^\$NO_TREES/a.conllu: the environment variable"):
        read(["$NO_TREES/a.conllu"])


def test_what_was_left_out_is_logged(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    it = [("1", "it", "PRP", "2", "nsubj"), ("2", "is", "VBZ", "0", "root")]
    path = write("a.conllu", *sentence(), *sentence("s2", it))
    with caplog.at_level(logging.INFO):
        read([path])
    assert caplog.messages == [
        f"{path}: 1 items; subjects left out: subject is no common noun 1",
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("1\tkeys", "expected 10 columns between tabs, got 2"),
        ("keys", "expected 10 columns between tabs, got 1"),
        (line("2", "a", "NN", "0", "x"), "expected the ID 1, got '2'"),
        (line("_", "a", "NN", "0", "x"), "expected the ID 1, got '_'"),
        (line("x", "a", "NN", "0", "x"), "Failed parsing field 'id': 'x' is not a valid ID."),
        (line("1", "a", "NN", "x", "x"), "Failed parsing field 'head': 'x' is not a valid"),
        (line("1", "a", "NN", "_", "x"), "expected a HEAD, got '_'"),
        (line("1", "a", "NN", "2", "x"), "expected a HEAD from 0 to 1, the words of the sentence"),
        (line("1", "a", "NN", "-1", "x"), "expected a HEAD from 0 to 1, the words of the sentence"),
    ],
)
def test_what_is_malformed_is_named_with_its_line(write: Write, bad: str, message: str) -> None:
    path = write("a.conllu", *sentence(), "# sent_id = s2", bad)
    with pytest.raises(InputError) as error:
        read([path])
    assert str(error.value).startswith(f"{path}, line 12: {message}")
    assert "\n" not in str(error.value)


def test_what_cannot_be_read(write: Write, tmp_path: Path) -> None:
    latin = write("latin.conllu", *sentence(), "# text = é", encoding="latin-1")
    with pytest.raises(InputError, match=rf"^{latin}, line 11: expected UTF-8, got the byte 0xe9"):
        read([latin])
    cut = Path(write("cut.conllu.gz", *sentence()))
    cut.write_bytes(cut.read_bytes()[:-12])
    with pytest.raises(InputError, match=rf"^{cut}: can't be read after line"):
        read([str(cut)])
    with pytest.raises(InputError, match=r"none.conllu: expected a file of CoNLL-U, found none"):
        read([f"{tmp_path}/none.conllu"])
    with pytest.raises(InputError, match=r"expected a list of files, got one string"):
        read(latin)


def test_no_items_are_an_error(write: Write) -> None:
    other = [(*row[:2], "_", *row[3:]) for row in ROWS]  # a treebank without PTB tags
    spaced = [(*row[:1], row[1].replace("are", "a\u00a0re"), *row[2:]) for row in ROWS]
    for lines, reason in (
        (sentence(rows=other), r"expected PTB tags in XPOS, such as NN and NNS of nouns, got _$"),
        (["# text = nothing", ""], r"got 0 sentences, none with a subject \(nsubj\)$"),
        (sentence(rows=spaced), r"left out: .*white space in a token 1"),
    ):
        path = write("a.conllu", *lines)
        with pytest.raises(InputError, match=rf"^{path}: .*{reason}"):
            read([path])


def test_a_split_needs_files_or_a_repository(write: Write) -> None:
    path = write("a.conllu", *sentence())
    with pytest.raises(InputError, match=r"^validation: expected files or a repository"):
        Treebank([path], test=[path]).load()


Columns = dict[str, list[Any]]


def columns(rows: Sequence[Sequence[str]] = ROWS, nothing: str | None = None) -> Columns:
    _, forms, tags, heads, relations = zip(*rows, strict=True)
    heads = tuple(nothing if head == "_" else head for head in heads)
    lists = {"tokens": forms, "xpos": tags, "head": heads, "deprel": relations}
    return {name: [list(values)] for name, values in lists.items()}


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., str]:
    def make(table: Columns, *splits: str) -> str:
        """Write a folder in the layout of the Hub's: one Parquet file a treebank and split."""
        folder = tmp_path / "hub"
        listed = []
        for split in splits:
            path = folder / f"parquet/en_ewt/{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            named = {**table, "sent_id": [split]} if "xpos" in table else table
            datasets.Dataset.from_dict(named).to_parquet(path)
            listed.append(f"  - {{split: {split}, path: parquet/en_ewt/{split}.parquet}}")
        config = ["---", "configs:", "- config_name: en_ewt", "  data_files:", *listed, "---", ""]
        (folder / "README.md").write_text("\n".join(config))
        return str(folder)

    return make


@pytest.mark.parametrize("nothing", [None, "None", "_"])
@pytest.mark.parametrize("validation", ["validation", "dev"])
def test_a_repository_gives_its_own_splits(
    repository: Callable[..., str], nothing: str | None, validation: str
) -> None:
    folder = repository(columns(nothing=nothing), "train", validation, "test")
    splits = Treebank(repository=folder).load()
    assert [row["id"] for rows in splits.values() for row in rows] == [
        "train:3",
        f"{validation}:3",
        "test:3",
    ]
    assert all(some(rows[0]) == FOUND for rows in splits.values())


def test_heads_of_a_repository_are_counted_from_1(repository: Callable[..., str]) -> None:
    main = [*ROWS[:3], ("3", "keys", "NNS", "4", "nsubj"), ("4", "open", "VBP", "0", "root")]
    splits = Treebank(repository=repository(columns(main), *SPLITS)).load()
    assert some(splits["test"][0]) == {**FOUND, "text": "Today 's keys open"}


def test_files_go_before_a_repository(repository: Callable[..., str], write: Write) -> None:
    folder = repository(columns(), "train", "test")
    path = write("a.conllu", *sentence("named"))
    splits = Treebank(validation=[path], repository=folder).load()
    assert list(splits["validation"]["id"]) == ["named:3"]
    with pytest.raises(InputError, match=r"hub, en_ewt: expected a split 'validation', found tr"):
        Treebank(repository=folder).load()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": [["a", "b"]]}, r"hub, en_ewt \(train\), row 1: expected lists of one length"),
        ({"head": [["9"] * 7]}, r"hub, en_ewt \(train\), row 1: expected heads from 0 to 7"),
        ({"head": [["x"] * 7]}, r"hub, en_ewt \(train\), row 1: expected heads from 0 to 7"),
        ({"xpos": [["_"] * 7]}, r"hub, en_ewt \(train\): expected PTB tags in XPOS"),
    ],
)
def test_bad_tables(repository: Callable[..., str], change: Columns, message: str) -> None:
    folder = repository({**columns(), **change}, *SPLITS)
    with pytest.raises(InputError, match=message):
        Treebank(repository=folder).load()


def test_a_table_without_the_columns(repository: Callable[..., str]) -> None:
    folder = repository({"text": ["a"], "tokens": [["a"]]}, *SPLITS)
    with pytest.raises(InputError, match=r"en_ewt: expected also the columns xpos, head, deprel"):
        Treebank(repository=folder).load()
    with pytest.raises(InputError, match=r"hub, xx_y: can't be loaded: .*en_ewt"):
        Treebank(repository=folder, treebank="xx_y").load()


def test_no_network_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(InputError, match=r"the Hugging Face Hub can't be reached") as error:
        Treebank(repository="commul/universal_dependencies").load()
    assert "\n" not in str(error.value)


@real
@pytest.mark.parametrize(
    ("trees_of", "items_of", "size"),
    [
        ("en_ewt-ud-train", "agr_ud_ewt_train", 1952),
        ("en_ewt-ud-dev", "agr_ud_ewt_dev", 242),
        ("en_ewt-ud-test", "agr_ud_ewt_test", 230),
        ("en_pud-ud-test", "agr_ud_pud_test", 280),
    ],
)
def test_gold_trees_give_the_known_items(trees_of: str, items_of: str, size: int) -> None:
    """Equal as multisets, duplicates included, in every field that both have."""
    fields = ("text", "tags", "subj_idx", "verb_idx", "n_attractors", "verb", "verb_alt")
    with gzip.open(f"{DATA}/ud/{items_of}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(row) for row in file]
    known = Counter(
        (row["id"].partition(":")[2], row["label"], *(row[field] for field in fields))
        for row in rows
    )
    found = Counter(
        (row["id"], "sg" if row["label"] == 0 else "pl", *(row[field] for field in fields))
        for row in read([f"{DATA}/conllu/{trees_of}.conllu.gz"])
    )
    assert found.total() == size
    assert found == known
