"""`memgate oracle`: set by hand, tested, tracked and registered like what is learned."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import memgate
from memgate.baselines.rules import baseline_predictions
from memgate.cli import main
from memgate.data.sources.grammar import Grammar
from memgate.data.tagger import Tagger
from memgate.data.vocabulary import UNKNOWN_WORD, Vocabulary
from memgate.errors import InputError
from memgate.fitting.hand_set import hand_set_classifier, noun_ids
from memgate.tracking.registry.versions import champions
from memgate.tracking.store import connect

NOUNS = {"NN", "NNS"}


def words_and_tags(items: datasets.Dataset) -> list[tuple[list[str], list[str]]]:
    """The words that are read of each item, and their tags."""
    columns = (items[name] for name in ("text", "tags", "verb_idx"))
    return [
        (text.split(" ")[:n], tags.split(" ")[:n]) for text, tags, n in zip(*columns, strict=True)
    ]


def class_is_known(items: datasets.Dataset, train: datasets.Dataset) -> np.ndarray:
    """Whether every word of an item is of the class that its tag is most often of in training."""
    tags = defaultdict[str, Counter[str]](Counter)
    for text, given in zip(train["text"], train["tags"], strict=True):
        for word, tag in zip(text.split(" "), given.split(" "), strict=True):
            tags[word][tag] += 1
    common = {word: counts.most_common(1)[0][0] for word, counts in tags.items()}
    return np.array(
        [
            all(
                common.get(word) == tag or not {common.get(word, "NN"), tag} & NOUNS
                for word, tag in zip(*item, strict=True)
            )
            for item in words_and_tags(items)
        ]
    )


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_it_follows_the_rule_item_by_item(
    empty: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["oracle", "--cell", cell, "--data", "synthetic"]) == 0
    name = f"memgate-{cell}-synthetic-oracle"
    assert f"registered {name} version 1" in capsys.readouterr().out
    assert champions() == [f"models:/{name}@champion"]
    client = connect()
    (version,) = client.search_model_versions(f"name='{name}'")
    run = client.get_run(str(version.run_id))
    assert run.info.status == "FINISHED"
    assert run.data.tags["weights"] == version.tags["weights"] == "hand-set"
    assert (run.data.params["k"], run.data.params["hidden_size"]) == ("10.0", "2")
    assert "optimizer" not in run.data.params  # nothing was trained
    splits = Grammar(train=600, validation=100, test=200, max_intervening=6).load()
    train, test = splits["train"], splits["test"]
    table = test.with_format("arrow")[:]
    model = memgate.load(f"models:/{name}@champion")
    assert (model.classifier.recurrence.hidden_size, model.classifier.config["cell"]) == (2, cell)
    prefixes = [" ".join(words) for words, _ in words_and_tags(test)]
    answers = np.where(model.predict(prefixes) > 0.5, "pl", "sg")
    rule = baseline_predictions(table, "sg")["first_noun"].to_numpy()
    known = class_is_known(test, train)
    assert 0.9 < known.mean() < 1  # the smaller part has words that training doesn't
    assert (answers == rule)[known].all()
    right = answers == np.array(["sg", "pl"])[test["label"]]
    # "clause+pp" has a noun before the subject, "pp" none
    holds = np.array(["+" not in condition for condition in test["condition"]])
    assert holds.sum() > 20
    assert right[holds & known].all()
    assert right[~holds].mean() < 0.75
    assert main(["generate", "--out", "items.jsonl", "--items", "50", "--seed", "1"]) == 0
    args = ["--data", "items.jsonl", "--out", "out"]
    assert main(["evaluate", f"models:/{name}@champion", *args]) == 0
    systems = pd.read_csv("out/accuracy.csv")["system"].unique()
    assert set(systems) == {
        *("network", "majority", "first_noun", "last_noun", "noun_majority", "last_words")
    }
    assert main(["gates", f"models:/{name}@champion", *args]) == 0


def test_an_rnn_has_no_gate_to_set(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oracle", "--cell", "rnn", "--data", "synthetic"]) == 2
    assert "expected 'gru' or 'lstm', got 'rnn'" in capsys.readouterr().err


def test_words_are_of_the_class_of_their_most_frequent_tag() -> None:
    vocabulary = Vocabulary.from_words(["the", "cat", "love", "dogs"], ["NN", "NNS", "VBZ"])
    words = ["the", "cat", "love", "dogs", UNKNOWN_WORD, "unread"]
    tagger = Tagger(pa.array(words), pa.array(["DT", "NN", "VBP", "NNS", "NN", "NN"]))
    entries = vocabulary.tokenizer.get_vocab()
    # the symbols are of their own class; <unk> of none, even where texts have it as a noun
    expected = {"sg": [entries["cat"], entries["NN"]], "pl": [entries["dogs"], entries["NNS"]]}
    assert noun_ids(vocabulary, tagger) == expected


def test_without_a_noun_it_answers_as_training_leans() -> None:
    train = Grammar(train=40, validation=1, test=1).load()["train"]
    vocabulary = Vocabulary.from_words(["the"])
    for label, odds in ((0, 1 / 21), (1, 21)):
        table = train.filter(lambda row, label=label: row["label"] == label).with_format("arrow")[:]
        assert len(table) == 20
        logit = hand_set_classifier("gru", vocabulary, table)(torch.tensor([[1, 1, 1]]))
        assert logit.item() == pytest.approx(np.log(odds), abs=1e-6)


def test_items_without_tags_say_no_noun() -> None:
    table = Grammar(train=5, validation=1, test=1).load()["train"].with_format("arrow")[:]
    place = table.schema.get_field_index("tags")
    bare = table.set_column(place, table.schema.field(place), pa.nulls(5, pa.string()))
    with pytest.raises(InputError, match="expected training items with tags"):
        hand_set_classifier("gru", Vocabulary.from_words(["the"]), bare)


def test_another_task_and_missing_configurations_are_told(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = empty / "configs/data/synthetic.yaml"
    path.write_text(path.read_text().replace("data:\n", "data:\n  task: grammaticality\n"))
    command = ["oracle", "--cell", "gru", "--data"]
    assert main([*command, "synthetic"]) == 2
    assert "expected the task 'number'" in capsys.readouterr().err
    assert main([*command, "nowhere"]) == 2
    assert "data/nowhere.yaml: expected a configuration file" in capsys.readouterr().err
    assert not (empty / "mlruns").exists()
