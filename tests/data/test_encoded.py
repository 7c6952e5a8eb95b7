"""What is kept of encoded items: a hit equals a miss, and no file, nor its lack, breaks a start."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from memgate.data import encoded
from memgate.data.datamodule import AgreementData
from memgate.data.items.schema import FEATURES, SPLITS, Source
from memgate.data.items.tasks import TASKS
from memgate.data.sources.grammar import Grammar
from memgate.data.sources.jsonl import JsonLines
from memgate.data.sources.linzen import Linzen
from memgate.data.sources.treebank import Treebank

ROOT = Path(__file__).parents[2]
Row = dict[str, Any]

KEYS = {
    "text": "the keys near it are here",
    "tags": "DT NNS IN PRP VBP RB",
    "verb_idx": 4,
    "subj_idx": 1,
    "label": "pl",
    "verb": "are",
    "verb_alt": "is",
    "n_attractors": 0,
}
BARE = {"text": "Some DOGS", "verb_idx": 2, "label": "pl"}
ROWS = [KEYS, BARE, {**KEYS, "text": "The keys near n1 are here"}]


@dataclasses.dataclass(frozen=True)
class Given:
    """The same rows in every split, under a fingerprint that says nothing of them."""

    rows: list[Row]
    fingerprint: str = "same"

    def load(self) -> datasets.DatasetDict:
        nothing = dict.fromkeys(FEATURES)
        made = datasets.Dataset.from_list(
            [{**nothing, **row} for row in self.rows], features=FEATURES
        )
        named = datasets.Dataset(made.data, fingerprint=self.fingerprint)
        return datasets.DatasetDict(dict.fromkeys(SPLITS, named))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return encoded.folder()


def setup(source: Source, **options: Any) -> AgreementData:
    data = AgreementData(source, "given", **options)
    data.setup()
    return data


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def differences(one: AgreementData, other: AgreementData) -> list[str]:
    """Say what two set-ups don't have in common."""
    found = [] if one.vocabulary.digest() == other.vocabulary.digest() else ["vocabulary"]
    for name in ("splits", "left_out", "prefixes"):
        a, b = getattr(one, name), getattr(other, name)
        found += [] if list(a) == list(b) else [f"order of {name}"]
    found += [] if one.left_out == other.left_out else ["left_out"]
    for split in SPLITS:
        if not one.table(split).equals(other.table(split)):
            found.append(f"{split} table")
        for field in dataclasses.fields(one.prefixes[split]):
            a, b = (getattr(data.prefixes[split], field.name) for data in (one, other))
            same = type(a) is type(b) and a.dtype == b.dtype
            if not same or not np.array_equal(np.asarray(a), np.asarray(b)):
                found.append(f"{split} {field.name}")
    return found


words = st.lists(st.sampled_from(["the", "The", "keys", "NNS", "<unk>", "é", "İ"]), min_size=1)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Items of any words, tagged or not, on which every task can be posed at least once."""
    made: list[Row] = [KEYS]
    for prefix in draw(st.lists(words, max_size=4)):
        tags = draw(st.sampled_from([None, " ".join(["NN"] * len(prefix))]))
        subject = draw(st.sampled_from([None, *range(len(prefix))]))
        row = {"text": " ".join(prefix), "tags": tags, "subj_idx": subject}
        made.append({**row, "verb_idx": len(prefix), "label": draw(st.sampled_from(["sg", "pl"]))})
    return made


@given(rows(), st.sampled_from(sorted(TASKS)), st.integers(1, 4), st.booleans())
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_hit_is_a_miss(
    folder: Path, rows: list[Row], task: Any, vocab_size: int, lowercase: bool
) -> None:
    options = {"task": task, "vocab_size": vocab_size, "lowercase": lowercase}
    datasets.disable_caching()
    try:
        bare = setup(Given(rows), **options)
    finally:
        datasets.enable_caching()
    miss = setup(Given(rows), **options)
    before = kept(folder)
    hit = setup(Given(rows), **options)
    assert kept(folder) == before
    assert differences(bare, miss) == differences(bare, hit) == []


def unreachable() -> encoded.Encoded:
    raise AssertionError("made though it was kept")


def test_what_was_kept_is_not_made_again(folder: Path) -> None:
    asked = {"task": "number", "flip_seed": 0, "vocab_size": 10_000, "lowercase": True}
    setup(Given(ROWS))
    assert len(kept(folder)) == 1
    found = encoded.cached(Given(ROWS).load(), asked, unreachable)
    assert set(found.prefixes) == set(SPLITS)
    with pytest.raises(AssertionError, match="made though"):
        encoded.cached(Given(ROWS[:2]).load(), asked, unreachable)


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ([KEYS, BARE, {**KEYS, "text": "The keys near n2 are here"}], {}),
        ([KEYS, BARE, {**KEYS, "text": "The keys near n1 are here", "n_attractors": 1}], {}),
        (ROWS[::-1], {}),
        (ROWS, {"vocab_size": 9_999}),
        (ROWS, {"lowercase": False}),
        (ROWS, {"task": "inflection"}),
        (ROWS, {"task": "grammaticality"}),
        (ROWS, {"flip_seed": 1}),
    ],
)
def test_other_items_and_other_settings_are_no_hit(
    folder: Path, rows: list[Row], options: dict[str, Any]
) -> None:
    setup(Given(ROWS))
    setup(Given(rows), **options)
    assert len(kept(folder)) == 2


@pytest.mark.parametrize("options", [{"seed": 1}, {"batch_size": 2}, {"eval_batch_size": 2}])
def test_what_changes_nothing_that_is_kept_is_a_hit(folder: Path, options: dict[str, Any]) -> None:
    setup(Given(ROWS))
    setup(Given(ROWS, fingerprint="drawn anew"), **options)
    assert len(kept(folder)) == 1


def test_the_code_that_encodes_is_part_of_the_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup(Given(ROWS))
    monkeypatch.setattr(encoded, "_rules", lambda: "other code")
    setup(Given(ROWS))
    assert len(kept(folder)) == 2


def line(number: int, label: str = "pl") -> str:
    return f'{{"prefix": "the keys number {number}", "label": "{label}"}}\n'


def test_a_changed_file_is_read_again(folder: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{split}.jsonl" for split in SPLITS]
    for number, path in enumerate(paths):
        path.write_text(line(number))
    train, validation, test = ([str(path)] for path in paths)
    source = JsonLines(train, validation, test)
    first = setup(source)
    setup(source)
    assert len(kept(folder)) == 1
    paths[0].write_text(line(0, "sg") + line(7))
    os.utime(paths[0], (time.time() + 5, time.time() + 5))  # `datasets` looks at the time
    again = setup(source)
    assert len(kept(folder)) == 2
    assert first.prefixes["train"].labels.tolist() == [1]
    assert again.prefixes["train"].labels.tolist() == [0, 1]


def test_training_items_left_out_for_the_held_out_are_part_of_the_name(
    folder: Path, tmp_path: Path
) -> None:
    names = ("train", "one", "two", "test")
    paths = {name: str(tmp_path / f"{name}.jsonl") for name in names}
    for name, numbers in zip(names, [range(6), [1, 10], [2, 10], [11]], strict=True):
        Path(paths[name]).write_text("".join(map(line, numbers)))
    for name, left in (("one", [0, 2, 3, 4, 5]), ("two", [0, 1, 3, 4, 5])) * 2:
        data = setup(JsonLines([paths["train"]], [paths[name]], [paths["test"]]))
        assert [int(text.split()[-1]) for text in data.splits["train"]["text"]] == left
        entries = data.vocabulary.tokenizer.get_vocab()
        read = data.prefixes["train"].ids.reshape(-1, 4)[:, 3].tolist()
        assert read == [entries[str(number)] for number in left]
    assert len(kept(folder)) == 2


def replace(path: Path, content: bytes) -> None:
    """Write a new file: the old one may be mapped into this process."""
    path.unlink()
    path.write_bytes(content)


def swapped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda c: c[: len(c) // 2], lambda _: b"foreign" * 99, swapped]
)
def test_a_damaged_file_is_made_again(
    folder: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    whole = setup(Given(ROWS))
    (path,) = folder.iterdir()
    good = path.read_bytes()
    replace(path, damage(good))
    with caplog.at_level(logging.WARNING):
        assert differences(whole, setup(Given(ROWS))) == []
    assert "made again" in caplog.text
    assert len(caplog.records) == 1
    assert differences(whole, setup(Given(ROWS))) == []
    assert len(caplog.records) == 1  # it is whole again
    assert kept(folder) == [path.name]


@given(data=st.data())
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_no_flipped_bit_gets_through(folder: Path, data: st.DataObject) -> None:
    whole = setup(Given(ROWS))
    (path,) = folder.iterdir()
    good = bytearray(path.read_bytes())
    good[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    replace(path, bytes(good))
    assert differences(whole, setup(Given(ROWS))) == []


def test_files_of_others_are_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup(Given(ROWS))
    (path,) = folder.iterdir()
    other = setup(Given(ROWS[:2]))
    (second,) = set(folder.iterdir()) - {path}
    for foreign in (path.read_bytes(), None):
        second.unlink()
        if foreign is None:
            save_file({"a": torch.zeros(1)}, second)  # no word of what it is
        else:
            second.write_bytes(foreign)  # whole, but of other items
        assert differences(other, setup(Given(ROWS[:2]))) == []
    assert caplog.text.count("damaged, and made again") == 2


def test_a_folder_in_the_place_of_the_file_only_means_no_cache(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = setup(Given(ROWS))
    (path,) = folder.iterdir()
    path.unlink()
    path.mkdir()
    assert differences(whole, setup(Given(ROWS))) == []
    assert "can't be kept" in caplog.text
    assert kept(folder) == [path.name]


def test_where_nothing_can_be_written_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", blocked)
    data = setup(Given(ROWS))
    assert len(data.prefixes["train"]) == 3
    assert "can't be kept" in caplog.text
    assert len(caplog.records) == 1


@pytest.fixture
def _without_caching() -> Iterator[None]:
    datasets.disable_caching()
    yield
    datasets.enable_caching()


@pytest.mark.usefixtures("_without_caching")
def test_where_caching_is_switched_off_nothing_is_written(folder: Path) -> None:
    setup(Given(ROWS))
    assert not folder.exists()


def test_what_was_read_can_be_changed_and_the_file_stays(folder: Path) -> None:
    setup(Given(ROWS))
    (path,) = folder.iterdir()
    before = path.read_bytes()
    hit = setup(Given(ROWS))
    hit.prefixes["train"].ids.zero_()
    hit.prefixes["train"].lengths[:] = 0
    assert path.read_bytes() == before


def test_the_oldest_files_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, rows in ((30, ROWS[:1]), (20, ROWS[:2])):
        setup(Given(rows))
        for path in folder.iterdir():
            known = path.stat()
            os.utime(path, (known.st_atime - age, known.st_mtime - age))
    killed = folder / f"a{encoded.UNFINISHED}"
    killed.write_bytes(b"x")
    os.utime(killed, (0, 0))
    setup(Given(ROWS[:1]))  # used: the second is the oldest now
    assert len(kept(folder)) == 3
    size = max(path.stat().st_size for path in folder.iterdir())
    monkeypatch.setattr(encoded, "LIMIT", 2 * size + size // 2)
    setup(Given(ROWS))
    assert len(kept(folder)) == 2
    assert not killed.exists()
    setup(Given(ROWS[:1]))
    assert len(kept(folder)) == 2
    monkeypatch.setattr(encoded, "LIMIT", 0)
    setup(Given(ROWS[1:]))
    assert len(kept(folder)) == 1


def grammar(seed: int = 0) -> Grammar:
    return Grammar(train=2000, validation=100, test=100, seed=seed)


def in_turn(barrier: Any, said: Any) -> None:
    """Set up at the same moment as another process, and say what came of it."""
    for seed in range(5):
        barrier.wait(60)
        data = setup(grammar(seed))
        said.put((seed, data.vocabulary.digest(), int(data.prefixes["train"].ids.sum())))


def test_two_processes_at_once_agree(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, said = context.Barrier(2), context.Queue()
    both = [context.Process(target=in_turn, args=(barrier, said)) for _ in range(2)]
    for process in both:
        process.start()
    heard = [said.get(timeout=60) for _ in range(10)]
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(set(heard)) == 5
    assert len(kept(folder)) == 5
    data = setup(grammar(3))
    digest, ids = data.vocabulary.digest(), int(data.prefixes["train"].ids.sum())
    assert heard.count((3, digest, ids)) == 2
    assert len(kept(folder)) == 5


def test_the_name_is_the_same_in_another_process() -> None:
    program = (
        "from memgate.data import encoded; "
        "from memgate.data.sources.grammar import Grammar; "
        "items = Grammar(train=2000, validation=100, test=100).load(); "
        "print(encoded._key(items, {'task': 'number', 'flip_seed': 0}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    asked = {"flip_seed": 0, "task": "number"}  # in another order
    assert done.stdout.strip() == encoded._key(grammar().load(), asked)


@pytest.mark.parametrize(
    "source",
    [
        lambda data: Linzen([f"{data}/linzen/numpred.val.tsv.gz"], 0.1, 0.8),
        lambda data: Treebank(*([f"{data}/conllu/en_ewt-ud-test.conllu.gz"],) * 3),
        lambda _: Grammar(train=500, validation=50, test=50),
    ],
    ids=["linzen", "treebank", "grammar"],
)
def test_every_source_names_its_items_alike(folder: Path, source: Callable[[str], Source]) -> None:
    data = os.environ.get("MEMGATE_DATA")
    if data is None:
        pytest.skip("MEMGATE_DATA is not set")
    first, second = setup(source(data)), setup(source(data))
    assert len(kept(folder)) == 1
    assert differences(first, second) == []
