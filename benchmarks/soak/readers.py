"""Generated inputs for every reader: each is read or refused by an InputError, in under 5 s."""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import lzma
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from benchmarks.soak import bad_inputs
from memgate.data.items.dependencies import UD, extract_items
from memgate.data.sources import conllu, jsonl, linzen, treebank
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor
from memgate.studies.plan import read_study
from memgate.tracking.registry.served_model import AgreementModel

COMPRESSORS: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    gzip.compress,
    bz2.compress,
    lzma.compress,
)

LONGEST = 5.0
"""Seconds that one input may take."""

ROW = {**bad_inputs.ROW, "n_attractors": 1, "verb": "are", "verb_alt": "is"}

SIMPLE = "VBP\tthe keys to the NN\nVBZ\tthe cat\n"

FULL = (
    "\t".join(linzen.TSV_COLUMNS)
    + "\nthe keys are\tthe keys are\tDT NNS VBP\tare\tNNS\tVBP\t2\t3\t0\n"
)

CONLLU = "".join(
    "\t".join(columns) + "\n"
    for columns in (
        ("1", "keys", "key", "NOUN", "NNS", "_", "2", "nsubj", "_", "_"),
        ("2", "are", "be", "AUX", "VBP", "_", "0", "root", "_", "_"),
        (),
    )
)

STUDY = """cells: [gru, lstm]
data: [synthetic]
seeds: 3
settings: {model.hidden_size: 8}
vary: {model.dropout: [0.0, 0.5]}
search: {trials: 3, settings: {data.batch_size: [32, 64]}}
"""

PIECES = st.one_of(
    st.binary(max_size=4),
    st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [*b'\t\n\r {}[]":,-#&*!|>%@\\0', *(ord(letter) for letter in "eEnN")],
    ).map(lambda byte: bytes([byte])),
    st.sampled_from(
        [b"null", b"NaN", b"1e999", b"-1", b"99999999999999999999", b"VBZ", b"NN", b"\xef\xbb\xbf"]
    ),
)
"""What is written into a valid file."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn, valid: str) -> bytes:
    """Draw a valid file with up to four places cut out or written over."""
    content = valid.encode()
    for _ in range(draw(st.sampled_from([0, 1, 1, 2, 4]))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.integers(0, 12))
        content = content[:start] + draw(PIECES) + content[end:]
    return content


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a row of the exchange format, some of whose values are anything that JSON can say."""
    names = st.sampled_from([*ROW, "prefix", "id", "good"])
    changed = draw(st.dictionaries(names, JSON, max_size=2))
    lacking = draw(st.sets(st.sampled_from(list(ROW)), max_size=3))
    return {name: value for name, value in ROW.items() if name not in lacking} | changed


class Reader:
    """A reader, and how it fared.

    Args:
        name: For the table.
        inputs: What it is given.
        read: Reads one input; its result is not looked at.

    Attributes:
        count: Number of inputs.
        refused: How many of them were refused.
        slowest: Seconds of the slowest.
    """

    def __init__(
        self, name: str, inputs: st.SearchStrategy[Any], read: Callable[[Any], object]
    ) -> None:
        self.name = name
        self.count = self.refused = 0
        self.slowest = 0.0
        self._inputs = inputs
        self._read = read

    def run(self, examples: int) -> str | None:
        """Read so many inputs; return what went wrong, or None."""

        @seed(0)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(self._inputs)
        def check(content: Any) -> None:
            start = time.perf_counter()
            self.count += 1
            try:
                self._read(content)
            except InputError as error:
                self.refused += 1
                if "\n" in str(error):
                    raise ValueError(f"expected a message of one line, got {error}") from error
            except MlflowException as error:
                self.refused += 1
                if "\n" in error.message:
                    raise ValueError(f"expected a message of one line, got {error}") from error
            taken = time.perf_counter() - start
            self.slowest = max(self.slowest, taken)
            if taken > LONGEST:
                raise TimeoutError(f"{taken:.1f} s")

        try:
            check()
        except Exception as error:  # any exception is what is looked for
            return f"{type(error).__name__}: {error}; {' '.join(getattr(error, '__notes__', []))}"
        return None


def readers(folder: Path) -> list[tuple[Reader, float]]:
    """Return every reader and the proportion of the inputs that it is given.

    Args:
        folder: Empty, for the files that are read.
    """
    file = folder / "input"

    def written(content: bytes) -> str:
        file.write_bytes(content)
        return str(file)

    def parse_json(content: bytes) -> None:
        problem = jsonl._check_line(content.decode("utf-8", "replace"), 1).get("problem")
        if problem:  # the whole file is read before it is refused
            raise InputError(problem)

    def parse_row(row: dict[str, Any]) -> None:
        parse_json(json.dumps(row).encode())

    def parse_tsv(content: bytes) -> None:
        first, *lines = content.decode("utf-8", "replace").split("\n")
        batch: dict[str, list[str]] = {"text": [first, *lines]}
        numbers = range(len(batch["text"]))
        if "verb_pos" in first:
            header = linzen._check_header(first.split("\t"), "input")
            linzen._parse_full_batch(batch, numbers, "input", "", header, masked=True)
        else:
            linzen._parse_simple_batch(batch, numbers, "input", "")

    def read_trees(content: bytes) -> None:
        extract_items(conllu.read(written(content)), UD)

    def plan(content: bytes) -> None:
        read_study(Path(written(content))).runs()

    model = _model(folder / "model")
    single = st.one_of(damaged(json.dumps(ROW) + "\n"), damaged('{"prefix": "a", "label": "sg"}'))
    tables = st.one_of(damaged(SIMPLE), damaged(FULL))
    trees = damaged(CONLLU)
    return [
        (Reader("JSON Lines, a line", single, parse_json), 0.25),
        (Reader("JSON Lines, a row", rows(), parse_row), 0.25),
        (Reader("TSV", tables, parse_tsv), 0.25),
        (Reader("CoNLL-U", trees, read_trees), 0.18),
        (Reader("study", damaged(STUDY), plan), 0.02),
        (
            Reader("served request", st.lists(rows(), max_size=3), lambda rows: _ask(model, rows)),
            0.045,
        ),
        (Reader("JSON Lines, a file", _either(single), lambda c: jsonl.read([written(c)])), 0.002),
        (Reader("TSV, a file", _either(tables), lambda c: linzen.read([written(c)])), 0.002),
        (Reader("CoNLL-U, a file", _either(trees), lambda c: treebank.read([written(c)])), 0.001),
    ]


def _either(contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Compress contents in one of several ways or not at all, and cut some of them off."""
    whole = st.builds(
        lambda compress, content: compress(content), st.sampled_from(COMPRESSORS), contents
    )
    return st.builds(lambda content, end: content[:end], whole, st.integers(1, 400))


def _model(folder: Path) -> AgreementModel:
    words = [*str(ROW["text"]).split(), "cat"]
    vocabulary = Vocabulary.build(pa.array(words), None)
    classifier = Classifier(vocab_size=len(vocabulary), embedding_size=2, hidden_size=2)
    folder.mkdir()
    Predictor(classifier.eval(), vocabulary).save(folder)
    model = AgreementModel()
    model.load_context(SimpleNamespace(artifacts={"model": str(folder)}))  # type: ignore[arg-type]
    return model


def _ask(model: AgreementModel, rows: list[dict[str, Any]]) -> None:
    model.predict(None, pd.DataFrame(rows))


def main() -> int:
    """Read generated inputs and print a line a reader.

    Returns:
        The exit status: 1 if a reader failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000, help="inputs in all (100,000)")
    examples: int = parser.parse_args().examples
    datasets.disable_progress_bars()
    failed = count = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder, "cache")
        for reader, proportion in readers(Path(folder)):
            begun = time.perf_counter()
            problem = reader.run(max(10, round(examples * proportion)))
            seconds = time.perf_counter() - begun
            print(
                f"{reader.name}: {reader.count:,} inputs, {reader.refused:,} refused, slowest "
                f"{reader.slowest:.2f} s, {seconds:.0f} s in all"
                + (f": {problem}" if problem else "")
            )
            failed += problem is not None
            count += reader.count
            slowest = max(slowest, reader.slowest)
    print(f"readers: {count:,} inputs, {failed} readers failed, the slowest input {slowest:.2f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
