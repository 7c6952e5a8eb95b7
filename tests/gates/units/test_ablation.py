"""Ablation against an edit of one item at a time, and scores against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import Tensor

from memgate.data.batches import Prefixes
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.units.ablation import (
    ABLATION_ROWS,
    Ablation,
    mean_states,
    score_logits,
    single_units,
)
from memgate.gates.units.unit import Unit
from memgate.metrics.accuracy import wilson
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import replay, unroll

WORDS = "abcdefgh"

every_cell = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])


def build(cell: CellName, num_layers: int = 1) -> Classifier:
    """Three units a layer, in double, with states that use their range."""
    torch.manual_seed(0)
    classifier = Classifier(len(WORDS) + 1, cell, 4, 3, num_layers).double()
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.normal_(std=1.2)
    return classifier.eval()


def draw(n: int = 40) -> Prefixes:
    """Prefixes of 1 to 6 words, their subjects anywhere, the first of unknown place."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 7, n)
    texts = [" ".join(rng.choice(list(WORDS), length)) for length in lengths]
    prefixes = Prefixes.encode(Vocabulary.from_words(list(WORDS)), pa.array(texts))
    subjects = torch.from_numpy(rng.integers(0, lengths))
    subjects[0] = -1
    labels = torch.arange(n) % 3 % 2  # two thirds singular
    return Prefixes(**{**vars(prefixes), "subjects": subjects, "labels": labels, "targets": labels})


def item(prefixes: Prefixes, place: int) -> Tensor:
    start, length = int(prefixes.starts[place]), int(prefixes.lengths[place])
    return prefixes.ids[start : start + length].long()[None]


@every_cell
def test_the_mean_is_that_of_both_numbers_from_the_subject_on(cell: CellName) -> None:
    classifier, prefixes = build(cell, 2), draw()
    found = mean_states(classifier, prefixes)
    assert set(found) == ({"hidden", "cell"} if cell == "lstm" else {"hidden"})
    for name, values in found.items():
        for layer in range(2):
            states: dict[int, list[Tensor]] = {0: [], 1: []}
            for place in range(1, len(prefixes)):  # the first one has no subject
                inputs = classifier.embedding(item(prefixes, place))
                whole = getattr(replay(classifier.recurrence, inputs)[layer], name)
                states[int(prefixes.labels[place])].append(whole[0, prefixes.subjects[place] :])
            by_number = [torch.cat(each).mean(0) for each in states.values()]
            torch.testing.assert_close(values[layer], sum(by_number) / 2, rtol=0, atol=1e-12)


@every_cell
@pytest.mark.parametrize("lost", [[], [(1, 0)], [(0, 0), (0, 2), (1, 1)]])
def test_a_loss_is_an_edit_of_each_item_from_its_subject_on(
    cell: CellName, lost: list[tuple[int, int]]
) -> None:
    classifier, prefixes = build(cell, 2), draw()
    middle = mean_states(classifier, prefixes)
    found = Ablation(classifier, prefixes, middle).logits([[Unit(*each) for each in lost]])[0]
    for place in range(len(prefixes)):
        subject = int(prefixes.subjects[place])

        def edit(name: str, value: Tensor, layer: int, time: int, begin: int = subject) -> Tensor:
            for its, unit in lost:
                if name in middle and layer == its and 0 <= begin <= time:
                    value[:, unit] = middle[name][layer, unit]
            return value

        inputs = classifier.embedding(item(prefixes, place))
        last = unroll(classifier.recurrence, inputs, edit)[-1].hidden[:, -1]
        assert found[place] == pytest.approx(classifier.readout(last).item(), abs=1e-12)


@every_cell
def test_a_constant_unit_costs_nothing(cell: CellName) -> None:
    classifier, prefixes = build(cell), draw()
    with torch.no_grad():
        for name, weight in classifier.recurrence.named_parameters():
            weight[1::3] = 0  # the second of three units, in every part
            if cell == "rnn" and "bias" in name:
                weight[1] = 0.4
    ablation = Ablation(classifier, prefixes, mean_states(classifier, prefixes))
    intact, changed, other = ablation.logits([(), [Unit(0, 1)], [Unit(0, 0)]])
    np.testing.assert_allclose(changed, intact, rtol=0, atol=1e-12)
    assert np.abs(other - intact)[1:].min() > 1e-6


@every_cell
def test_without_any_unit_all_answers_are_the_same(cell: CellName) -> None:
    classifier, prefixes = build(cell), draw()
    ablation = Ablation(classifier, prefixes, mean_states(classifier, prefixes))
    logits = ablation.logits([[Unit(0, unit) for unit in range(3)]])[0]
    assert np.ptp(logits[1:]) == 0
    (found,) = ablation.scores([[Unit(0, unit) for unit in range(3)]])
    assert found.accuracy == pytest.approx(0.5, abs=0.06), "but for the item without a subject"


def test_sets_do_not_depend_on_one_another() -> None:
    classifier, prefixes = (
        build("gru"),
        draw(ABLATION_ROWS),
    )  # one length alone has more rows than half
    ablation = Ablation(classifier, prefixes, mean_states(classifier, prefixes))
    sets = [[], [Unit(0, 2)], [Unit(0, 0), Unit(0, 1)], [Unit(0, 1)]] * 4
    together = ablation.logits(sets)
    alone = np.concatenate([ablation.logits([each]) for each in sets[:4]] * 4)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)


def test_single_units_are_compared_with_the_whole_network() -> None:
    classifier, prefixes = build("lstm"), draw(200)
    attractors = np.arange(200) % 4 - 1  # unknown, 0, 1, 2
    prefixes = Prefixes(**{**vars(prefixes), "attractors": torch.from_numpy(attractors)})
    ablation = Ablation(classifier, prefixes, mean_states(classifier, prefixes))
    rows = single_units(ablation).to_dict("records")
    targets = prefixes.targets.numpy()
    intact, *losses = ablation.logits([(), *([Unit(0, unit)] for unit in range(3))]) > 0
    assert [(row["layer"], row["unit"]) for row in rows] == [(0, 0), (0, 1), (0, 2)]
    for row, lost in zip(rows, losses, strict=True):
        for end, part in {"": attractors > -2, "_without": attractors == 0}.items():
            whole = balanced_accuracy_score(targets[part], intact[part])
            without = balanced_accuracy_score(targets[part], lost[part])
            assert row[f"drop{end}"] == pytest.approx(whole - without, abs=1e-12)
        assert (row["n"], row["n_without"], row["n_with"]) == (200, 50, 100)


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1, max_size=60))
def test_scores_are_those_of_scikit_learn(answers: list[tuple[float, bool]]) -> None:
    logits = np.array([logit for logit, _ in answers])
    targets = np.array([target for _, target in answers], dtype=np.int64)
    found = score_logits(logits, targets)
    assert found.n == len(answers)
    if targets.min() == targets.max():
        assert np.isnan(found[1:]).all()
        return
    assert found.accuracy == pytest.approx(balanced_accuracy_score(targets, logits > 0))
    assert found.auc == pytest.approx(roc_auc_score(targets, logits))
    assert -1e-12 <= found.low <= found.accuracy <= found.high <= 1 + 1e-12
    signed = np.where(targets == 1, logits, -logits)
    by_answer = [signed[targets == answer].mean() for answer in (0, 1)]
    assert found.margin == pytest.approx(np.mean(by_answer), abs=1e-9)


def test_the_interval_joins_those_of_both_answers() -> None:
    targets = np.repeat([0, 1], [30, 10])
    logits = np.where(np.arange(40) < 27, -1.0, 1.0)  # 27 of 30 and 10 of 10 are right
    low, high = wilson(27, 30)
    other, _ = wilson(10, 10)
    found = score_logits(logits, targets)
    assert found.accuracy == pytest.approx(0.95)
    assert found.low == pytest.approx(0.95 - np.hypot(0.9 - low, 1 - other) / 2)
    assert found.high == pytest.approx(0.95 + (high - 0.9) / 2)
    always = score_logits(np.ones(40), targets)
    assert always.low < always.accuracy == 0.5 < always.high


def test_units_and_items_that_are_not_there_are_refused() -> None:
    classifier, prefixes = build("gru"), draw()
    ablation = Ablation(classifier, prefixes, mean_states(classifier, prefixes))
    with pytest.raises(InputError, match=r"expected layers 0 to 0 and units 0 to 2, got 0:3"):
        ablation.logits([[Unit(0, 3)]])
    singular = Prefixes(**{**vars(prefixes), "labels": torch.zeros_like(prefixes.labels)})
    with pytest.raises(InputError, match="expected items of both numbers with a known subject"):
        mean_states(classifier, singular)
