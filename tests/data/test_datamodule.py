"""Data for a task, from any source: what is left out, what the vocabulary holds, what is served."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pytest

from memgate.data.datamodule import AgreementData, RareWords
from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.items.tasks import GRAMMATICALITY, TASKS, TaskName
from memgate.errors import InputError

Row = dict[str, Any]

KEYS = {
    "text": "the keys near it are here",
    "tags": "DT NNS IN PRP VBP RB",
    "verb_idx": 4,
    "subj_idx": 1,
    "label": "pl",
    "verb": "are",
    "verb_alt": "is",
}
CAT = {**KEYS, "text": "a cat sleeps .", "tags": "DT NN VBZ .", "verb_idx": 2, "label": "sg"} | {
    "verb": "sleeps",
    "verb_alt": "sleep",
}
BARE = {"text": "some dogs", "verb_idx": 2, "label": "pl"}


@dataclass(frozen=True)
class Given:
    """A source of the rows at hand, the same in every split but for those that are named."""

    rows: list[Row]
    others: dict[str, list[Row]]

    def load(self) -> datasets.DatasetDict:
        nothing = dict.fromkeys(FEATURES)
        return datasets.DatasetDict(
            {
                split: datasets.Dataset.from_list(
                    [{**nothing, **row} for row in self.others.get(split, self.rows)],
                    features=FEATURES,
                )
                for split in SPLITS
            }
        )


def made(
    task: TaskName, rows: list[Row], others: dict[str, list[Row]] | None = None, **options: Any
) -> AgreementData:
    data = AgreementData(Given(rows, others or {}), "given", task, **options)
    data.setup()
    return data


def entries(data: AgreementData) -> set[str]:
    return set(data.vocabulary.tokenizer.get_vocab()) - {"<unk>"}


PREFIXES = {"the", "keys", "near", "it", "a", "cat"}


@pytest.mark.parametrize(
    ("task", "left_out", "read"),
    [
        ("number", 0, PREFIXES | {"some", "dogs"}),
        ("inflection", 1, PREFIXES | {"is", "sleeps"}),
        ("nouns", 1, {"keys", "cat"}),
    ],
)
def test_what_is_left_out_and_which_words_are_read(
    task: TaskName, left_out: int, read: set[str]
) -> None:
    data = made(task, [BARE, KEYS, CAT])
    assert data.task is TASKS[task]
    assert data.left_out == dict.fromkeys(SPLITS, left_out)
    assert entries(data) == read
    for split in SPLITS:
        assert data.splits[split]["text"][:] == [
            row["text"] for row in ([BARE, KEYS, CAT] if left_out == 0 else [KEYS, CAT])
        ]
        assert data.table(split).column_names == list(FEATURES)
        assert len(data.prefixes[split]) == 3 - left_out


def test_grammaticality_reads_whole_sentences_with_the_verbs_that_were_drawn() -> None:
    texts = [f"{'the ' * n}keys near it are here" for n in range(9)]
    rows = [{**KEYS, "text": text, "verb_idx": n + 3} for n, text in enumerate(texts)]
    rows = [{**row, "tags": None, "subj_idx": None} for row in rows]
    data = made("grammaticality", [BARE, *rows])
    assert data.left_out["train"] == 1
    assert entries(data) == {"the", "keys", "near", "it", "are", "is", "here"}
    task_inputs = GRAMMATICALITY.make_inputs(data.table("train"), 0)
    ids = data.prefixes["train"].ids.tolist()
    words = [word for text in task_inputs.texts.to_pylist() for word in text.split()]
    vocabulary = data.vocabulary.tokenizer.get_vocab()
    assert ids == [vocabulary[word] for word in words]
    assert data.prefixes["train"].targets.tolist() == task_inputs.targets.tolist()
    assert 0 < task_inputs.targets.sum() < 9
    assert data.prefixes["train"].labels.tolist() == [1] * 9


def test_the_seed_of_the_order_leaves_the_questions_alone() -> None:
    rows = [{**KEYS, "text": f"the keys near n{n} are here"} for n in range(40)]
    first, again, other = (
        made("grammaticality", rows, {}, **seeds).prefixes["test"].targets.tolist()
        for seeds in ({"seed": 0}, {"seed": 1}, {"flip_seed": 1})
    )
    assert first == again
    assert 10 < np.count_nonzero(np.array(first) != other) < 30


def test_what_is_not_read_counts_as_it_does_in_number_prediction() -> None:
    whole, noun = made("number", [KEYS, CAT]), made("inflection", [KEYS, CAT])
    for split in SPLITS:
        for name in ("labels", "intervening", "attractors"):
            one, other = (getattr(data.prefixes[split], name) for data in (whole, noun))
            assert one.tolist() == other.tolist()
    assert noun.prefixes["train"].intervening.tolist() == [2, 0]
    assert noun.prefixes["train"].lengths.tolist() == [5, 3]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("task", "needs"),
    [
        ("inflection", "both forms of their verb (verb and verb_alt)"),
        ("grammaticality", "both forms of their verb (verb and verb_alt)"),
        ("nouns", "tags and a noun"),
    ],
)
def test_a_split_on_which_nothing_can_be_asked_is_named(
    task: TaskName, needs: str, split: str
) -> None:
    with pytest.raises(InputError) as caught:
        made(task, [KEYS, CAT], {split: [BARE, BARE]})
    assert str(caught.value) == (
        f"given, {split}: expected items with {needs}, which the task '{task}' needs, got none of 2"
    )


def test_the_source_is_read_once() -> None:
    data = made("inflection", [KEYS, BARE])
    prefixes = data.prefixes
    data.source = Given([], {})
    data.setup("test")
    assert data.prefixes is prefixes
    assert data.left_out["train"] == 1


def read_as(data: AgreementData, split: str, word: str) -> list[str]:
    """As what a word of the first item of a split is read, item by item."""
    texts = data.splits[split]["text"]
    entries = data.vocabulary.entries.to_pylist()
    prefixes = data.prefixes[split]
    read = []
    for text, start in zip(texts, prefixes.starts.tolist(), strict=True):
        words = text.split(" ")
        if word in words:
            read.append(entries[int(prefixes.ids[start + words.index(word)])])
    return read


# "gnus" is rare; it is a noun in two of three items, and a verb in the third.
GNUS = [
    {**KEYS, "text": f"the {noun} near it are here", "verb_idx": 4}
    for noun in ["keys"] * 3 + ["gnus"] * 200
]
GNU_VERBS = [
    {**KEYS, "text": "the keys gnus it are here", "tags": "DT NNS VBD PRP VBP RB"}
    for _ in range(100)
]
SMALL: dict[str, Any] = {"vocab_size": 2}  # the, it


def test_rare_words_are_read_in_training_in_the_proportions_that_are_set() -> None:
    rows = [*GNUS, *GNU_VERBS]
    mixed = RareWords(tag=0.5, usual_tag=0.3, unknown=0.2)
    data = made("number", rows, rare_words=mixed, **SMALL)
    counts = Counter(read_as(data, "train", "gnus"))
    assert set(counts) == {"NNS", "VBD", "<unk>"}
    assert counts.total() == 300
    # 100 verbs: half as themselves; binomial, four standard deviations
    assert abs(counts["VBD"] - 50) < 20
    assert abs(counts["<unk>"] - 60) < 28
    again = made("number", rows, rare_words=mixed, **SMALL)
    assert Counter(read_as(again, "train", "gnus")) == counts
    other = made("number", rows, rare_words=mixed, seed=1, **SMALL)
    assert read_as(other, "train", "gnus") != read_as(data, "train", "gnus")


def test_held_out_words_are_read_as_their_own_tag() -> None:
    data = made("number", [*GNUS, *GNU_VERBS], **SMALL)
    assert Counter(read_as(data, "test", "gnus")) == {"NNS": 200, "VBD": 100}


def test_the_recipe_of_linzen_reads_a_word_without_tag_as_unknown() -> None:
    untagged = [{**BARE, "text": "the gnus", "verb_idx": 2}]
    linzen = RareWords(tag=1, usual_tag=0, unknown=0)
    data = made("number", GNUS, {"test": untagged}, rare_words=linzen, **SMALL)
    assert set(read_as(data, "train", "gnus")) == {"NNS"}
    assert read_as(data, "test", "gnus") == ["<unk>"]
    assert data.vocabulary.lexicon is None


def test_by_default_a_word_without_tag_is_read_as_its_usual_tag() -> None:
    untagged = [{**BARE, "text": "the gnus", "verb_idx": 2}]
    data = made("number", [*GNUS, *GNU_VERBS], {"test": untagged}, **SMALL)
    assert read_as(data, "test", "gnus") == ["NNS"]


def test_a_word_below_the_least_count_is_rare() -> None:
    data = made("number", GNUS, min_count=4)
    assert set(data.vocabulary.entries.to_pylist()) >= {"the", "near", "it", "gnus", "NNS"}
    assert "keys" not in data.vocabulary.entries.to_pylist()  # three times


@pytest.mark.parametrize("proportions", [(0.5, 0.5, 0.5), (1.5, -0.5, 0.0), (0.0, 0.0, 0.0)])
def test_refuses_proportions_that_are_none(proportions: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match=r"^rare_words: expected tag, usual_tag and unknown"):
        RareWords(*proportions)
