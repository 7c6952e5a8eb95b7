"""`save_onnx`: a classifier as an ONNX graph, for any batch size and any number of words.

torch 2.13's exporter (``dynamo=True``, dynamic shapes) fixes the number of words to that of its
example and takes 12 s. ONNX has the three recurrences as operators, so the graph is built from them
here: exactly, in milliseconds, for onnxruntime 1.13 or later.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from memgate.errors import InputError
from memgate.models.classifier import CellName, Classifier

OPSET, IR = 17, 8
"""Versions of 2022; the operators GRU, LSTM and RNN have not changed since opset 14."""

WORDS, LENGTHS, LOG_ODDS = "words", "lengths", "log_odds"
"""Names of the inputs, and of the first output."""


class _Operator(NamedTuple):
    """ONNX's operator for a cell; `blocks` are its gates in ONNX's order, by torch's indices."""

    name: str
    blocks: tuple[int, ...]
    attributes: Mapping[str, int]


OPERATORS: Mapping[CellName, _Operator] = MappingProxyType(
    {
        "rnn": _Operator("RNN", (0,), {}),
        # torch: r, z, n; ONNX: z, r, h. Both: h' = (1 − z)·n + z·h. With linear_before_reset the
        # reset gate acts after the recurrent product and its bias, as in torch.
        "gru": _Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),
        # torch: i, f, g, o; ONNX: i, o, f, c.
        "lstm": _Operator("LSTM", (0, 3, 1, 2), {}),
    }
)
"""See https://onnx.ai/onnx/operators/ and torch.nn's pages, which have the same equations."""


def require_onnx() -> Any:
    """Return the package `onnx`.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise InputError(
            "ONNX needs the package onnx, which is not installed; pip install 'memgate[onnx]'"
        ) from error


def save_onnx(classifier: Classifier, path: Path, probability: str = "p_plural") -> None:
    """Write a classifier as one ``.onnx`` file that contains its weights.

    Inputs: ``words``, int64 (batch, time), ids of the vocabulary; ``lengths``, int64 (batch,), the
    number of words of each prefix, from 1 to time. What stands after them is padding and is not
    read. Outputs: ``log_odds`` and the probability, float32 (batch,); NaN where the length is 0.

    Args:
        classifier: The classifier; dropout is omitted, and weights are written as float32.
        path: The file.
        probability: Name of the second output, in [0, 1].

    Raises:
        InputError: The package `onnx` is not installed.
    """
    onnx = require_onnx()
    weights = {
        name: onnx.numpy_helper.from_array(values.detach().float().cpu().numpy(), name)
        for name, values in _initializers(classifier)
    }
    for name, axis in {"first axis": 0, "second axis": 1}.items():
        weights[name] = onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [1], [axis])
    weights["one"] = onnx.helper.make_tensor("one", onnx.TensorProto.INT64, [], [1])
    weights["NaN"] = onnx.helper.make_tensor("NaN", onnx.TensorProto.FLOAT, [], [math.nan])
    value, types = onnx.helper.make_tensor_value_info, onnx.TensorProto
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(*node, **more) for node, more in _nodes(classifier, probability)],
        "memgate",
        [
            value(WORDS, types.INT64, ["batch", "time"]),
            value(LENGTHS, types.INT64, ["batch"]),
        ],
        [value(name, types.FLOAT, ["batch"]) for name in (LOG_ODDS, probability)],
        list(weights.values()),
    )
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(
        graph, opset_imports=opsets, ir_version=IR, producer_name="memgate"
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _initializers(classifier: Classifier) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights in ONNX's order; those of recurrences get a first axis for direction."""
    yield "embedding", classifier.embedding.weight
    yield "readout", classifier.readout.weight
    yield "readout bias", classifier.readout.bias
    blocks = OPERATORS[classifier.cell].blocks
    weights = classifier.recurrence.state_dict()

    def ordered(name: str) -> Tensor:
        gates = weights[name].chunk(len(blocks))
        return torch.cat([gates[index] for index in blocks]).unsqueeze(0)

    for layer in range(classifier.recurrence.num_layers):
        for name in ("ih", "hh"):
            yield f"{name} {layer}", ordered(f"weight_{name}_l{layer}")
        biases = [ordered(f"bias_{name}_l{layer}") for name in ("ih", "hh")]
        yield f"bias {layer}", torch.cat(biases, dim=1)


def _nodes(
    classifier: Classifier, probability: str
) -> Iterator[tuple[tuple[str, list[str], list[str]], dict[str, Any]]]:
    """Yield for each node its operator, inputs and outputs, and its attributes."""
    # The tokenizer gives int64, the recurrences take int32.
    yield ("Cast", [LENGTHS], ["steps"]), {"to": 6}  # onnx.TensorProto.INT32
    yield ("Gather", ["embedding", WORDS], ["vectors"]), {}  # (batch, time, features)
    yield ("Transpose", ["vectors"], ["states 0"]), {"perm": [1, 0, 2]}
    operator, layers = OPERATORS[classifier.cell], classifier.recurrence.num_layers
    more = {"hidden_size": classifier.recurrence.hidden_size, **operator.attributes}
    for layer in range(layers):
        weights = [f"{name} {layer}" for name in ("ih", "hh", "bias")]
        inputs = [f"states {layer}", *weights, "steps"]
        outputs = [f"all {layer}", f"last {layer}"]
        yield (operator.name, inputs, outputs), more
        if layer < layers - 1:  # (time, directions, batch, units) → (time, batch, units)
            squeezed = [f"states {layer + 1}"]
            yield ("Squeeze", [outputs[0], "second axis"], squeezed), {}
    yield ("Squeeze", [f"last {layers - 1}", "first axis"], ["memory"]), {}  # (batch, units)
    yield ("Gemm", ["memory", "readout", "readout bias"], ["column"]), {"transB": 1}
    yield ("Squeeze", ["column", "second axis"], ["of words"]), {}
    yield ("Less", [LENGTHS, "one"], ["without words"]), {}  # the state would still be 0
    yield ("Where", ["without words", "NaN", "of words"], [LOG_ODDS]), {}
    yield ("Sigmoid", [LOG_ODDS], [probability]), {}
