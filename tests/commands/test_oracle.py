"""`memgate oracle`: set by hand, tested, tracked and registered like what is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import memgate
from memgate.cli import main
from memgate.data.baselines import baseline_predictions
from memgate.data.grammar import Grammar
from memgate.tracking.registry import champions


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_it_follows_the_rule_item_by_item(
    empty: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["oracle", "--cell", cell, "--data", "synthetic"]) == 0
    name = f"memgate-{cell}-synthetic-oracle"
    assert f"registered {name} version 1" in capsys.readouterr().out
    assert champions() == [f"models:/{name}@champion"]
    test = Grammar(train=600, validation=100, test=200, max_intervening=6).load()["test"]
    table = test.with_format("arrow")[:]
    model = memgate.load(f"models:/{name}@champion")
    assert (model.classifier.recurrence.hidden_size, model.classifier.config["cell"]) == (2, cell)
    prefixes = [
        " ".join(text.split(" ")[:n])
        for text, n in zip(test["text"], test["verb_idx"], strict=True)
    ]
    answers = np.where(model.predict(prefixes, None) > 0.5, "pl", "sg")
    rule = baseline_predictions(table, "sg")["first_noun"].to_numpy()
    known = ~np.array(["<unk>" in prefix for prefix in prefixes])
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
    with pytest.raises(SystemExit):
        main(["oracle", "--cell", "rnn", "--data", "synthetic"])
    assert "invalid choice: 'rnn'" in capsys.readouterr().err
