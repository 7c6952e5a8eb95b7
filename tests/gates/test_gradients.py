"""Gradients against finite differences, and against the rate at which a linear RNN forgets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from memgate.data.batches import Prefixes
from memgate.data.vocabulary import Vocabulary
from memgate.gates.gradients import MAX_DISTANCE, gradients, state_gradients, untrained
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import unroll

every_cell = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])


def build(cell: CellName, num_layers: int = 1) -> Classifier:
    torch.manual_seed(0)
    classifier = Classifier(7, cell, 2, 3, num_layers).double()
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.normal_(std=0.9)
    return classifier.eval()


def encode(*texts: str) -> Prefixes:
    return Prefixes.encode(Vocabulary.from_words(list("abcdef")), pa.array(texts))


def moved(
    classifier: Classifier, inputs: Tensor, place: tuple[str, int, int], unit: int, step: float
) -> Tensor:
    """The log-odds where a unit of a state of a layer at a time is moved by a step."""

    def edit(name: str, value: Tensor, /, *, layer: int, time: int) -> Tensor:
        if (name, layer, time) == place:
            value[:, unit] += step
        return value

    made = unroll(classifier.recurrence, classifier.embedding(inputs), edit)
    logits: Tensor = classifier.readout(made[-1].hidden[:, -1]).detach()
    return logits.squeeze(-1)


@every_cell
@pytest.mark.parametrize("num_layers", [1, 2])
def test_they_are_what_a_small_change_makes(cell: CellName, num_layers: int) -> None:
    classifier = build(cell, num_layers)
    inputs = torch.randint(7, (4, 5))
    found = {
        (state, layer, distance): values
        for state, layer, distance, values in state_gradients(classifier, inputs)
    }
    states = ["hidden", "cell"] if cell == "lstm" else ["hidden"]
    assert set(found) == {
        (state, layer, distance)
        for state in states
        for layer in range(num_layers)
        for distance in range(5)
    }
    for (state, layer, distance), values in found.items():
        place = (state, layer, 4 - distance)
        for unit in range(3):
            ends = [moved(classifier, inputs, place, unit, step) for step in (1e-5, -1e-5)]
            slope = (ends[0] - ends[1]) / 2e-5
            torch.testing.assert_close(values[:, unit], slope, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rho", [0.5, 0.9, 1.1])
def test_a_linear_rnn_forgets_at_the_rate_of_its_spectral_radius(rho: float) -> None:
    """With all states at 0 the slope of tanh is 1: the norm is ‖w‖·ρ^d, exactly."""
    classifier = Classifier(7, "rnn", 2, 3)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.zero_()
        classifier.double().state_dict()["recurrence.weight_hh_l0"].copy_(rho * turn)
    found = gradients(classifier, encode(*["a b c d e f a b"] * 3, "a b c"))
    norm = classifier.readout.weight.norm().item()
    table = found.norms
    assert table["distance"].tolist() == list(range(8))
    assert table["n"].tolist() == [4, 4, 4, 3, 3, 3, 3, 3]
    for column in ("mean", "q10", "median", "q90"):
        np.testing.assert_allclose(table[column], norm * rho ** np.arange(8.0), rtol=1e-10)


@pytest.mark.parametrize(("rho", "half_life"), [(0.5, 1), (2**-0.25, 4), (1.1, np.inf)])
def test_a_units_half_life(rho: float, half_life: float) -> None:
    classifier = Classifier(7, "rnn", 2, 3).double()
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.zero_()
        classifier.state_dict()["recurrence.weight_hh_l0"].copy_(
            rho * torch.eye(3, dtype=torch.float64)
        )
        classifier.readout.weight.copy_(torch.tensor([[1.0, -3.0, 0.0]]))
    units = gradients(classifier, encode(*["a b c d e f"] * 10)).units
    assert units["distances"].tolist() == [6, 6, 0]
    np.testing.assert_allclose(units["slope"][:2], np.log(rho), rtol=1e-10)
    np.testing.assert_allclose(units["half_life"][:2], half_life, rtol=1e-10)
    assert units.loc[2, ["slope", "half_life"]].isna().all(), "nothing reads the third unit"
    few = gradients(classifier, encode("a b c d e f")).units
    assert few["half_life"].isna().all(), "one item is too few"


@every_cell
def test_tables_say_what_they_are_of_and_the_network_stays(cell: CellName) -> None:
    classifier = build(cell, 2).float().train()
    before = {name: weight.clone() for name, weight in classifier.state_dict().items()}
    found = gradients(classifier, encode(*["a b c d e"] * 10, " ".join("abcdef" * 7)), False)
    memory = "cell" if cell == "lstm" else "hidden"
    assert set(found.units["state"]) == {memory}
    assert found.units[["layer", "unit"]].to_numpy().tolist() == [
        [layer, unit] for layer in range(2) for unit in range(3)
    ]
    for table in found:
        assert set(table["cell"]) == {cell}
        assert not table["trained"].any()
    assert found.norms["distance"].max() == MAX_DISTANCE
    assert classifier.training
    assert all(weight.grad is None for weight in classifier.parameters())
    assert all(torch.equal(before[name], w) for name, w in classifier.state_dict().items())


@every_cell
def test_the_gradient_does_not_depend_on_the_batch(cell: CellName) -> None:
    classifier = build(cell)
    texts = ["a b c d", "f e d c", "b b", "c"]
    together = gradients(classifier, encode(*texts)).norms
    alone = [gradients(classifier, encode(text)).norms for text in texts]
    for distance in range(4):
        means = [
            each.loc[(each["distance"] == distance) & (each["state"] == "hidden"), "mean"]
            for each in alone
        ]
        expected = np.mean(np.concatenate(means))
        row = together[(together["distance"] == distance) & (together["state"] == "hidden")]
        assert row["mean"].item() == pytest.approx(expected, rel=1e-12)


def test_fresh_weights_are_those_of_the_seed() -> None:
    classifier = build("gru", 2)
    state = torch.random.get_rng_state()
    first, again, other = untrained(classifier, 3), untrained(classifier, 3), untrained(classifier)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.config == classifier.config
    weights = [each.state_dict()["recurrence.weight_hh_l1"] for each in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].abs().max() <= 3**-0.5, "as torch draws them"
