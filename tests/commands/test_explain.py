"""`memgate explain`: terminal, JSON and page say the same; what is refused leaves nothing."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import numpy as np
import pytest

import memgate
from memgate.cli import main

GRU, LSTM, RNN = (f"models:/memgate-{cell}-synthetic@champion" for cell in ("gru", "lstm", "rnn"))
SENTENCE = "the cat , which the dogs <b> see"


def test_json_has_the_models_own_answers(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", GRU, LSTM, RNN, SENTENCE, "--json"]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    words = SENTENCE.split()
    for uri in (GRU, LSTM, RNN):
        model = memgate.load(uri)
        last = model.predict([SENTENCE])[0]
        assert any(
            np.isclose(number, last, atol=1e-5) for number in numbers(found) if number is not None
        ), uri
    assert all(f'"{word}"' in text for word in words)


def numbers(tree: object) -> list[float]:
    """All numbers in a JSON tree."""
    if isinstance(tree, dict):
        return [number for value in tree.values() for number in numbers(value)]
    if isinstance(tree, list):
        return [number for value in tree for number in numbers(value)]
    return [float(tree)] if isinstance(tree, int | float) and not isinstance(tree, bool) else []


def test_the_page_stands_alone(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = Path("out/page.html")
    assert main(["explain", GRU, LSTM, SENTENCE, "the dogs", "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    html.parser.HTMLParser().feed(page)
    assert len(page.encode()) < 300_000
    assert not any(mark in page for mark in ("<script", "http://", "https://", "@import"))
    assert "&lt;b&gt;" in page
    assert "<b> see" not in page
    assert "P(plural)" in page
    printed = capsys.readouterr().out
    assert "write" in printed
    assert "P(plural)" in printed
    assert max(map(len, printed.splitlines())) <= 130


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["the cat sees"], "expected a MODEL"),
        ([GRU], "sentence"),
        ([GRU, "qqq zzz xxx"], "at least one word of the vocabulary"),
        ([GRU, "the cat", "--units", "0:99"], "units"),
        ([GRU, "the cat", "--units", "x"], "units: expected layer:unit"),
        ([GRU, "the cat", "--subject", "7"], "subject"),
        (["models:/memgate-none@champion", "the cat"], "memgate-none"),
    ],
)
def test_faults_are_one_line_and_nothing_is_written(
    trained: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments, "--out", "out/page.html"]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("memgate: error: ")
    assert told in line
    assert not captured.out
    assert not Path("out/page.html").exists()
