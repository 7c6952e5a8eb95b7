"""`trace` against torch.nn over the grid of its options, and against loops over cells."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import memgate
from memgate.data.tagger import Tagger
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.trace import Trace, sequences_of, trace_of
from memgate.models.cells import Recurrence, StepModule
from memgate.models.trajectory import replayed

STEPS: tuple[type[StepModule], ...] = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    """Equal to 1e-12, in double, and NaN in the same places."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12, equal_nan=True)


def spread(module: nn.Module) -> None:
    """Weights whose gates use their whole range, but under which ReLU doesn't explode."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(std=0.7)


class Case(NamedTuple):
    net: Recurrence
    inputs: Tensor
    lengths: list[int] | None
    hx: Any
    packed: bool


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any options of any recurrence, and sequences for it."""
    size = st.integers(1, 4)
    torch.manual_seed(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from((nn.RNN, nn.GRU, nn.LSTM)))
    units, features, batch, time = draw(size), draw(size), draw(size), draw(st.integers(1, 6))
    options: dict[str, Any] = {
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if kind is nn.RNN:
        options["nonlinearity"] = draw(st.sampled_from(("tanh", "relu")))
    if kind is nn.LSTM and units > 1:
        options["proj_size"] = draw(st.integers(0, units - 1))
    net = kind(features, units, dtype=torch.float64, **options)
    spread(net)
    lengths = draw(st.none() | st.lists(st.integers(1, time), min_size=batch, max_size=batch))
    shape = (batch, time) if net.batch_first else (time, batch)
    hx: Any = None
    if draw(st.booleans()):
        rows = net.num_layers * (1 + net.bidirectional)
        hx = torch.randn(rows, batch, net.proj_size or units, dtype=torch.float64)
        if kind is nn.LSTM:
            hx = (hx, torch.randn(rows, batch, units, dtype=torch.float64))
    inputs = torch.randn(*shape, features, dtype=torch.float64)
    return Case(net, inputs, lengths, hx, draw(st.booleans()))


def of_torch(case: Case) -> tuple[Tensor, Any]:
    """The outputs of the module, NaN beyond the lengths, and its last states."""
    if case.lengths is None:
        outputs, last = case.net(case.inputs, case.hx)
        return outputs, last
    packed, last = case.net(pack(case), case.hx)
    first = case.net.batch_first
    time = case.inputs.shape[1 if first else 0]
    if case.packed:
        time = max(case.lengths)
    outputs, _ = pad_packed_sequence(packed, first, torch.nan, total_length=time)
    return outputs, last


def pack(case: Case) -> Any:
    return pack_padded_sequence(
        case.inputs, torch.tensor(case.lengths), case.net.batch_first, enforce_sorted=False
    )


def traced(case: Case) -> Trace:
    if case.packed and case.lengths is not None:
        return memgate.trace(case.net, pack(case), hx=case.hx)
    return memgate.trace(case.net, case.inputs, case.lengths, case.hx)


@given(cases(), st.booleans())
def test_outputs_and_last_states_are_those_of_torch(case: Case, gradients: bool) -> None:
    with torch.set_grad_enabled(gradients):
        trace = traced(case)
        outputs, last = of_torch(case)
    assert_equal(trace.outputs, outputs)
    hidden, cell = last if isinstance(last, tuple) else (last, last)
    rows, batch = torch.arange(len(hidden)), torch.arange(len(trace.lengths))
    reverse = (rows % trace.directions == 1).unsqueeze(1)
    at = torch.where(reverse, 0, trace.lengths - 1)
    assert_equal(trace.states[rows.unsqueeze(1), batch, at], hidden)
    assert_equal(trace.memory[rows.unsqueeze(1), batch, at], cell)


@given(cases())
def test_both_ways_agree_on_every_quantity(case: Case) -> None:
    """The walk, from which the numbers come, and the kernel, from which the gradients come."""
    sequences = sequences_of(case.net, case.inputs, case.lengths, case.hx)
    other = replayed(sequences.levels, sequences.below, sequences.start, sequences.lengths)
    again = trace_of(sequences, other)
    trace = memgate.trace(case.net, case.inputs, case.lengths, case.hx)
    assert list(again.gates) == list(trace.gates)
    for gate, values in trace.gates.items():
        assert_equal(values, again.gates[gate])
    for name in ("outputs", "states", "candidates", "memory", "updates"):
        assert_equal(getattr(trace, name), getattr(again, name))


def by_cells(case: Case) -> dict[str, list[Tensor]]:
    """Each gate and state by torch's own cells and the equations in torch's documentation.

    One row at a time, so that no length and no padding enters; a tensor a layer and direction.
    """
    net, inputs = case.net, case.inputs if case.net.batch_first else case.inputs.transpose(0, 1)
    lengths = case.lengths or [inputs.shape[1]] * len(inputs)
    found: dict[str, list[Tensor]] = {}
    below = [row[:length] for row, length in zip(inputs, lengths, strict=True)]
    directions = 1 + net.bidirectional
    for layer in range(net.num_layers):
        above: list[list[Tensor]] = [[] for _ in below]
        for direction in range(directions):
            index = layer * directions + direction
            ending = f"l{layer}" + "_reverse" * direction
            weights = {name: getattr(net, f"{name}_{ending}", None) for name in NAMES}
            rows = []
            for row, words in enumerate(below):
                h = words.new_zeros(net.proj_size or net.hidden_size)
                c = words.new_zeros(net.hidden_size)
                if case.hx is not None:
                    h = (case.hx[0] if net.mode == "LSTM" else case.hx)[index, row]
                    c = case.hx[1][index, row] if net.mode == "LSTM" else c
                steps = []
                for word in words.flip(0) if direction else words:
                    values = step_by_hand(net.mode, weights, word, h, c)
                    h, c = values["states"], values.get("cells", c)
                    steps.append(values)
                rows.append(steps[::-1] if direction else steps)
                above[row].append(torch.stack([values["states"] for values in rows[-1]]))
            for name in rows[0][0]:
                block = torch.full(
                    (len(rows), inputs.shape[1], len(rows[0][0][name])), torch.nan
                ).double()
                for row, steps in enumerate(rows):
                    block[row, : len(steps)] = torch.stack([values[name] for values in steps])
                found.setdefault(name, []).append(block)
        below = [torch.cat(states, -1) for states in above]
    return found


NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


def step_by_hand(
    mode: str, weights: dict[str, Any], x: Tensor, h: Tensor, c: Tensor
) -> dict[str, Tensor]:
    nothing = x.new_zeros(())
    of_x = weights["weight_ih"] @ x + (
        nothing if weights["bias_ih"] is None else weights["bias_ih"]
    )
    of_h = weights["weight_hh"] @ h + (
        nothing if weights["bias_hh"] is None else weights["bias_hh"]
    )
    if mode.startswith("RNN"):
        state = torch.relu(of_x + of_h) if mode == "RNN_RELU" else torch.tanh(of_x + of_h)
        return {"candidates": state, "states": state}
    if mode == "GRU":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = of_x.chunk(3), of_h.chunk(3)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        state = (1 - z) * n + z * h
        return {"reset": r, "update": z, "candidates": n, "states": state}
    i, f, g, o = (of_x + of_h).chunk(4)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    c = f * c + i * g
    state = o * torch.tanh(c)
    state = state if weights["weight_hr"] is None else weights["weight_hr"] @ state
    gates = {"input": i, "forget": f, "output": o}
    return {**gates, "candidates": g, "cells": c, "states": state}


@given(cases())
def test_every_gate_is_that_of_a_loop_over_steps(case: Case) -> None:
    trace = memgate.trace(case.net, case.inputs, case.lengths, case.hx)
    with torch.no_grad():
        truth = {name: torch.stack(blocks) for name, blocks in by_cells(case).items()}
    assert set(trace.gates) == set(truth) - {"candidates", "cells", "states"}
    for name, values in truth.items():
        found = trace.gates[name] if name in trace.gates else getattr(trace, name)
        assert_equal(found.detach(), values)
    for values in trace.gates.values():
        inside = ~values.isnan()
        assert ((values > 0) & (values < 1))[inside].all()
    if trace.gates:
        mixed = {
            "GRU": lambda: (trace.gates["update"], 1 - trace.gates["update"]),
            "LSTM": lambda: (trace.gates["forget"], trace.gates["input"]),
        }[case.net.mode]()
        assert_equal(trace.keep, mixed[0])
        assert_equal(trace.write, mixed[1])
        old = trace.memory - trace.updates
        assert_equal(trace.memory, trace.write * trace.candidates + trace.keep * old)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("start", [False, True])
def test_a_cell_is_applied_word_by_word(kind: type[StepModule], start: bool) -> None:
    torch.manual_seed(0)
    cell = kind(3, 4, dtype=torch.float64)
    inputs, first = torch.randn(6, 2, 3).double(), torch.randn(2, 4).double()
    hx: Any = (first, first / 2) if kind is nn.LSTMCell else first
    state, outputs, cells = hx if start else None, [], []
    for word in inputs:
        state = cell(word, state)
        outputs.append(state[0] if kind is nn.LSTMCell else state)
        cells.append(state[-1])
    trace = memgate.trace(cell, inputs, hx=hx if start else None)
    assert_equal(trace.outputs, torch.stack(outputs))
    if kind is nn.LSTMCell:
        assert_equal(trace.memory[0].transpose(0, 1), torch.stack(cells))


@pytest.mark.parametrize(
    "cell", [nn.RNNCell(3, 4, nonlinearity="relu"), nn.GRUCell(3, 4, bias=False)]
)
def test_cells_have_options_too(cell: Any) -> None:
    inputs, state = torch.randn(3, 1, 3), None
    for word in inputs:
        state = cell(word, state)
    torch.testing.assert_close(memgate.trace(cell, inputs).outputs[-1], state)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_one_sequence_needs_no_batch(kind: type[Recurrence]) -> None:
    net = kind(3, 4, 2, bidirectional=True)
    inputs = torch.randn(5, 3)
    hx: Any = torch.randn(4, 4)
    hx = (hx, hx / 2) if kind is nn.LSTM else hx
    trace = memgate.trace(net, inputs, hx=hx)
    torch.testing.assert_close(trace.outputs, net(inputs, hx)[0])
    assert trace.states.shape == (4, 1, 5, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_other_precisions_stay_what_they_are(kind: type[Recurrence], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    net = kind(3, 4, 2, batch_first=True, dtype=dtype)
    inputs = torch.randn(2, 5, 3, dtype=dtype)
    trace = memgate.trace(net, inputs)
    assert trace.outputs.dtype == trace.candidates.dtype == dtype
    rough = {"rtol": 0, "atol": 0.03} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(trace.outputs, net(inputs)[0], **rough)  # type: ignore[arg-type]
    assert len(trace.to_frame()) == 2 * 5 * 2 * 4


# Gradients


def everything(trace: Trace) -> Tensor:
    values = [trace.states, trace.candidates, trace.memory, trace.updates, *trace.gates.values()]
    return torch.cat([(value.nan_to_num() ** 2).flatten() for value in values]).sum()


@given(cases())
def test_gradients_are_those_of_the_kernel(case: Case) -> None:
    inputs = case.inputs.requires_grad_()
    start = case.hx if isinstance(case.hx, tuple) else [case.hx]
    wanted = [inputs, *(h.requires_grad_() for h in start if h is not None), *case.net.parameters()]
    sequences = sequences_of(case.net, inputs, case.lengths, case.hx)
    other = replayed(sequences.levels, sequences.below, sequences.start, sequences.lengths)
    expected = torch.autograd.grad(
        everything(trace_of(sequences, other)), wanted, allow_unused=True
    )
    trace = memgate.trace(case.net, inputs, case.lengths, case.hx)
    found = torch.autograd.grad(everything(trace), wanted, allow_unused=True)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@given(cases())
def test_gradients_of_outputs_are_those_of_the_module(case: Case) -> None:
    inputs = case.inputs.requires_grad_()
    case.net.eval()
    trace = memgate.trace(case.net, inputs, case.lengths, case.hx)
    wanted = [inputs, *case.net.parameters()]
    found = torch.autograd.grad((trace.outputs.nan_to_num() ** 2).sum(), wanted)
    outputs, _ = of_torch(case._replace(packed=False))
    expected = torch.autograd.grad((outputs.nan_to_num() ** 2).sum(), wanted)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_gradients_flow_only_to_what_wants_them() -> None:
    net = nn.GRU(3, 4).requires_grad_(False)
    inputs = torch.randn(5, 2, 3)
    assert not memgate.trace(net, inputs).outputs.requires_grad
    memgate.trace(net, inputs.requires_grad_()).write.sum().backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    assert inputs.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in net.parameters())
    with torch.no_grad():
        assert not memgate.trace(net, inputs).outputs.requires_grad


def test_numbers_are_the_same_with_and_without_gradients() -> None:
    net, inputs = nn.LSTM(3, 4, 2), torch.randn(5, 2, 3)
    with torch.inference_mode():
        alone = memgate.trace(net, inputs)
    assert torch.equal(memgate.trace(net, inputs).outputs, alone.outputs)


# What a user sees


def test_padding_is_never_read() -> None:
    net = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)
    inputs = torch.randn(2, 5, 3)
    padded = inputs.clone()
    padded[0, 3:] = torch.nan
    found = memgate.trace(net, padded.requires_grad_(), [3, 5])
    alone = memgate.trace(net, inputs[:1, :3])
    torch.testing.assert_close(found.states[:, :1, :3], alone.states)
    assert found.states[:, 0, 3:].isnan().all()
    assert not found.states[:, 1].isnan().any()
    found.states[:, :, :3].sum().backward()  # type: ignore[no-untyped-call]
    assert padded.grad is not None
    assert (padded.grad[0, 3:] == 0).all()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())  # type: ignore[union-attr]


def test_a_frame_has_each_number_in_its_row() -> None:
    net = nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)
    trace = memgate.trace(net, torch.randn(2, 3, 3), [3, 2])
    frame = trace.to_frame(["the cat eats", ["dogs", "eat"]])
    expected = ["sentence", "position", "word", "layer", "direction", "unit"]
    assert list(frame) == [*expected, "write", "keep", "state", "update"]
    assert len(frame) == 5 * 2 * 2 * 4
    assert frame.drop_duplicates(["sentence", "position"])["word"].tolist() == (
        ["the", "cat", "eats", "dogs", "eat"]
    )
    for row in frame.sample(20, random_state=0).to_dict("records"):
        index = 2 * row["layer"] + (row["direction"] == "reverse")
        at = index, row["sentence"], row["position"], row["unit"]
        assert row["write"] == trace.write[at].item()
        assert row["keep"] == trace.keep[at].item()
        assert row["state"] == trace.memory[at].item()
        assert row["update"] == trace.updates[at].item()


def test_an_rnn_has_states_and_no_gates() -> None:
    trace = memgate.trace(nn.RNN(3, 4), torch.randn(5, 2, 3))
    assert trace.gates == {}
    frame = trace.to_frame()
    assert frame["write"].isna().all()
    assert frame["word"].isna().all()
    for name in ("write", "keep"):
        with pytest.raises(InputError, match=f"{name}: expected a GRU or an LSTM; an RNN has no"):
            getattr(trace, name)


def test_the_module_stays_as_it_was() -> None:
    net = nn.GRU(3, 4, 2, dropout=0.5).eval()
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    inputs = torch.randn(5, 2, 3)
    before = inputs.clone()
    memgate.trace(net, inputs)
    assert torch.equal(inputs, before)
    assert not net.training
    assert all(torch.equal(weights[name], value) for name, value in net.state_dict().items())


def test_a_parametrized_weight_is_the_one_that_counts() -> None:
    net = nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0")
    net.parametrizations["weight_hh_l0"].original0.data.mul_(2)
    inputs = torch.randn(5, 2, 3)
    trace = memgate.trace(net, inputs)
    cell = nn.GRUCell(3, 4)
    cell.load_state_dict(
        {name.removesuffix("_l0"): getattr(net, name) for name in net._flat_weights_names}
    )
    torch.testing.assert_close(trace.outputs, memgate.trace(cell, inputs).outputs)


def test_tensors_are_views_of_what_was_computed() -> None:
    trace = memgate.trace(nn.LSTM(3, 4), torch.randn(5, 2, 3))
    assert trace.outputs.data_ptr() == trace.states.data_ptr()
    assert trace.write.data_ptr() == trace.gates["input"].data_ptr()


PEAK = """
import resource
import memgate, torch

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

net, inputs = torch.nn.LSTM(100, 100, 4), torch.randn(100, 100, 100)
memgate.trace(net, inputs[:1])
before = peak()
trace = memgate.trace(net, inputs)
tensors = [trace.states, trace.cells, trace.candidates, *trace.gates.values()]
returned = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
print((peak() - before) / returned)
"""


def test_memory_is_that_of_what_is_returned() -> None:
    """Beside it at most one of four layers, also with gradients wanted; measured: nothing."""
    run = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 1.25


GRU = nn.GRU(3, 4, batch_first=True)
X = torch.zeros(2, 5, 3)

REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: memgate.trace(nn.Linear(3, 4), X), "module: expected an nn.RNN, .* got Linear$"),
    (
        lambda: memgate.trace(nn.ModuleDict({"encoder": nn.ModuleDict({"rnn": GRU})}), X),
        "got ModuleDict, which has encoder.rnn: pass that",
    ),
    (
        lambda: memgate.trace(nn.LSTM(3, 4, 2, dropout=0.2, batch_first=True), X),
        r"training mode with dropout=0.2 between layers, which is random: call module.eval\(\)",
    ),
    (
        lambda: memgate.trace(GRU, X[..., :2]),
        r"expected shape \(batch, time, 3\) .*got \(2, 5, 2\)",
    ),
    (lambda: memgate.trace(GRU, X[:, :0]), r"with a word at least, got \(2, 0, 3\)"),
    (lambda: memgate.trace(GRU, X[None]), r"got \(1, 2, 5, 3\)"),
    (lambda: memgate.trace(GRU, X.double()), "expected torch.float32 on cpu.*got torch.float64"),
    (lambda: memgate.trace(GRU, X, [5]), "lengths: expected 2 whole numbers"),
    (lambda: memgate.trace(GRU, X, torch.ones(2)), "lengths: expected 2 whole numbers"),
    (lambda: memgate.trace(GRU, X, [0, 5]), "lengths: expected from 1 to 5, got 0 to 5"),
    (lambda: memgate.trace(GRU, X, [3, 6]), "lengths: expected from 1 to 5, got 3 to 6"),
    (
        lambda: memgate.trace(GRU, pack_padded_sequence(X, torch.tensor([5, 5]), True), [5, 5]),
        "lengths: expected None, for a PackedSequence",
    ),
    (
        lambda: memgate.trace(GRU, X, hx=(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))),
        "hx: expected one tensor h_0, got tuple",
    ),
    (
        lambda: memgate.trace(nn.LSTM(3, 4), X, hx=torch.zeros(1, 5, 4)),
        r"hx: expected a pair \(h_0, c_0\), got Tensor",
    ),
    (
        lambda: memgate.trace(GRU, X, hx=torch.zeros(1, 5, 4)),
        r"hx: h_0: expected shape \(1, 2, 4\), .* got \(1, 5, 4\)",
    ),
    (lambda: memgate.trace(GRU, X).to_frame(["a b c d e"]), "words: expected a list of 2"),
    (
        lambda: memgate.trace(GRU, X).to_frame(["a b c d e", "a b"]),
        "words of sequence 1: expected 5, got 2",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refuses_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


# memgate's own models

NOUNS = {"cat": "NN", "cats": "NNS", "dog": "NN", "near": "IN", "the": "DT"}


def predictor(tagger: bool = True) -> memgate.Predictor:
    vocabulary = Vocabulary.from_words([*NOUNS])
    torch.manual_seed(0)
    classifier = memgate.Classifier(len(vocabulary), "gru", 3, 4, 2, dropout=0.5).eval()
    tags = Tagger(pa.array(NOUNS), pa.array(NOUNS.values())) if tagger else None
    return memgate.Predictor(classifier, vocabulary, tagger=tags)


SENTENCES = ["the cats near the dog", "the cat"]


def test_a_predictor_fills_in_words_and_roles() -> None:
    model = predictor()
    trace = memgate.trace(model, SENTENCES)
    assert trace.words == (("the", "cats", "near", "the", "dog"), ("the", "cat"))
    assert trace.roles == (
        ("before", "subject", "other", "other", "attractor"),
        ("before", "subject"),
    )
    last = trace.outputs[torch.arange(2), trace.lengths - 1]
    p = torch.sigmoid(model.classifier.readout(last)).squeeze(-1)
    assert p.tolist() == pytest.approx(model.predict(SENTENCES).tolist(), abs=1e-6)
    frame = trace.to_frame()
    assert list(frame)[2:4] == ["word", "role"]
    assert frame.query("role == 'attractor'")["word"].unique().tolist() == ["dog"]
    table = memgate.gate_statistics(trace, lambda trace: trace.roles or ())
    assert set(table["group"]) == {"all", "before", "subject", "other", "attractor"}
    shut = memgate.intervene(model, SENTENCES, clamp={"write": 0.0}, at=slice(2, None))
    assert shut.words == trace.words
    assert torch.equal(shut.states[:, 0, 4], trace.states[:, 0, 1])


def test_without_a_tagger_roles_are_unknown() -> None:
    trace = memgate.trace(predictor(tagger=False), SENTENCES)
    assert trace.roles == ((None,) * 5, (None,) * 2)


def test_a_predictor_reads_sentences_and_a_module_tensors() -> None:
    with pytest.raises(InputError, match="inputs: expected a list of sentences for a predictor"):
        memgate.trace(predictor(), X)
    with pytest.raises(InputError, match="inputs: expected a tensor or PackedSequence, got list"):
        memgate.trace(GRU, SENTENCES)
    with pytest.raises(InputError, match="row 1: expected at least one word"):
        memgate.trace(predictor(), ["the cat", ""])
