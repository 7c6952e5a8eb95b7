from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import datasets
import pytest
from scipy.stats import chi2_contingency

from memgate.data.items.numbers import LABELS, NOUN_NUMBER, VERB_NUMBER
from memgate.data.items.roles import roles
from memgate.data.items.schema import FEATURES, parse_item
from memgate.data.sources.grammar.lexicon import terminals
from memgate.data.sources.grammar.source import Grammar
from memgate.errors import InputError

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def splits() -> datasets.DatasetDict:
    return Grammar(train=20_000, validation=1_000, test=2_000).load()


@pytest.fixture(scope="module")
def rows(splits: datasets.DatasetDict) -> list[Row]:
    return list(opened(splits["train"]))


def opened(split: datasets.Dataset) -> Iterator[Row]:
    """Rows with words, tags and label as Python values, and the words between counted."""
    for row in split.to_list():
        words, tags, label = row["text"].split(" "), row["tags"].split(" "), LABELS[row["label"]]
        length = row["verb_idx"] - row["subj_idx"] - 1
        front, _, core = row["condition"].rpartition("+")
        yield (
            row
            | {"words": words, "tags": tags, "label": label, "length": length}
            | {
                "front": front,
                "core": core,
            }
        )


def nouns(row: Row, start: int = 0) -> list[str]:
    """Numbers of the common nouns before the verb."""
    tags = row["tags"][start : row["verb_idx"]]
    return [NOUN_NUMBER[tag] for tag in tags if tag in NOUN_NUMBER]


def accuracy(scores: list[float]) -> float:
    assert len(scores) > 1_000
    return sum(scores) / len(scores)


def test_splits_have_their_sizes_and_the_features_of_the_format(
    splits: datasets.DatasetDict,
) -> None:
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 20_000,
        "validation": 1_000,
        "test": 2_000,
    }
    for split in splits.values():
        assert split.features == FEATURES
        assert all(split.data[field].null_count == 0 for field in FEATURES)


def test_every_row_passes_the_check_of_the_format(splits: datasets.DatasetDict) -> None:
    for split in splits.values():
        for row in split.to_list():
            label = LABELS[row["label"]]
            assert parse_item(row | {"label": label}) == {**row, "label": label}


def test_roles_count_the_attractors_of_the_quota(rows: list[Row]) -> None:
    for row in rows:
        found = roles(row["tags"], row["subj_idx"], row["verb_idx"], row["label"])
        assert found.count("attractor") == row["n_attractors"]
    assert {row["n_attractors"] for row in rows} == {0, 1, 2, 3, 4}


def test_subject_and_verb_bear_the_label(rows: list[Row]) -> None:
    for row in rows:
        subject, verb = row["tags"][row["subj_idx"]], row["tags"][row["verb_idx"]]
        assert NOUN_NUMBER[subject] == VERB_NUMBER[verb] == row["label"]
        assert row["words"][row["verb_idx"]] == row["verb"] == row["good"]
        assert row["verb_alt"] == row["bad"] != row["verb"]
        assert row["words"][-1] == "."
        assert len(row["words"]) > row["verb_idx"] + 1


def test_every_word_bears_a_tag_it_can_have(rows: list[Row]) -> None:
    known = {entry for terminal in terminals().values() for number in terminal for entry in number}
    seen = {pair for row in rows for pair in zip(row["words"], row["tags"], strict=True)}
    assert seen - known == {("an", "DT")}
    assert {("that", "WDT"), ("which", "WDT"), ("who", "WP"), ("that", "IN"), (",", ",")} < seen


def test_an_stands_before_vowels_and_a_before_the_rest(rows: list[Row]) -> None:
    articles = Counter[tuple[str, bool]]()
    for row in rows:
        for word, after in zip(row["words"], row["words"][1:], strict=False):
            if word in {"a", "an"}:
                articles[word, after[0] in "aeiou"] += 1
    assert set(articles) == {("a", False), ("an", True)}


def test_half_of_the_items_are_plural_in_every_split(splits: datasets.DatasetDict) -> None:
    for split in splits.values():
        assert sum(split["label"]) == len(split) // 2


def test_proportions_of_length_are_those_of_the_docstring(rows: list[Row]) -> None:
    lengths = Counter(row["length"] for row in rows)
    assert set(lengths) == set(range(81))
    strata = {(0, 0): 0.08, (1, 2): 0.12, (3, 5): 0.20, (6, 10): 0.25, (11, 80): 0.35}
    for (low, high), share in strata.items():
        found = sum(lengths[length] for length in range(low, high + 1)) / len(rows)
        assert found == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("field", ["length", "n_attractors", "condition"])
def test_the_label_is_independent_of_length_attractors_or_condition(
    rows: list[Row], field: str
) -> None:
    counts = Counter((row[field], row["label"]) for row in rows)
    table = [[counts[value, label] for value in {row[field] for row in rows}] for label in LABELS]
    assert chi2_contingency(table).pvalue > 0.001


def test_first_noun_is_right_in_70_percent_and_half_behind_a_front(rows: list[Row]) -> None:
    assert accuracy([nouns(row)[0] == row["label"] for row in rows]) == pytest.approx(
        0.70, abs=0.015
    )
    fronted = [nouns(row)[0] == row["label"] for row in rows if row["front"]]
    assert accuracy(fronted) == pytest.approx(0.5, abs=0.015)
    assert all(nouns(row)[0] == row["label"] for row in rows if not row["front"])


def test_last_noun_is_right_in_66_percent_and_half_behind_other_nouns(rows: list[Row]) -> None:
    assert accuracy([nouns(row)[-1] == row["label"] for row in rows]) == pytest.approx(
        0.66, abs=0.015
    )
    between = [row for row in rows if nouns(row, row["subj_idx"] + 1)]
    assert len(between) / len(rows) == pytest.approx(0.71, abs=0.015)
    drawn = [nouns(row)[-1] == row["label"] for row in between if row["core"] != "appositive"]
    assert accuracy(drawn) == pytest.approx(0.5, abs=0.015)


def test_noun_majority_is_right_in_75_percent(rows: list[Row]) -> None:
    def vote(row: Row) -> float:
        margin = sum(1 if number == row["label"] else -1 for number in nouns(row))
        return 0.5 if margin == 0 else float(margin > 0)

    assert accuracy([vote(row) for row in rows]) == pytest.approx(0.75, abs=0.015)


def test_last_present_tense_before_the_verb_is_right_in_55_percent(rows: list[Row]) -> None:
    scores = []
    for row in rows:
        verbs = [tag for tag in row["tags"][: row["verb_idx"]] if tag in VERB_NUMBER]
        if verbs:
            scores.append(float(VERB_NUMBER[verbs[-1]] == row["label"]))
    assert len(scores) / len(rows) == pytest.approx(0.42, abs=0.015)
    assert accuracy(scores) == pytest.approx(0.55, abs=0.02)


def test_no_prefix_and_no_sentence_occurs_twice(splits: datasets.DatasetDict) -> None:
    every = [row for split in splits.values() for row in opened(split)]
    assert len({row["text"] for row in every}) == len(every)
    assert len({" ".join(row["words"][: row["verb_idx"]]) for row in every}) == len(every)
    assert len({row["id"] for row in every}) == len(every)


def test_length_split_trains_up_to_30_words_and_tests_up_to_80() -> None:
    splits = Grammar(train=4_000, validation=2_000, test=6_000, split="length").load()
    lengths = {name: {row["length"] for row in opened(splits[name])} for name in splits}
    assert lengths["train"] == lengths["validation"] == set(range(31))
    assert max(lengths["test"]) == 80
    assert lengths["test"] >= set(range(60))


def test_same_seed_gives_the_same_items_on_any_machine() -> None:
    splits = Grammar(train=300, validation=100, test=100, seed=7).load()
    lines = [
        f"{row['text']}\t{row['tags']}\t{row['label']}\t{row['condition']}"
        for split in splits
        for row in splits[split].to_list()
    ]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == (
        "cb412fb79cbca66bf19eefa6001dcdbd27a2852aea6a5b8e0885b053888167a7"
    )


def test_another_seed_gives_other_items() -> None:
    one, two = (
        Grammar(train=200, validation=1, test=1, seed=seed).load()["train"] for seed in (0, 1)
    )
    assert not set(one["text"]) & set(two["text"])
    assert list(one["label"]) != list(two["label"])


def test_the_test_split_depends_on_no_other_size() -> None:
    small = Grammar(train=50, validation=10, test=500).load()
    large = Grammar(train=900, validation=300, test=500).load()
    assert small["test"].to_list() == large["test"].to_list()


def test_constructions_and_attractors_can_be_restricted() -> None:
    splits = Grammar(200, 50, 50, constructions=["pp", "complement"], max_attractors=1).load()
    assert set(splits["train"]["condition"]) == {"pp", "complement+pp"}
    assert set(splits["train"]["n_attractors"]) == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": 0}, "train: expected at least 1 item, got 0"),
        ({"test": -5}, "test: expected at least 1 item, got -5"),
        ({"split": "lenght"}, "split: expected 'random' or 'length', got 'lenght'"),
        ({"seed": -1}, "seed: expected 0 to 4294967295, got -1"),
        ({"max_intervening": 81}, "max_intervening: expected 0 to 80, got 81"),
        ({"split": "length", "max_intervening": 30}, "expected more than 30 .* got 30"),
        ({"split": "length", "max_intervening": 99}, "expected 0 to 80, got 99"),
        ({"max_attractors": 5}, "max_attractors: expected 0 to 4, got 5"),
        ({"constructions": ["pp", "passive"]}, "expected some of bare, .*; got 'passive'"),
    ],
)
def test_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Grammar(**arguments)


def test_refuses_more_items_than_there_are_prefixes() -> None:
    with pytest.raises(InputError, match=r"got 150002; after \d+ it found no new one for 'bare'"):
        Grammar(train=150_000, validation=1, test=1, constructions=["bare"]).load()
