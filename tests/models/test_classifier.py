"""The classifier against a forward pass written out in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor

from memgate.errors import InputError
from memgate.models.classifier import RECURRENCE, CellName, Classifier

every_cell = pytest.mark.parametrize("cell", sorted(RECURRENCE))


def sigmoid(values: Any) -> Any:
    return 1 / (1 + np.exp(-values))


def by_hand(classifier: Classifier, ids: list[int]) -> float:
    """The log-odds after one prefix, one word at a time."""
    weights = {name: value.numpy() for name, value in classifier.state_dict().items()}
    words = [weights["embedding.weight"][token] for token in ids]
    for layer in range(classifier.config["num_layers"]):
        w_ih, w_hh, b_ih, b_hh = (
            weights[f"recurrence.{name}_l{layer}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = c = np.zeros(w_hh.shape[1])
        states = []
        for word in words:
            x, r = w_ih @ word + b_ih, w_hh @ h + b_hh
            if classifier.cell == "rnn":
                h = np.tanh(x + r)
            elif classifier.cell == "gru":
                (x_r, x_z, x_n), (r_r, r_z, r_n) = np.split(x, 3), np.split(r, 3)
                z = sigmoid(x_z + r_z)
                h = (1 - z) * np.tanh(x_n + sigmoid(x_r + r_r) * r_n) + z * h
            else:
                i, f, g, o = np.split(x + r, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            states.append(h)
        words = states
    return float(weights["readout.weight"][0] @ words[-1] + weights["readout.bias"][0])


def ids(batch: int, time: int, vocab_size: int = 11) -> Tensor:
    return torch.randint(vocab_size, (batch, time))


@settings(deadline=None)  # an example takes milliseconds, on busy cores now and then more
@given(
    cell=st.sampled_from(sorted(RECURRENCE)),
    sizes=st.fixed_dictionaries(
        {name: st.integers(1, 4) for name in ("embedding_size", "hidden_size", "num_layers")}
    ),
    batch=st.integers(1, 4),
    time=st.integers(1, 6),
    seed=st.integers(0, 2**32),
)
def test_log_odds_are_those_of_the_equations(
    cell: CellName, sizes: dict[str, int], batch: int, time: int, seed: int
) -> None:
    torch.manual_seed(seed)
    classifier = Classifier(11, cell, **sizes).double()
    prefixes = ids(batch, time)
    with torch.no_grad():
        logits = classifier(prefixes)
    expected = [by_hand(classifier, prefix) for prefix in prefixes.tolist()]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-12)


@every_cell
def test_probabilities_are_those_of_the_log_odds_and_carry_no_gradient(cell: CellName) -> None:
    torch.manual_seed(0)
    classifier = Classifier(11, cell).double()
    with torch.no_grad():
        classifier.readout.weight.mul_(100)  # far out both ways
    prefixes = ids(64, 5)
    p = classifier.probability(prefixes)
    assert p.shape == (64,)
    assert ((p >= 0) & (p <= 1)).all()
    assert p.min() < 0.01
    assert p.max() > 0.99
    assert not p.requires_grad
    np.testing.assert_allclose(p, sigmoid(classifier(prefixes).detach().numpy()), atol=1e-12)


@every_cell
def test_probabilities_do_not_depend_on_the_batch(cell: CellName) -> None:
    torch.manual_seed(0)
    classifier = Classifier(11, cell, num_layers=2)
    prefixes = ids(33, 7)
    whole = classifier.probability(prefixes)
    for size in (1, 2, 32):
        parts = torch.cat([classifier.probability(part) for part in torch.split(prefixes, size)])
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


@every_cell
def test_every_word_of_the_prefix_counts(cell: CellName) -> None:
    torch.manual_seed(0)
    classifier = Classifier(11, cell)
    prefix = ids(1, 6)
    logit = classifier(prefix)
    for time in range(6):
        other = prefix.clone()
        other[0, time] = (other[0, time] + 1) % 11
        assert classifier(other) != logit


@every_cell
def test_the_configuration_and_the_weights_make_it_again(cell: CellName) -> None:
    torch.manual_seed(0)
    classifier = Classifier(
        11, cell, embedding_size=3, hidden_size=4, num_layers=2, dropout=0.5
    ).eval()
    again = Classifier(**classifier.config).eval()
    again.load_state_dict(classifier.state_dict())
    prefixes = ids(3, 4)
    assert torch.equal(again(prefixes), classifier(prefixes))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_dropout_acts_in_training_only(num_layers: int) -> None:
    torch.manual_seed(0)
    classifier = Classifier(11, num_layers=num_layers, dropout=0.5)  # no warning: those are errors
    prefixes = ids(3, 4)
    assert not torch.equal(classifier(prefixes), classifier(prefixes))
    classifier.eval()
    assert torch.equal(classifier(prefixes), classifier(prefixes))


@pytest.mark.parametrize("cell", ["mgu", "LSTM"])
def test_refuses_an_unknown_cell(cell: Any) -> None:
    # Where the tests check annotations, Literal refuses it first.
    message = rf"^cell: expected one of rnn, gru, lstm, got '{cell}'$|^Type-check error"
    with pytest.raises((InputError, TypeCheckError), match=message):
        Classifier(11, cell)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab_size": 0}, r"^vocab_size: expected at least 1, got 0$"),
        ({"embedding_size": 0}, r"^embedding_size: expected at least 1, got 0$"),
        ({"hidden_size": -5}, r"^hidden_size: expected at least 1, got -5$"),
        ({"num_layers": 0}, r"^num_layers: expected at least 1, got 0$"),
        ({"dropout": 1.0}, r"^dropout: expected a proportion from 0 to below 1, got 1\.0$"),
        ({"dropout": -0.1}, r"^dropout: expected a proportion from 0 to below 1, got -0\.1$"),
    ],
)
def test_refuses_sizes_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Classifier(**{"vocab_size": 11, **arguments})


@pytest.mark.parametrize("layers", [1, 2])
def test_training_begins_with_the_keep_gate_at_its_bias(layers: int) -> None:
    """With no input and no state, a gate is the sigmoid of its bias; LSTM: f, GRU: z."""
    for cell in ("lstm", "gru"):
        net = Classifier(9, cell, 3, 4, layers, keep_bias=1.5).recurrence
        fresh = Classifier(9, cell, 3, 4, layers).recurrence
        for layer in range(layers):
            biases = getattr(net, f"bias_ih_l{layer}") + getattr(net, f"bias_hh_l{layer}")
            assert biases[4:8].tolist() == [1.5] * 4
            others = torch.cat([biases[:4], biases[8:]])
            assert (others.abs() <= 2 * 0.5).all()  # torch's own: uniform within 1 / sqrt(4)
            untouched = getattr(fresh, f"bias_ih_l{layer}") + getattr(fresh, f"bias_hh_l{layer}")
            assert untouched[4:8].tolist() != [1.5] * 4


def test_an_rnn_has_no_gate_to_set() -> None:
    torch.manual_seed(0)
    plain = Classifier(9, "rnn", 3, 4).state_dict()
    torch.manual_seed(0)
    biased = Classifier(9, "rnn", 3, 4, keep_bias=1.0).state_dict()
    assert all(torch.equal(plain[name], biased[name]) for name in plain)


def test_dropped_words_are_read_as_unknown_in_training_only() -> None:
    classifier = Classifier(9, "gru", 3, 4, word_dropout=0.5)
    ids = torch.full((2000, 1), 7)
    word, unknown = (classifier.eval()(torch.tensor([[i]])) for i in (7, 0))
    assert torch.equal(classifier(ids), word.expand(2000))
    logits = classifier.train()(ids)
    dropped = torch.isclose(logits, unknown)
    assert torch.isclose(logits[~dropped], word).all()
    assert 0.45 < dropped.float().mean() < 0.55  # 4.5 standard deviations


def test_dropout_scales_embeddings_in_training_only() -> None:
    classifier = Classifier(9, "rnn", 3, 4, dropout=0.5)
    seen = []
    classifier.recurrence.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    ids = torch.arange(9).unsqueeze(0)
    classifier.train()(ids)
    classifier.eval()(ids)
    trained, evaluated = seen
    assert torch.equal(evaluated, classifier.embedding(ids))
    assert ((trained == 0) | torch.isclose(trained, 2 * evaluated)).all()
    assert (trained == 0).any()


@pytest.mark.parametrize("name", ["dropout", "word_dropout"])
@pytest.mark.parametrize("proportion", [-0.1, 1.0])
def test_refuses_an_impossible_proportion(name: str, proportion: float) -> None:
    with pytest.raises(InputError, match=rf"^{name}: expected a proportion from 0 to below 1, got"):
        Classifier(9, **{name: proportion})  # type: ignore[arg-type]
