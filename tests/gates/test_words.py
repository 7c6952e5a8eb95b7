"""Roles, places and cells of words, in a sentence done by hand."""

from __future__ import annotations

import datasets
import pytest
import torch

from memgate.data.batches import Batch, ExactLengthBatches, Prefixes
from memgate.data.items.schema import FEATURES, parse_item
from memgate.data.items.tasks import TASKS, TaskName
from memgate.data.vocabulary import Vocabulary
from memgate.gates.words import (
    KINDS,
    PROFILE_CELLS,
    PROFILE_STRATA,
    WordGroups,
    words_of,
)

ROW = {
    "text": "now the keys to the cabinet in halls are here",
    "tags": "RB DT NNS TO DT NN IN NNS VBP RB",
    "verb_idx": 8,
    "subj_idx": 2,
    "label": "pl",
    "verb": "are",
    "verb_alt": "is",
}


def read(row: dict[str, object], task: TaskName = "number") -> tuple[Prefixes, Batch]:
    table = datasets.Dataset.from_list([dict(parse_item(row))], FEATURES).with_format("arrow")[:]
    vocabulary = Vocabulary.from_words(["the"])
    prefixes = Prefixes.from_table(vocabulary, table, TASKS[task].make_inputs(table, 0))
    return prefixes, next(iter(ExactLengthBatches(prefixes)))


def strata(kind: torch.Tensor) -> list[str | None]:
    return [
        None if cell == PROFILE_CELLS - 1 else PROFILE_STRATA[cell // 4][1]
        for cell in kind.tolist()
    ]


def after(words: WordGroups) -> list[str | None]:
    return [KINDS[kind][1] for kind in words.kinds]


def roles_of(words: WordGroups) -> list[str]:
    return [KINDS[kind][0] for kind in words.kinds]


@pytest.mark.parametrize("right", [False, True])
def test_a_sentence_by_hand(right: bool) -> None:
    prefixes, batch = read(ROW)
    words = words_of(prefixes, batch, torch.tensor([right]))
    roles = ["before", "before", "subject", "other", "other", "attractor", "other", "noun"]
    assert roles_of(words) == roles
    assert after(words) == [None, None, "0", "1–2", "1–2", "3–5", "3–5", "3–5"]
    assert words.signs.tolist() == words.numbers.tolist() == [1] * 8
    assert strata(words.cells[0]) == roles
    assert strata(words.cells[1]) == ["-2", "-1", "0", "1", "2", "3", "4", "5"]
    assert strata(words.cells[2]) == [None, None, None, "-5", "-4", "-3", "-2", "-1"]
    assert set((words.cells[1] % 4).tolist()) == {2 + right}  # plural


@pytest.mark.parametrize("text", [ROW["text"], "but the keys to the cabinet in halls are here"])
def test_a_sentence_read_whole_ends_its_places_at_the_verb(text: str) -> None:
    prefixes, batch = read({**ROW, "text": text}, "grammaticality")
    words = words_of(prefixes, batch, torch.tensor([True]))
    assert roles_of(words)[8:] == ["verb", "unknown"]
    assert after(words)[6:] == ["3–5", "3–5", None, None], "none from the verb on"
    assert strata(words.cells[0])[8:] == ["verb", None]
    assert strata(words.cells[1])[7:] == ["5", None, None]
    assert strata(words.cells[2])[7:] == ["-1", None, None]
    sign = 2 * int(prefixes.targets[0]) - 1
    assert sign == (-1 if text == ROW["text"] else 1), "either answer is seen here"
    assert words.signs.tolist() == [sign] * 10
    assert words.numbers.tolist() == [1] * 10, "of the subject, whatever is asked"


@pytest.mark.parametrize("missing", ["tags", "subj_idx"])
def test_what_is_not_known_is_in_no_cell(missing: str) -> None:
    prefixes, batch = read({name: value for name, value in ROW.items() if name != missing})
    words = words_of(prefixes, batch, torch.tensor([True]))
    known = ["before", "before", "subject"] if missing == "tags" else []
    names = roles_of(words)
    assert names == known + ["unknown"] * (8 - len(known))
    assert strata(words.cells[0]) == known + [None] * (8 - len(known))
    places = [None, None, "0", "1–2", "1–2", "3–5", "3–5", "3–5"]
    assert after(words) == (places if missing == "tags" else [None] * 8), "a place needs no tag"
    if missing == "subj_idx":
        assert set(words.cells.flatten().tolist()) == {PROFILE_CELLS - 1}
    else:  # a place needs no tag
        assert strata(words.cells[1])[3:] == ["1", "2", "3", "4", "5"]


def test_distances_end_where_the_bins_of_intervening_words_do() -> None:
    words = ["keys", *["of"] * 12]
    row = {**ROW, "text": " ".join([*words, "are"]), "tags": "NNS " + "IN " * 12 + "VBP"}
    prefixes, batch = read({**row, "subj_idx": 0, "verb_idx": 13})
    bins = ["0", *["1–2"] * 2, *["3–5"] * 3, *["6–10"] * 5, *["11+"] * 2]
    assert after(words_of(prefixes, batch, torch.tensor([True]))) == bins


def test_words_lie_first_words_first() -> None:
    rows = [ROW, {**ROW, "text": "then a dog of the towns in rain is wet", "label": "sg"}]
    rows[1] |= {"tags": "RB DT NN IN DT NNS IN NN VBZ JJ", "verb": "is", "verb_alt": "are"}
    table = datasets.Dataset.from_list([dict(parse_item(row)) for row in rows], FEATURES)
    arrow = table.with_format("arrow")[:]
    prefixes = Prefixes.from_table(
        Vocabulary.from_words(["the"]), arrow, TASKS["number"].make_inputs(arrow, 0)
    )
    batch = next(iter(ExactLengthBatches(prefixes)))
    words = words_of(prefixes, batch, torch.tensor([True, False]))
    assert words.signs.tolist() == words.numbers.tolist() == [1, -1] * 8
    assert (words.cells[0] % 4).tolist() == [3, 0] * 8
    assert roles_of(words)[-4:] == ["other", "other", "noun", "noun"]
    assert after(words)[-4:] == ["3–5"] * 4
    assert after(words)[4:8] == ["0", "0", "1–2", "1–2"]
