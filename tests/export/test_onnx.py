"""The ONNX graph on onnxruntime against torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.export.onnx import save_onnx
from memgate.models.classifier import RECURRENCE, Classifier

SIZES = {"vocab_size": 11, "embedding_size": 4, "hidden_size": 5}


def made(cell: str, num_layers: int, seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    classifier = Classifier(**SIZES, cell=cell, num_layers=num_layers, dropout=0.3)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.mul_(2)  # so that gates are not all near one half
    return classifier.eval()


@pytest.fixture(scope="module")
def sessions(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, int], tuple[Classifier, onnxruntime.InferenceSession]]:
    folder, found = tmp_path_factory.mktemp("onnx"), {}
    for cell in RECURRENCE:
        for layers in (1, 2, 3):
            classifier = made(cell, layers)
            save_onnx(classifier, folder / "model.onnx")
            session = onnxruntime.InferenceSession(folder / "model.onnx")
            found[cell, layers] = classifier, session
    return found


@settings(max_examples=60)
@given(
    cell=st.sampled_from(sorted(RECURRENCE)),
    layers=st.sampled_from([1, 2, 3]),
    batch=st.integers(1, 7),
    time=st.integers(1, 60),
    seed=st.integers(0, 1000),
)
def test_any_batch_and_length_as_torch(
    sessions: dict[tuple[str, int], tuple[Classifier, onnxruntime.InferenceSession]],
    cell: str,
    layers: int,
    batch: int,
    time: int,
    seed: int,
) -> None:
    classifier, session = sessions[cell, layers]
    ids = torch.randint(11, (batch, time), generator=torch.Generator().manual_seed(seed))
    lengths = np.full(batch, time)
    log_odds, p_plural = session.run(None, {"words": ids.numpy(), "lengths": lengths})
    with torch.inference_mode():
        expected = classifier(ids).numpy()
    assert log_odds.shape == p_plural.shape == (batch,)
    assert np.abs(log_odds - expected).max() < 1e-5
    assert np.abs(p_plural - classifier.probability(ids).numpy()).max() < 1e-5


@settings(max_examples=40)
@given(
    cell=st.sampled_from(sorted(RECURRENCE)),
    layers=st.sampled_from([1, 2, 3]),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=7),
    padding=st.integers(0, 10),
    more=st.integers(0, 5),
)
def test_padding_is_not_read(
    sessions: dict[tuple[str, int], tuple[Classifier, onnxruntime.InferenceSession]],
    cell: str,
    layers: int,
    lengths: list[int],
    padding: int,
    more: int,
) -> None:
    classifier, session = sessions[cell, layers]
    generator = torch.Generator().manual_seed(sum(lengths))
    prefixes = [torch.randint(11, (length,), generator=generator) for length in lengths]
    words = torch.full((len(lengths), max(lengths) + more), padding)
    for row, prefix in zip(words, prefixes, strict=True):
        row[: len(prefix)] = prefix
    inputs = {"words": words.numpy(), "lengths": np.array(lengths)}
    log_odds, _ = session.run(None, inputs)
    with torch.inference_mode():
        expected = [classifier(prefix[None]).item() for prefix in prefixes]
    assert np.abs(log_odds - expected).max() < 1e-5


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_prefix_without_words_has_no_answer(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "model.onnx"
    save_onnx(made(cell, 2), path)
    session = onnxruntime.InferenceSession(path)
    words = np.array([[3, 1, 4], [3, 1, 4]])
    for found in session.run(None, {"words": words, "lengths": np.array([0, 3])}):
        assert np.isnan(found).tolist() == [True, False]


def test_a_batch_without_lengths_is_refused(
    sessions: dict[tuple[str, int], tuple[Classifier, onnxruntime.InferenceSession]],
) -> None:
    _, session = sessions["gru", 1]
    with pytest.raises(ValueError, match="lengths"):
        session.run(None, {"words": np.zeros((2, 3), dtype=np.int64)})


@pytest.mark.parametrize("cell", sorted(RECURRENCE))
def test_answers_depend_on_every_layer_and_gate(tmp_path: Path, cell: str) -> None:
    """Else equality with torch could be that of constants."""
    ids = torch.arange(11).repeat(1, 2)
    classifier = made(cell, 2)
    for name, weight in list(classifier.named_parameters()):
        for part in weight.data.chunk(4 if cell == "lstm" else 3 if cell == "gru" else 1):
            kept = part.clone()
            part.add_(0.1 * torch.sign(part))
            save_onnx(classifier, tmp_path / "model.onnx", "p")
            found = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(
                ["p"], {"words": ids.numpy(), "lengths": np.array([22])}
            )[0]
            changed = classifier.probability(ids).numpy()
            part.copy_(kept)
            assert np.abs(found - changed).max() < 1e-5
            assert (classifier.probability(ids).numpy() != changed).all(), name


def test_double_precision_is_written_as_float(tmp_path: Path) -> None:
    classifier = made("lstm", 1).double()
    save_onnx(classifier, tmp_path / "model.onnx", "p_ungrammatical")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [each.name for each in session.get_outputs()] == ["log_odds", "p_ungrammatical"]
    assert [each.shape for each in session.get_inputs()] == [["batch", "time"], ["batch"]]
    ids = torch.arange(11).unsqueeze(0)
    found = session.run(None, {"words": ids.numpy(), "lengths": np.array([11])})[1]
    assert np.abs(found - classifier.probability(ids).numpy()).max() < 1e-6


def test_the_file_holds_its_weights_and_passes_the_checker(tmp_path: Path) -> None:
    classifier = made("gru", 2)
    save_onnx(classifier, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    stored = sum(
        int(np.prod(each.dims))
        for each in model.graph.initializer
        if each.data_type == onnx.TensorProto.FLOAT
    )
    assert stored == sum(weight.numel() for weight in classifier.parameters()) + 1  # NaN
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_without_the_package_one_line_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnx'] = None\n"  # as Python marks what can't be imported
        "from memgate.export.onnx import require_onnx\n"
        "try: require_onnx()\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "ONNX needs the package onnx, which is not installed; pip install 'memgate[onnx]'\n"
    )
