"""Interventions: by hand, against torch.nn with other weights, and by what they leave alone."""

from __future__ import annotations

import copy
import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import NO_ROLE, ROLES, Role
from memgate.errors import InputError
from memgate.gates.interventions.edits import (
    BETWEEN,
    Clamp,
    ControlClamp,
    Intervention,
    InterventionTarget,
    ReplaceByMean,
    Resample,
    Together,
    mean_values,
    observe,
)
from memgate.gates.interventions.targets import Name, donors, quantity_of
from memgate.models.cells import Quantity, Recurrence
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import Trajectory, replay, unroll

KINDS: dict[type[Recurrence], tuple[Name, ...]] = {
    nn.RNN: ("recurrent_input", "candidate", "hidden"),
    nn.GRU: ("keep", "write", "reset", "update", "recurrent_input", "candidate", "hidden"),
    nn.LSTM: (
        *(
            "keep",
            "write",
            "input",
            "forget",
            "output",
            "recurrent_input",
            "candidate",
            "cell",
            "hidden",
        ),
    ),
}
every_kind = pytest.mark.parametrize("kind", list(KINDS))
gated = pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
every_target = pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names]
)

codes = {role: place for place, role in enumerate(ROLES)}
"""The code of each role."""


def build(kind: type[Recurrence], layers: int = 2, dtype: torch.dtype = torch.float32) -> Any:
    """Three features, four units, with gates that use their whole range."""
    net = kind(3, 4, layers, batch_first=True, dtype=dtype)
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(std=1.5)
    return net


def roles(*rows: str) -> Tensor:
    """Rows of initials: b(efore), s(ubject), a(ttractor), n(oun), o(ther), v(erb), - (unknown)."""
    initials = {role[0]: place for role, place in codes.items()} | {"-": NO_ROLE}
    return torch.tensor([[initials[letter] for letter in row] for row in rows], dtype=torch.int8)


def everything(layer: Trajectory) -> dict[str, Tensor]:
    cell = {} if layer.cell is None else {"cell": layer.cell}
    return {**layer.gates, "candidate": layer.candidate, **cell, "hidden": layer.hidden}


def assert_same(one: list[Trajectory], other: list[Trajectory]) -> None:
    """Equal bit by bit."""
    for mine, its in zip(one, other, strict=True):
        for name, values in everything(mine).items():
            assert torch.equal(values, everything(its)[name]), name


def run(net: Recurrence, inputs: Tensor, where: Tensor, what: Intervention) -> list[Trajectory]:
    return unroll(net, inputs, what.edit(net, inputs, where))


SOME = roles("bbsoonao", "bsooanoo", "sooooooo", "-----o--", "bbbbbbbs")
"""Five sentences: the last has no words between, of the fourth one role is known."""


# What changes nothing


@every_target
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clamping_to_the_learned_value_changes_nothing(
    kind: type[Recurrence], name: Name, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    net = build(kind, 3, dtype)
    inputs = torch.randn(*SOME.shape, 3, dtype=dtype)
    for wanted in (BETWEEN, None, get_args(Role)):
        own = ControlClamp(InterventionTarget(name, wanted, None))
        assert_same(run(net, inputs, SOME, own), unroll(net, inputs))


@every_target
def test_an_intervention_leaves_nothing_behind(kind: type[Recurrence], name: Name) -> None:
    torch.manual_seed(0)
    net = build(kind)
    inputs = torch.randn(*SOME.shape, 3)
    weights, given_inputs, given_roles = copy.deepcopy(net.state_dict()), inputs.clone(), SOME + 0
    plain = unroll(net, inputs)
    target = InterventionTarget(name)
    mean = ((0.5,) * 4,) * 2
    for what in (
        Clamp(target, 0.5),
        ReplaceByMean(target, mean),
        Resample(target, 0),
        ControlClamp(target),
    ):
        run(net, inputs, SOME, what)
        assert_same(unroll(net, inputs), plain)
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())
    assert torch.equal(inputs, given_inputs)
    assert torch.equal(SOME, given_roles)
    assert not net._forward_hooks
    assert not net._forward_pre_hooks


def test_an_intervention_is_a_value() -> None:
    one = Together(
        (
            Clamp(InterventionTarget("write", ("noun",), ((0, 1),)), 0.0),
            Resample(InterventionTarget("keep"), 3),
        )
    )
    same = Together(
        (
            Clamp(InterventionTarget("write", ("noun",), ((0, 1),)), 0.0),
            Resample(InterventionTarget("keep"), 3),
        )
    )
    assert one == same
    assert len({one, same, Clamp(InterventionTarget("write"), 0.0)}) == 2


# Where it changes something


@every_target
def test_only_words_of_the_role_and_what_follows_them_change(
    kind: type[Recurrence], name: Name
) -> None:
    torch.manual_seed(0)
    net = build(kind)
    inputs = torch.randn(*SOME.shape, 3)
    plain = unroll(net, inputs)
    changed = run(net, inputs, SOME, Clamp(InterventionTarget(name, ("attractor", "noun")), 0.25))
    quantity, _ = quantity_of(net, name)
    for row, codes_of_row in enumerate(SOME.tolist()):
        places = [t for t, code in enumerate(codes_of_row) if ROLES[code] in ("attractor", "noun")]
        first = min(places, default=SOME.shape[1])
        for layer, its in zip(plain, changed, strict=True):
            for what, values in everything(layer).items():
                found = everything(its)[what]
                assert torch.equal(found[row, :first], values[row, :first])
                if first < SOME.shape[1] and what == quantity:
                    assert not torch.equal(found[row, first], values[row, first])
    touched = [0, 1]  # the only rows with such words
    for layer, its in zip(plain, changed, strict=True):
        rows = (its.hidden != layer.hidden).flatten(1).any(1).nonzero().flatten().tolist()
        assert rows == touched


@every_target
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_only_the_chosen_units_of_the_chosen_layer_change(
    kind: type[Recurrence], name: Name, layer: int
) -> None:
    torch.manual_seed(0)
    net = build(kind, 3)
    inputs = torch.randn(*SOME.shape, 3)
    quantity, complement = quantity_of(net, name)
    seen: dict[tuple[int, int], Tensor] = {}
    inner = Clamp(InterventionTarget(name, units=((layer, 1), (layer, 3))), 0.25).edit(
        net, inputs, SOME
    )

    def look(made: Quantity, value: Tensor, /, *, layer: int, time: int) -> Tensor:
        before = value.clone()
        after = inner(made, value, layer=layer, time=time)
        if made == quantity:
            seen[layer, time] = torch.stack([before, after.clone()])
        else:
            assert torch.equal(after, before)
        return after

    changed = unroll(net, inputs, look)
    assert_same(changed[:layer], unroll(net, inputs)[:layer])
    between = torch.isin(SOME, torch.tensor([codes[role] for role in BETWEEN], dtype=torch.int8))
    for (at, time), (before, after) in seen.items():
        where = torch.zeros_like(before, dtype=torch.bool)
        if at == layer:
            where[:, [1, 3]] = between[:, time, None]
        assert torch.equal(after[~where], before[~where])
        assert (after[where] == (0.75 if complement else 0.25)).all()


# What it does


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_without_recurrent_input_it_is_a_network_without_the_weights(
    kind: type[Recurrence], layers: int
) -> None:
    """The candidate's recurrent part at zero: the same as torch.nn without W_hn and b_hn."""
    torch.manual_seed(0)
    net = build(kind, layers, torch.float64)
    inputs = torch.randn(*SOME.shape, 3, dtype=torch.float64)
    rows = {nn.RNN: slice(0, 4), nn.GRU: slice(8, 12), nn.LSTM: slice(8, 12)}[kind]
    without = copy.deepcopy(net)
    with torch.no_grad():
        for layer in range(layers):
            for weight in ("weight_hh", "bias_hh"):
                getattr(without, f"{weight}_l{layer}")[rows] = 0
    cut = ReplaceByMean(InterventionTarget("recurrent_input", None), ((0.0,) * 4,) * layers)
    found = run(net, inputs, SOME, cut)[-1].hidden
    torch.testing.assert_close(found, without(inputs)[0], rtol=0, atol=1e-12)


def test_clamped_keep_and_write_are_the_cells_own_gates() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(*SOME.shape, 3)
    for kind, name, gate, value in [
        (nn.GRU, "write", "update", 0.75),
        (nn.GRU, "keep", "update", 0.25),
        (nn.LSTM, "write", "input", 0.25),
        (nn.LSTM, "keep", "forget", 0.25),
    ]:
        net = build(kind)
        for layer in run(net, inputs, SOME, Clamp(InterventionTarget(name, None), 0.25)):  # type: ignore[arg-type]
            assert (layer.gates[gate] == value).all()
            assert (layer.readings[name] == 0.25).all()  # type: ignore[index]


@gated
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_was_read_at_the_subject_stays_if_all_is_kept_and_nothing_written(
    kind: type[Recurrence], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    net = build(kind, 2, dtype)
    inputs = torch.randn(*SOME.shape, 3, dtype=dtype)
    units = ((0, 2), (1, 0), (1, 3))
    held = Together(
        (
            Clamp(InterventionTarget("write", units=units), 0.0),
            Clamp(InterventionTarget("keep", units=units), 1.0),
        )
    )
    for layer, its in enumerate(run(net, inputs, SOME, held)):
        memory = its.hidden if its.cell is None else its.cell
        for row, subject in enumerate([2, 1, 0]):
            after = memory[row, subject:]
            for unit in range(4):
                constant = bool((after[:, unit] == after[0, unit]).all())
                assert constant == ((layer, unit) in units)


def test_a_gru_of_one_unit_under_a_clamp_by_hand() -> None:
    """z = σ(x + h), r = σ(2x), n = tanh(x + r·(h - 1)), h' = write·n + (1 - write)·h."""
    net = nn.GRU(1, 1, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for name, (r, z, n) in {
            "weight_ih_l0": (2.0, 1.0, 1.0),
            "weight_hh_l0": (0.0, 1.0, 1.0),
            "bias_ih_l0": (0.0, 0.0, 0.0),
            "bias_hh_l0": (0.0, 0.0, -1.0),
        }.items():
            net.get_parameter(name).flatten()[:] = torch.tensor([r, z, n])
    words = [0.5, -1.0, 2.0, 0.3]
    h, expected = 0.0, []
    for x, role in zip(words, "soan", strict=True):
        z = 1 / (1 + math.exp(-(x + h)))
        write = {"o": 0.2, "a": 0.2}.get(role, 1 - z)
        n = math.tanh(x + (h - 1) / (1 + math.exp(-2 * x)))
        h = write * n + (1 - write) * h
        expected.append(h)
    inputs = torch.tensor(words, dtype=torch.float64).view(1, 4, 1)
    clamp = Clamp(InterventionTarget("write", ("attractor", "other")), 0.2)
    (found,) = run(net, inputs, roles("soan"), clamp)
    np.testing.assert_allclose(found.hidden[0, :, 0], expected, rtol=0, atol=1e-15)


@every_kind
def test_several_at_once_come_one_after_another(kind: type[Recurrence]) -> None:
    torch.manual_seed(0)
    net = build(kind)
    inputs = torch.randn(*SOME.shape, 3)
    low, high = (
        Clamp(InterventionTarget("candidate"), -0.5),
        Clamp(InterventionTarget("candidate", ("noun",)), 0.5),
    )
    both = run(net, inputs, SOME, Together((low, high)))
    assert_same(run(net, inputs, SOME, Together((high, low))), run(net, inputs, SOME, low))
    assert (both[1].candidate[0, [3, 4, 6]] == -0.5).all()
    assert (both[1].candidate[0, 5] == 0.5).all()


# Means


def prefixes(lengths: list[int], seed: int = 0) -> Prefixes:
    """Prefixes of random words and random roles, some unknown."""
    torch.manual_seed(seed)
    total, n = sum(lengths), len(lengths)
    zeros = torch.zeros(n, dtype=torch.int64)
    starts = np.cumsum(lengths) - lengths
    return Prefixes(
        ids=torch.randint(11, (total,), dtype=torch.int32),
        starts=torch.from_numpy(starts),
        lengths=np.array(lengths),
        targets=zeros,
        labels=zeros,
        intervening=zeros,
        attractors=zeros,
        roles=torch.randint(-1, len(ROLES), (total,), dtype=torch.int8),
        subjects=zeros,
    )


def classifier(cell: CellName, layers: int = 2) -> Classifier:
    made = Classifier(11, cell, 3, 4, layers, dropout=0.5).double()
    with torch.no_grad():
        for weight in made.recurrence.parameters():
            weight.normal_(std=1.5)
    return made


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("wanted", [("noun",), BETWEEN, None])
def test_means_are_those_of_all_words_at_once(
    cell: CellName, wanted: tuple[Role, ...] | None
) -> None:
    torch.manual_seed(0)
    model = classifier(cell)
    data = prefixes([4, 7, 4, 1, 7, 7, 2])
    found = mean_values(
        model, data, ["candidate", "hidden", "recurrent_input"], wanted, batch_size=2
    )
    recurrence, units = model.recurrence, model.recurrence.hidden_size
    columns: dict[str, list[list[np.ndarray]]] = {name: [[], []] for name in found}
    for start, length in zip(data.starts.tolist(), data.lengths.tolist(), strict=True):
        ids = data.ids[start : start + length].long()[None]
        here = data.roles[start : start + length].numpy()
        keep = [wanted is None or (code >= 0 and ROLES[code] in wanted) for code in here]
        with torch.no_grad():
            layers = replay(recurrence, model.embedding(ids))
        for layer, its in enumerate(layers):
            weight, bias = (
                recurrence.get_parameter(f"{name}_hh_l{layer}").detach().numpy()
                for name in ("weight", "bias")
            )
            rows = slice(0, units) if cell == "rnn" else slice(2 * units, 3 * units)
            hidden = its.hidden[0].numpy()
            before = np.concatenate([np.zeros((1, units)), hidden[:-1]])
            recurrent_input = before @ weight[rows].T + bias[rows]
            if cell == "gru":
                recurrent_input = its.gates["reset"][0].numpy() * recurrent_input
            for name, values in [
                ("candidate", its.candidate[0].numpy()),
                ("hidden", hidden),
                ("recurrent_input", recurrent_input),
            ]:
                columns[name][layer].append(values[keep])
    for name, mean in found.items():
        expected = [np.concatenate(words).mean(axis=0) for words in columns[name]]
        np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-12)


def test_the_mean_of_a_reading_is_that_of_the_gate_behind_it() -> None:
    torch.manual_seed(0)
    model, data = classifier("gru"), prefixes([5, 3, 5])
    found = mean_values(model, data, ["write", "keep", "update"])
    assert found["write"] == found["keep"] == found["update"]
    inputs = model.embedding(data.batch(torch.tensor([0, 2]), 5).inputs).detach()
    where = roles("ooooo", "ooooo")
    one = run(
        model.recurrence, inputs, where, ReplaceByMean(InterventionTarget("write"), found["write"])
    )
    for layer, its in enumerate(one):
        expected = torch.tensor(found["write"][layer], dtype=torch.float64)
        assert (its.gates["update"] == expected).all()


def test_means_do_not_depend_on_the_batches_and_apply_no_dropout() -> None:
    torch.manual_seed(0)
    model, data = classifier("lstm").train(), prefixes([3, 3, 3, 9, 3, 9])
    one, many = (mean_values(model, data, ["output"], None, size) for size in (1, 256))
    np.testing.assert_allclose(one["output"], many["output"], rtol=0, atol=1e-12)
    assert model.training


# Resampling


@given(
    st.lists(st.lists(st.integers(-1, 5), min_size=6, max_size=6), min_size=1, max_size=9),
    st.integers(0, 2**31),
)
def test_donors_are_a_permutation_within_a_role_at_a_place(
    rows: list[list[int]], seed: int
) -> None:
    where = torch.tensor(rows, dtype=torch.int8)
    chosen = donors(where, seed)
    assert torch.equal(chosen, donors(where, seed))
    for time in range(where.shape[1]):
        assert sorted(chosen[:, time].tolist()) == list(range(len(rows)))
        for row, donor in enumerate(chosen[:, time].tolist()):
            assert where[donor, time] == where[row, time]
            alone = int((where[:, time] == where[row, time]).sum()) == 1
            assert (donor == row) == alone


def test_another_seed_chooses_other_donors() -> None:
    where = torch.zeros(20, 4, dtype=torch.int8)
    assert not torch.equal(donors(where, 0), donors(where, 1))
    assert not torch.equal(donors(where, 0)[:, 0], donors(where, 0)[:, 1])


@gated
def test_a_resampled_gate_is_that_of_its_donor_without_an_edit(kind: type[Recurrence]) -> None:
    torch.manual_seed(0)
    net = build(kind)
    where = SOME.repeat(4, 1)
    inputs = torch.randn(*where.shape, 3)
    plain = unroll(net, inputs)
    changed = run(net, inputs, where, Resample(InterventionTarget("write"), 5))
    gate, _ = quantity_of(net, "write")
    chosen = donors(where, 5)
    between = torch.isin(where, torch.tensor([codes[role] for role in BETWEEN], dtype=torch.int8))
    for layer, its in zip(plain, changed, strict=True):
        for row, time in between.nonzero().tolist():
            donor = int(chosen[row, time])
            assert torch.equal(its.gates[gate][row, time], layer.gates[gate][donor, time])
    assert not torch.equal(changed[0].hidden, plain[0].hidden)


@every_target
def test_what_is_observed_is_what_the_trajectory_has(kind: type[Recurrence], name: Name) -> None:
    torch.manual_seed(0)
    net = build(kind)
    inputs = torch.randn(2, 5, 3)
    quantity, _ = quantity_of(net, name)
    seen = observe(net, inputs, name)
    assert seen.shape == (2, 5, 2, 4)
    if quantity != "recurrent_input":
        for layer, its in enumerate(unroll(net, inputs)):
            assert torch.equal(seen[layer].transpose(0, 1), everything(its)[quantity])


# Refusals


@pytest.mark.parametrize(
    ("kind", "what", "message"),
    [
        (
            nn.RNN,
            Clamp(InterventionTarget("write"), 0.0),
            "^write: expected a GRU or an LSTM; an RNN has no gates",
        ),
        (
            nn.RNN,
            ControlClamp(InterventionTarget("reset")),
            "^reset: expected a GRU or an LSTM; an RNN has no gates",
        ),
        (
            nn.RNN,
            Clamp(InterventionTarget("cell"), 0.0),
            "expected one of recurrent_input, candidate, hidden for RNN_TANH",
        ),
        (
            nn.GRU,
            Clamp(InterventionTarget("output"), 0.0),
            "expected one of .*write.*reset.* for GRU, got 'output'",
        ),
        (
            nn.LSTM,
            Resample(InterventionTarget("reset"), 0),
            "expected one of .* for LSTM, got 'reset'",
        ),
        (
            nn.GRU,
            Clamp(InterventionTarget("write"), 1.5),
            r"^write: expected from 0 to 1, got 1\.5",
        ),
        (
            nn.LSTM,
            Clamp(InterventionTarget("keep"), -0.1),
            r"^keep: expected from 0 to 1, got -0\.1",
        ),
        (
            nn.GRU,
            Clamp(InterventionTarget("write", units=((2, 0),)), 0.0),
            "layers 0 to 1 .*0 to 3, got 2:0",
        ),
        (
            nn.GRU,
            Clamp(InterventionTarget("write", units=((0, 4),)), 0.0),
            "layers 0 to 1 .*0 to 3, got 0:4",
        ),
        (nn.GRU, Clamp(InterventionTarget("write", units=((0, -1),)), 0.0), "got 0:-1"),
        (
            nn.GRU,
            ReplaceByMean(InterventionTarget("write"), ((0.5,),)),
            r"expected shape \(2, 4\), got \(1, 1\)",
        ),
    ],
)
def test_refuses_what_the_network_lacks(
    kind: type[Recurrence], what: Intervention, message: str
) -> None:
    net = build(kind)
    with pytest.raises(InputError, match=message):
        what.edit(net, torch.zeros(*SOME.shape, 3), SOME)


def test_means_need_a_word() -> None:
    model, data = classifier("gru"), prefixes([2, 3])
    data.roles.fill_(NO_ROLE)
    with pytest.raises(InputError, match="expected words of the roles noun, got none"):
        mean_values(model, data, ["write"], ("noun",))
    assert mean_values(model, data, ["write"], None)
    assert len(list(ExactLengthBatches(data))) == 2
