"""Classifiers set by hand: their gates as the lecture has them, and their answers as the rule."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.models.hand_set import GatedCell, oracle
from memgate.models.trajectory import replay, unroll
from memgate.predictor import Predictor

both = pytest.mark.parametrize("cell", ["gru", "lstm"])
OTHER, SINGULAR, PLURAL = 0, 1, 2
words = st.lists(st.sampled_from([OTHER, SINGULAR, PLURAL]), min_size=1, max_size=60)
MODELS = {cell: oracle(cell, 3, [SINGULAR], [PLURAL], log_odds=-1.5) for cell in ("gru", "lstm")}


def first_noun(read: list[int]) -> int:
    """The rule: the number of the first noun; singular where there is none."""
    nouns = [word for word in read if word != OTHER]
    return int(bool(nouns) and nouns[0] == PLURAL)


@both
@given(words)
def test_the_answer_is_the_number_of_the_first_noun(cell: str, read: list[int]) -> None:
    p = float(MODELS[cell].probability(torch.tensor([read])))
    assert (p > 0.5) == bool(first_noun(read))
    assert abs(p - 0.5) > 0.3  # never in doubt


@both
@given(words)
def test_it_writes_at_the_first_noun_and_keeps_from_there_on(cell: str, read: list[int]) -> None:
    model = copy.deepcopy(MODELS[cell]).double()
    inputs = model.embedding(torch.tensor([read]))
    (layer,) = unroll(model.recurrence, inputs)
    (again,) = replay(model.recurrence, inputs)
    write, keep = layer.readings["write"][0], layer.readings["keep"][0]
    torch.testing.assert_close(write, again.readings["write"][0], rtol=0, atol=1e-12)
    nouns = [t for t, word in enumerate(read) if word != OTHER]
    first = nouns[0] if nouns else len(read)
    assert (write[:first] < 1e-4).all()  # the lecture's table: 0.00005 before the noun,
    assert (write[first : first + 1] > 0.9999).all()  # 0.99995 at it,
    assert (write[first + 1 :] < 1e-4).all()  # and 0.00005 or less behind it
    assert (keep[first + 1 :] > 0.9999).all()
    memory = (layer.hidden if layer.cell is None else layer.cell)[0, :, 0]
    if nouns:
        expected = 1 if read[first] == PLURAL else -1
        torch.testing.assert_close(
            memory[first:], torch.full_like(memory[first:], expected), rtol=0, atol=1e-2
        )


@both
def test_the_longest_subject_of_the_grammar_outlasts_80_nouns_of_the_other_number(
    cell: GatedCell,
) -> None:
    model = oracle(cell, 3, [SINGULAR], [PLURAL]).double()
    read = torch.tensor([[PLURAL] + 80 * [SINGULAR], [SINGULAR] + 80 * [PLURAL]])
    (layer,) = unroll(model.recurrence, model.embedding(read))
    number = (layer.hidden if layer.cell is None else layer.cell)[:, -1, 0]
    leak = 80 * 2 * torch.sigmoid(torch.tensor(-10.0)).item()  # 0.007, as the docstring says
    expected = (1 - leak) * torch.tensor([1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(number, expected, rtol=0, atol=1e-3)


@both
def test_the_table_of_the_docstring(cell: GatedCell) -> None:
    """Wu·[h, x] + bu is -10, 10, -30 and -10 at the, cat, which and food."""
    model = oracle(cell, 3, [SINGULAR], [PLURAL]).double()
    read = [OTHER, SINGULAR, OTHER, PLURAL]
    (layer,) = unroll(model.recurrence, model.embedding(torch.tensor([read])))
    found = torch.logit(layer.readings["write"][0, :, 0]) if cell == "lstm" else None
    if found is None:  # 1 - z loses digits where z is 1: the keep gate has them
        found = -torch.logit(layer.readings["keep"][0, :, 0])
    torch.testing.assert_close(
        found, torch.tensor([-10.0, 10.0, -30.0, -10.0], dtype=torch.float64), rtol=0, atol=1e-2
    )


@both
def test_it_is_an_ordinary_predictor(cell: GatedCell, tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_words(["the", "cat", "dogs"], ["NNS"])
    model = Predictor(oracle(cell, len(vocabulary), [2], [3, 4]), vocabulary)
    model.save(tmp_path)
    texts = ["the cat the dogs", "the dogs the cat", "the"]
    p = Predictor.load(tmp_path).predict(texts)
    assert p.tolist() == model.predict(texts).tolist()
    assert (p > 0.5).tolist() == [False, True, False]
    assert p[2] == 0.5  # no noun, and no leaning


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"singular_ids": [3]}, "singular_ids: expected ids from 0 to 2, got 3"),
        ({"plural_ids": [1]}, "expected none of the singular ids, got 1"),
        ({"log_odds": 10.0}, "log_odds: expected -9 to 9"),
    ],
)
def test_faults_are_told(wrong: dict[str, Any], message: str) -> None:
    right: dict[str, Any] = {
        "cell": "gru",
        "vocab_size": 3,
        "singular_ids": [1],
        "plural_ids": [2],
    }
    with pytest.raises(InputError, match=message):
        oracle(**{**right, **wrong})
