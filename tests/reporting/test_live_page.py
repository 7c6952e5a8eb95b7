"""The live page in a browser: its numbers are those of `unroll`, its tokens those of Python."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pytest
import torch
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.page import keystrokes, large_page
from memgate.data.tag_lexicon import TagLexicon
from memgate.data.vocabulary import Vocabulary
from memgate.gates.explain.explanation import explain
from memgate.gates.interventions.targets import quantity_of
from memgate.gates.units.unit import Unit
from memgate.models.cells import Quantity, Reading
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import unroll
from memgate.predictor import Predictor
from memgate.reporting.live_network import LiveNetwork
from memgate.reporting.live_page import page

pytestmark = pytest.mark.processes

SENTENCE = "the cat , which already ate a bunch of food ,"
NOUNS = ["cat", "cats", "bunch", "bunches", "key", "keys"]
WORDS = [*dict.fromkeys(SENTENCE.split()), *NOUNS, "to", "is", "n't", "i"]
SIZES = [(cell, layers) for cell in get_args(CellName) for layers in (1, 2)]


class Held(NamedTuple):
    """A gate that is held at a number, as `network.js` has it."""

    layer: int
    unit: int
    time: int
    reading: Reading
    value: float


def vocabulary() -> Vocabulary:
    read = Vocabulary.from_words(WORDS, ["NN", "NNS", "NNP", "RB", "CD"])
    words = {"zebras": "NNS", "quickly": "RB", "σς": "CD", "straße": "NN", "gladly": "UH"}
    endings = {"": "NN", "s": "NNS", "ss": "NN", "ly": "RB", "ς": "CD"}
    lexicon = TagLexicon(pa.array(words), pa.array(words.values()), endings)
    return Vocabulary(read.tokenizer, lexicon)


def predictor(cell: CellName, layers: int, units: int = 6, seed: int = 0) -> Predictor:
    torch.manual_seed(seed)
    read = vocabulary()
    classifier = Classifier(len(read), cell, 5, units, layers).eval()
    with torch.no_grad():
        for weights in classifier.parameters():
            weights.mul_(2.5)  # so that gates stand open and shut
    return Predictor(classifier, read)


def write_page(path: Path, predictors: Sequence[Predictor]) -> Path:
    networks, explanations = [], []
    for index, each in enumerate(predictors):
        name = f"{each.classifier.cell}-{index}"
        explanation = explain(each, SENTENCE, [Unit(0, 2), Unit(0, 1)], model=name)
        explanations.append(explanation)
        networks.append(LiveNetwork.of(each, explanation, [Unit(0, 1), Unit(0, 2), Unit(0, 4)]))
    path.write_text(page(explanations, networks), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def predictors() -> list[Predictor]:
    """Of each cell, of one layer and of two."""
    return [predictor(cell, layers) for cell, layers in SIZES]


@pytest.fixture(scope="module")
def address(predictors: list[Predictor], tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(tmp_path_factory.mktemp("page") / "page.html", predictors).as_uri()


@pytest.fixture
def shown(browser: Browser, address: str) -> Iterator[Page]:
    yield from _opened(browser, address)


def _opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Open a page that doesn't play by itself; errors of its scripts fail the test."""
    context = browser.new_context(reduced_motion="reduce", **options)
    opened, errors = context.new_page(), []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text))
    opened.goto(address)
    yield opened
    context.close()
    assert errors == []


def reference(model: Predictor, ids: Sequence[int], held: Sequence[Held]) -> dict[str, Any]:
    """What `unroll` finds in double precision with the same gates held."""
    classifier = model.classifier.double()
    net = classifier.recurrence

    def edit(name: Quantity, value: torch.Tensor, /, *, layer: int, time: int) -> torch.Tensor:
        for one in held:
            quantity, complement = quantity_of(net, one.reading)
            if (quantity, one.layer, one.time) == (name, layer, time):
                value[:, one.unit] = 1 - one.value if complement else one.value
        return value

    layers = unroll(net, classifier.embedding(torch.tensor([ids])), edit)
    p = torch.sigmoid(classifier.readout(layers[-1].hidden[0])).squeeze(-1)
    readings: dict[str, Any] = {
        reading: [layer.readings[reading][0].tolist() for layer in layers]
        for reading in layers[0].readings
    }
    return {"p": p.tolist(), **readings}


COMPUTE = """cases => cases.map(({network, ids, held}) => {
  const net = memgate.networks[network], run = net.run(ids, held), result = {p: run.p};
  for (const reading of Object.keys(net.equations.readings))
    result[reading] = run.layers.map((layer, l) => ids.map((_, time) =>
      Array.from(layer.hidden[time], (_, unit) => net.reading(run, reading, l, unit, time))));
  return result;
})"""


@pytest.mark.parametrize("index", range(len(SIZES)), ids=[f"{c}{n}" for c, n in SIZES])
def test_probabilities_and_gates_are_those_of_unroll_with_the_same_gates_held(
    index: int, shown: Page, predictors: list[Predictor]
) -> None:
    model, dice = predictors[index], random.Random(index)
    net = model.classifier.recurrence
    gated = model.classifier.cell != "rnn"
    cases = []
    for _ in range(200):
        ids = [dice.randrange(len(model.vocabulary)) for _ in range(dice.randint(1, 12))]
        held = [
            Held(
                dice.randrange(net.num_layers),
                dice.randrange(net.hidden_size),
                dice.randrange(len(ids)),
                dice.choice(get_args(Reading)),
                dice.choice([0.0, 1.0, dice.random()]),
            )
            for _ in range(dice.randint(0, 20) if gated else 0)
        ]
        cases.append((ids, held))
    sent = [
        {"network": index, "ids": ids, "held": [one._asdict() for one in held]}
        for ids, held in cases
    ]
    for result, (ids, held) in zip(shown.evaluate(COMPUTE, sent), cases, strict=True):
        expected = reference(model, ids, held)
        assert result.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(result[name], values, rtol=0, atol=1e-5)


@pytest.mark.parametrize("index", [2, 3, 4, 5])
def test_the_parts_of_a_gate_add_up_to_it(index: int, shown: Page) -> None:
    parts = shown.evaluate(
        """index => {
          const net = memgate.networks[index], ids = [3, 1, 4, 1, 5], run = net.run(ids);
          return Object.keys(net.equations.readings).flatMap((reading) => [0, 4].map((time) => {
            const parts = net.partsOf(run, reading, net.layers - 1, 2, time);
            const gate = net.reading(run, reading, net.layers - 1, 2, time);
            return {...parts, state: Array.from(parts.state), read: gate};
          }));
        }""",
        index,
    )
    for part in parts:
        total = part["input"] + sum(part["state"]) + part["bias"]
        assert total == pytest.approx(part["sum"], abs=1e-12)
        assert 1 / (1 + np.exp(-total)) == pytest.approx(part["read"], abs=1e-12)


def typed_texts() -> list[str]:
    """Sentences as people type them, and 600 texts of odd pieces joined at random."""
    lines = (Path(__file__).parents[1] / "typed_sentences.tsv").read_text("utf-8").splitlines()
    texts = [line.split("\t")[2] for line in lines if not line.startswith("#")]
    dice = random.Random(0)
    pieces = [
        *("the", "The", "CATS", "cat's", "don’t", "cannot", "U.S.", "e.g.", "Mr.", "O'Brien"),
        *("F-16", "well-known", "1,000.5", "3rd", "5kg", "...", "--", "''", "@-@", "<unk>"),
        *("a@b.co", "https://x.org/a", "WP$", "-LRB-", "zebras", "Zebras", "ΣΣ", "σς", "Σς"),
        *("İzmir", "ǅ", "straße", "STRASSE", "日本", "e\u0301té", "٣٤", "½", "x²", "😀", "glady"),
        *("quickly", "Quickly", "boss", "NNS", "NNP", "RB", "i", "I", "-", ",", ".", "?", "'", "’"),
        *("s", "n't", "é", "$", "%", "&", "/", "ʼ", "\u0903"),
    ]
    spaces = ["", " ", " ", " ", "  ", "\t", "\n", "\u00a0", "\u2009", "\u0085", "\ufeff", "\u200b"]
    for _ in range(600):
        joined = (dice.choice(pieces) + dice.choice(spaces) for _ in range(dice.randint(1, 12)))
        texts.append("".join(joined))
    return texts


def test_typed_text_is_split_and_read_as_in_python(shown: Page) -> None:
    texts, read = typed_texts(), vocabulary()
    assert len(texts) >= 500
    results = shown.evaluate(
        """texts => texts.map((text) => {
          const words = memgate.tokens(text);
          return {words, ids: memgate.vocabularies[0].read(words).map((word) => word.id)};
        })""",
        texts,
    )
    for text, result, tokens in zip(texts, results, read.tokenize(texts), strict=True):
        words = tokens.split(" ") if tokens else []
        assert result["words"] == words, text
        ids = read.encode(pa.array(words, pa.string())).tolist() if words else []
        assert result["ids"] == ids, words


def plural(shown: Page, stage: int = 0) -> float:
    """The page's P(plural) after the last word, as it is printed."""
    text = shown.locator(f"#answer{stage} .choice.many b").inner_text()
    return float(text.removesuffix("%")) / 100


def test_what_is_typed_and_held_is_what_the_predictor_finds(
    shown: Page, predictors: list[Predictor]
) -> None:
    shown.locator("input[name=network]").nth(2).evaluate("radio => radio.click()")
    text = "The keys to the cat, which is"
    shown.fill("#text", text)
    model = predictors[2]
    assert plural(shown) == pytest.approx(model.predict([text])[0], abs=0.0006)
    shown.click("#shut")
    ids = model.encode([text]).ids.tolist()
    units, words = (1, 2, 4), range(2, len(ids))
    held = [Held(0, unit, time, "write", 0.0) for unit in units for time in words]
    assert plural(shown) == pytest.approx(reference(model, ids, held)["p"][-1], abs=0.0006)
    gates = shown.locator("#stage0 .gate.write.held b").all_inner_texts()
    assert gates == ["0.00"] * len(words)
    shown.click("#trained")
    assert plural(shown) == pytest.approx(model.predict([text])[0], abs=0.0006)


def test_a_gate_is_dragged_with_the_pointer_and_moved_by_arrows(shown: Page) -> None:
    shown.locator("input[name=network]").nth(2).evaluate("radio => radio.click()")
    gate = shown.locator("#stage0 .gate.write").nth(3)
    track = gate.locator(".track").bounding_box()
    assert track is not None
    x, bottom = track["x"] + track["width"] / 2, track["y"] + track["height"]
    shown.mouse.move(x, bottom - 5)
    shown.mouse.down()
    shown.mouse.move(x, bottom - track["height"] / 2, steps=4)
    shown.mouse.up()
    assert float(gate.get_attribute("aria-valuenow") or "") == pytest.approx(0.5, abs=0.02)
    assert shown.locator("#stage0 .gate.held").count() == 1
    assert shown.locator("#opened").is_hidden()
    gate.press("End")
    assert gate.get_attribute("aria-valuenow") == "1.00"
    gate.press("ArrowDown")
    assert gate.get_attribute("aria-valuenow") == "0.95"
    gate.press("Enter")
    assert shown.locator("#opened").is_visible()
    assert "You hold it at 0.95" in shown.locator("#opened").inner_text()
    gate.press("Delete")
    assert shown.locator("#stage0 .gate.held").count() == 0


def test_an_opened_gate_shows_bars_that_sum_to_it(shown: Page) -> None:
    shown.locator("input[name=network]").nth(4).evaluate("radio => radio.click()")
    gate = shown.locator("#stage0 .gate.keep").nth(4)
    gate.click()
    cells = shown.locator("#opened td.value").all_inner_texts()
    *parts, total = [float(cell.replace("−", "-")) for cell in cells]
    assert len(parts) == 6  # the word, three units, the rest, the bias
    assert sum(parts) == pytest.approx(total, abs=0.04)
    shown_gate = float(gate.get_attribute("aria-valuenow") or "")
    assert 1 / (1 + np.exp(-total)) == pytest.approx(shown_gate, abs=0.01)
    assert "keep gate is" in shown.locator("#opened .sentence").inner_text()


def test_a_noun_is_compared_with_its_other_number(shown: Page, predictors: list[Predictor]) -> None:
    shown.locator("#stage0 .swap:visible").first.click()
    assert shown.locator("#stage1 .name").nth(1).inner_text() == "cats"
    other = SENTENCE.replace("cat", "cats")
    assert plural(shown, 1) == pytest.approx(predictors[0].predict([other])[0], abs=0.0006)
    assert plural(shown, 0) == pytest.approx(predictors[0].predict([SENTENCE])[0], abs=0.0006)


def test_words_are_chosen_by_dragging_over_them_and_with_shift(shown: Page) -> None:
    shown.locator("input[name=network]").nth(2).evaluate("radio => radio.click()")
    assert shown.locator("#range").inner_text() == "the words after “cat”"
    words = shown.locator("#stage0 .name")
    for index in (2, 3, 4, 5):
        box = words.nth(index).bounding_box()
        assert box is not None
        shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        if index == 2:
            shown.mouse.down()
    shown.mouse.up()
    assert shown.locator("#range").inner_text() == "from “,” to “ate”"
    shown.click("#shut")
    assert shown.locator("#stage0 .gate.held").count() == 4
    words.nth(7).focus()
    shown.keyboard.press("Shift+Enter")
    assert shown.locator("#range").inner_text() == "from “,” to “bunch”"
    shown.locator("#stage0 .gate.write").nth(6).press("End")  # moves all that are chosen
    assert shown.locator("#stage0 .gate.held b").all_inner_texts() == ["1.00"] * 6
    shown.click("#whole")
    assert shown.locator("#range").inner_text() == "the words after “cat”"


def test_one_unit_is_held_by_itself_and_all_units_override_it(
    shown: Page, predictors: list[Predictor]
) -> None:
    shown.locator("input[name=network]").nth(4).evaluate("radio => radio.click()")
    model = predictors[4]
    ids = model.encode([SENTENCE]).ids.tolist()
    shown.locator("input[name=grip][value=unit]").evaluate("radio => radio.click()")
    shown.click("#wide")
    words = range(2, len(ids))
    one = [Held(0, 2, time, "write", 1.0) for time in words]
    one += [Held(0, 2, time, "keep", 0.0) for time in words]
    assert plural(shown) == pytest.approx(reference(model, ids, one)["p"][-1], abs=0.0006)
    shown.locator("input[name=grip][value=all]").evaluate("radio => radio.click()")
    shown.click("#shut")
    every = [Held(0, unit, time, "write", 0.0) for unit in range(6) for time in words]
    every += [Held(0, unit, time, "keep", 1.0) for unit in range(6) for time in words]
    assert plural(shown) == pytest.approx(reference(model, ids, every)["p"][-1], abs=0.0006)


def test_a_sentence_plays_word_by_word(shown: Page, predictors: list[Predictor]) -> None:
    p = predictors[0].predict([SENTENCE.rsplit(" ", 2)[0], SENTENCE])
    shown.click("#back")
    shown.click("#back")
    assert plural(shown) == pytest.approx(p[0], abs=0.0006)
    assert shown.locator("#stage0 .word.current .name").inner_text() == "of"
    assert shown.locator("#stage0 .word.ahead").count() == 2
    shown.click("#play")
    assert "pause" in shown.locator("#play").inner_text()
    expect(shown.locator(".ahead")).to_have_count(0)
    assert plural(shown) == pytest.approx(p[1], abs=0.0006)
    expect(shown.locator("#play")).to_contain_text("play")


def test_a_link_shows_the_same(shown: Page, browser: Browser) -> None:
    shown.locator("input[name=network]").nth(5).evaluate("radio => radio.click()")
    shown.fill("#text", 'The keys, which is "n\'t" & 100% zebras')
    shown.locator("#stage0 .swap:visible").first.click()
    shown.click("#wide")
    shown.locator("#stage0 .gate.keep").nth(1).press("End")
    shown.wait_for_timeout(400)
    screen = "Array.from(document.querySelectorAll('.stage, .final'), (part) => part.innerText)"
    before = shown.evaluate(screen)
    assert len(before) == 4
    for opened in _opened(browser, shown.url):
        assert opened.evaluate(screen) == before
        assert opened.locator("input[name=network]").nth(5).is_checked()


def test_nonsense_after_the_hash_is_passed_over(browser: Browser, address: str) -> None:
    hold = (
        "hold=write/shown/0-999/0&hold=write/9:9/0-1/7&hold=x&unit=-1:0&network=none&text=the+cat"
    )
    for opened in _opened(browser, f"{address}#{hold}"):
        assert opened.locator("#stage0 .word").count() == 2


def test_an_empty_sentence_and_unknown_words_are_shown(shown: Page) -> None:
    shown.fill("#text", "")
    assert "Type a sentence" in shown.locator("#status").inner_text()
    shown.fill("#text", "the wugs ?")
    assert shown.locator("#stage0 .read").all_inner_texts() == [
        "",
        "read as a plural noun",
        "unknown",
    ]


def test_without_scripts_the_tables_are_there(browser: Browser, address: str) -> None:
    for opened in _opened(browser, address, java_script_enabled=False):
        assert opened.locator("#live").is_hidden()
        assert opened.locator("#tables table").first.is_visible()


def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, address: str) -> None:
    for opened in _opened(browser, address, viewport={"width": 390, "height": 844}):
        for index in range(len(SIZES)):
            opened.locator("input[name=network]").nth(index).evaluate("radio => radio.click()")
            assert opened.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_keystroke_answers_at_once(
    browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "large.html"
    path.write_text(large_page(), encoding="utf-8")
    times = keystrokes(browser, path.as_uri())
    with capsys.disabled():
        print(f"\na keystroke, LSTM of 100 units, 30 words: {np.median(times):.1f} ms")


def test_a_large_embedding_has_16_bits_and_moves_probabilities_by_less_than_a_thousandth(
    browser: Browser, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    words = Vocabulary.from_words([*WORDS, *(f"w{index}" for index in range(10_000))])
    model = Predictor(Classifier(len(words), "gru", 50, 20).eval(), words)
    path = write_page(tmp_path / "large.html", [model])
    assert path.stat().st_size < 1_600_000  # 2.7 MB in single precision
    texts = [f"the w{index} , which w{index * 7} ate w{index * 3}" for index in range(200)]
    for opened in _opened(browser, path.as_uri()):
        found = opened.evaluate(
            """texts => texts.map((text) => {
              const words = memgate.vocabularies[0].read(memgate.tokens(text));
              return memgate.networks[0].run(words.map((word) => word.id)).p.at(-1);
            })""",
            texts,
        )
    np.testing.assert_allclose(found, model.predict(texts), rtol=0, atol=1e-3)
