"""Rows: how soon the live page answers a keystroke, in the system's chromium."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Iterator

import torch
from playwright.sync_api import Browser, sync_playwright

from benchmarks.setting import Setting
from benchmarks.table import Row
from memgate.data.vocabulary import Vocabulary
from memgate.gates.explain.explanation import LECTURE, explain
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor
from memgate.reporting.live_network import LiveNetwork
from memgate.reporting.live_page import page

WORDS, UNITS = 30, 100

KEYSTROKES = """text => Array.from({length: 20}, (_, index) => {
  const start = performance.now();
  memgate.type(text + "s".repeat(index));
  document.body.getBoundingClientRect();
  return performance.now() - start;
})"""
"""Types on and has the page laid out; returns milliseconds."""


def rows(setting: Setting) -> Iterator[Row]:
    """Yield one row, none without chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return
    path = setting.folder / "page.html"
    path.write_text(large_page(), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seconds = [milliseconds / 1000 for milliseconds in keystrokes(browser, path.as_uri())]
        browser.close()
    what = f"a keystroke on the live page, LSTM {UNITS}, {WORDS} words"
    yield Row("keystroke", what, "—", "s", statistics.median(seconds))


def large_page() -> str:
    """Return the page of an LSTM of 100 units with random weights."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_words(["the", "cat", "food", "of", ","])
    classifier = Classifier(len(vocabulary), "lstm", UNITS, UNITS).eval()
    predictor = Predictor(classifier, vocabulary)
    explanation = explain(predictor, LECTURE, model="lstm")
    return page([explanation], [LiveNetwork.of(predictor, explanation, ())])


def keystrokes(browser: Browser, address: str) -> list[float]:
    """Return the milliseconds that keystrokes at the end of 30 words take."""
    opened = browser.new_page(reduced_motion="reduce")
    opened.goto(address)
    text = " ".join(["the", "cat", "of", "the", "food"] * (WORDS // 5))
    times: list[float] = opened.evaluate(KEYSTROKES, text)
    opened.close()
    return times
