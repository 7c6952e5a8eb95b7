"""The regression on the last words, held against scikit-learn and against its own optimum."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from memgate.baselines.last_words import INVERSE_REGULARISATION, LastWords
from memgate.baselines.rules import baseline_predictions
from memgate.data.items.schema import FEATURES
from memgate.data.sources import jsonl
from memgate.data.sources.grammar import Grammar
from memgate.errors import InputError

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

Row = tuple[str, str | None, int, int]
"""Text, tags, place of the verb, label."""


def items(*rows: Row) -> pa.Table:
    nothing: dict[str, Any] = dict.fromkeys(FEATURES)
    made = [
        {**nothing, "text": text, "tags": tags, "verb_idx": verb_idx, "label": label}
        for text, tags, verb_idx, label in rows
    ]
    return pa.Table.from_pylist(made, schema=FEATURES.arrow_schema)


def indicators(table: pa.Table) -> list[dict[str, float]]:
    """What the docstring says is read of each item, by a plain loop."""
    found = []
    for row in table.select(["text", "tags", "verb_idx"]).to_pylist():
        words = row["text"].lower().split(" ")[: row["verb_idx"]]
        tags = row["tags"].split(" ")[: row["verb_idx"]] if row["tags"] else []
        names = []
        for back in (1, 2, 3):
            names.append(f"word-{back}={words[-back]}" if back <= len(words) else f"none-{back}")
            if back <= len(tags):
                names.append(f"tag-{back}={tags[-back]}")
        found.append(dict.fromkeys(names, 1.0))
    return found


def frequent(found: list[dict[str, float]]) -> list[dict[str, float]]:
    counts = Counter(name for row in found for name in row)
    return [
        {name: 1.0 for name in row if counts[name] > 1 or not name.startswith("word-")}
        for row in found
    ]


def by_scikit(
    table: pa.Table, model: LastWords
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a matrix of indicators, and what scikit-learn answers with the model's weights."""
    names = model.features.to_pylist()
    vectorizer = DictVectorizer(sort=False).fit([dict.fromkeys([*names, "-"], 1.0)])
    matrix = vectorizer.transform(indicators(table)).toarray()
    weights = [dict(zip(names, model.weights, strict=True)).get(n, 0.0) for n in [*names, "-"]]
    scikit = LogisticRegression()
    scikit.classes_ = np.array([0, 1])
    scikit.coef_ = np.array([weights])
    scikit.intercept_ = np.array([model.intercept])
    return matrix, scikit.predict_proba(matrix)[:, 1]


TRAINING = items(
    ("The keys to the cabinet are", "DT NNS IN DT NN VBP", 5, 1),
    ("the key to The cabinet is", "DT NN IN DT NN VBZ", 5, 0),
    ("keys are", "NNS VBP", 1, 1),
    ("a key is", None, 2, 0),
    ("keys near it are keys", "NNS IN PRP VBP NNS", 3, 1),
)


def test_what_is_read_by_hand() -> None:
    model = LastWords.fit(TRAINING)
    assert model.features.to_pylist() == [
        *("none-2", "none-3"),
        # keys, key, it and near stand once at their places; what follows the verb isn't read
        *("tag-1=NN", "tag-1=NNS", "tag-1=PRP", "tag-2=DT", "tag-2=IN", "tag-3=IN", "tag-3=NNS"),
        *("word-1=cabinet", "word-2=the", "word-3=to"),
    ]
    weights = dict(zip(model.features.to_pylist(), model.weights, strict=True))
    read = items(
        ("x", "NNS", 1, 0),
        ("THE cabinet", None, 2, 0),
        ("key keys keys keys", "NN JJ PRP ZZ", 4, 0),  # no indicator of training at all
    )
    log_odds = model.intercept + np.array(
        [
            weights["none-2"] + weights["none-3"] + weights["tag-1=NNS"],
            weights["none-3"] + weights["word-2=the"] + weights["word-1=cabinet"],
            0.0,
        ]
    )
    assert model.p_plural(read) == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-12)
    assert weights["tag-3=NNS"] > 0 > weights["none-3"]
    empty = model.p_plural(read[:0])
    assert empty.shape == (0,)
    assert empty.dtype == np.float64


WORDS = st.sampled_from(["the", "The", "keys", "key", "of", "it", "É"])
TAGS = st.sampled_from(["DT", "NN", "NNS", "_"])
ROWS = st.lists(
    st.tuples(
        st.lists(st.tuples(WORDS, TAGS), min_size=1, max_size=5), st.booleans(), st.integers(0, 1)
    ),
    min_size=1,
    max_size=25,
)
Rows = list[tuple[list[tuple[str, str]], bool, int]]


def table_of(rows: Rows) -> pa.Table:
    made: list[Row] = []
    for pairs, known, label in rows:
        words, tags = zip(*pairs, strict=True)
        made.append((" ".join(words), " ".join(tags) if known else None, len(words), label))
    return items(*made)


@settings(max_examples=40)
@given(ROWS, ROWS)
def test_as_scikit_learn(rows: Rows, others: Rows) -> None:
    train, read = table_of(rows), table_of(others)
    labels = train["label"].to_numpy()
    model = LastWords.fit(train)
    for table in (train, read):
        _, expected = by_scikit(table, model)
        assert np.abs(model.p_plural(table) - expected).max() < 1e-9
    kept = frequent(indicators(train))
    if 0 < labels.sum() < len(labels) and any(kept):
        vectorizer = DictVectorizer()
        matrix = vectorizer.fit_transform(kept)
        assert vectorizer.feature_names_ == model.features.to_pylist()
        scikit = LogisticRegression(C=INVERSE_REGULARISATION, tol=1e-10, solver="newton-cholesky")
        expected = scikit.fit(matrix, labels).predict_proba(matrix)[:, 1]
        assert np.abs(model.p_plural(train) - expected).max() < 1e-6


@settings(max_examples=40)
@given(ROWS)
def test_the_penalised_likelihood_is_at_its_optimum(rows: Rows) -> None:
    table = table_of(rows)
    labels = table["label"].to_numpy()
    model = LastWords.fit(table)
    if len(model.features):
        residual = model.p_plural(table) - labels
        matrix, _ = by_scikit(table, model)
        slope = INVERSE_REGULARISATION * residual @ matrix[:, :-1] + model.weights
        assert np.abs(slope).max(initial=0) < 1e-6
        assert abs(residual.sum()) < 1e-6


@settings(max_examples=40)
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_items_and_their_chunks_change_nothing(rows: Rows, rng: Any) -> None:
    table = table_of(rows)
    expected = LastWords.fit(table)
    order = rng.sample(range(len(rows)), len(rows))
    cut = rng.randint(0, len(rows))
    shuffled = table.take(order)
    found = LastWords.fit(pa.concat_tables([shuffled[:cut], shuffled[cut:]]))
    assert found.features == expected.features
    assert found.weights == pytest.approx(expected.weights, abs=1e-6)
    p_plural = expected.p_plural(table)
    assert found.p_plural(shuffled) == pytest.approx(p_plural[order], abs=1e-6)
    assert np.array_equal(expected.p_plural(table[cut:]), p_plural[cut:])


@settings(max_examples=20)
@given(ROWS)
def test_saved_and_loaded(tmp_path_factory: pytest.TempPathFactory, rows: Rows) -> None:
    table = table_of(rows)
    model = LastWords.fit(table)
    path = tmp_path_factory.mktemp("regression") / "weights.parquet"
    model.save(path)
    assert pq.read_table(path)["feature"].to_pylist() == ["intercept", *model.features.to_pylist()]
    loaded = LastWords.load(path)
    assert loaded.features == model.features
    assert np.array_equal(loaded.weights, model.weights)
    assert np.array_equal(loaded.p_plural(table), model.p_plural(table))


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_only_is_what_it_predicts(label: int, tmp_path: Path) -> None:
    model = LastWords.fit(items(*[("the key is", "DT NN VBZ", 2, label)] * 3))
    model.save(tmp_path / "weights.parquet")
    p_plural = LastWords.load(tmp_path / "weights.parquet").p_plural(TRAINING)
    odds = (3 * label + 0.5) / (3 * (1 - label) + 0.5)
    assert p_plural == pytest.approx(odds / (1 + odds))
    assert ((p_plural > 0.5) == label).all()


def test_without_any_indicator_the_labels_decide() -> None:
    model = LastWords.fit(
        items(("a b c", None, 3, 1), ("d e f", None, 3, 1), ("g h i", None, 3, 0))
    )
    assert len(model.features) == 0
    assert model.p_plural(TRAINING) == pytest.approx([2.5 / 4] * 5)


def test_reading_and_predicting_take_no_scikit_learn(tmp_path: Path) -> None:
    path = tmp_path / "weights.parquet"
    LastWords.fit(TRAINING).save(path)
    code = (
        "import sys; from pathlib import Path; import pyarrow as pa; "
        "from memgate.baselines.last_words import LastWords; "
        "table = pa.table({'text': ['the keys'], 'tags': ['DT NNS'], 'verb_idx': [2]}); "
        f"p = LastWords.load(Path({str(path)!r})).p_plural(table); "
        "print(len(p), 'sklearn' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "1 False\n"


def test_what_cant_be_fitted_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^expected items to fit the last words on, got none$"):
        LastWords.fit(TRAINING[:0])
    path = tmp_path / "weights.parquet"
    what = "expected the weights of the last words"
    with pytest.raises(InputError, match=f"^{path}: {what}, found no file$"):
        LastWords.load(path)
    LastWords.fit(TRAINING).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=f"^{path}: {what} as Parquet, got: "):
        LastWords.load(path)
    pq.write_table(pa.table({"feature": ["intercept"], "weight": ["0"]}), path)
    with pytest.raises(InputError, match=r"weight \(double\), got .*weight \(string\)$"):
        LastWords.load(path)
    pq.write_table(pa.table({"feature": ["intercept"], "weight": pa.nulls(1, pa.float64())}), path)
    with pytest.raises(InputError, match=f"^{path}: expected no null in weight, got 1$"):
        LastWords.load(path)
    for features in (["none-2"], []):
        table = pa.table(
            {"feature": pa.array(features, pa.string()), "weight": [0.5][: len(features)]}
        )
        pq.write_table(
            table.cast(pa.schema({"feature": pa.string(), "weight": pa.float64()})), path
        )
        with pytest.raises(InputError, match=f"^{path}: expected the intercept in the first row$"):
            LastWords.load(path)


def accuracy(model: LastWords, table: pa.Table) -> float:
    return float(((model.p_plural(table) > 0.5) == table["label"].to_numpy()).mean())


def test_the_grammar_leaves_little_to_the_last_words() -> None:
    splits = Grammar(4000, 10, 1000).load().with_format("arrow")
    model = LastWords.fit(splits["train"][:])
    assert 0.52 < accuracy(model, splits["test"][:]) < 0.7  # the last noun alone: 0.66


@needs_data
def test_real_text_is_fitted_in_seconds_and_attractors_mislead() -> None:
    files = [f"{DATA}/corpus/agr_{name}_train.jsonl.gz" for name in ("masc", "brown")]
    train = jsonl.read(files).with_format("arrow")[:]
    model = LastWords.fit(train)
    dev = jsonl.read([f"{DATA}/corpus/agr_wiki_dev.jsonl.gz"]).with_format("arrow")[:]
    attractors = dev["n_attractors"].to_numpy()
    last_noun = baseline_predictions(dev, "sg")["last_noun"]
    labels = np.where(dev["label"].to_numpy() == 1, "pl", "sg")
    assert 0.85 < accuracy(model, dev) < float((last_noun == labels).mean())
    assert accuracy(model, dev.filter(pa.array(attractors == 0))) > 0.95
    assert accuracy(model, dev.filter(pa.array(attractors > 0))) < 0.35
