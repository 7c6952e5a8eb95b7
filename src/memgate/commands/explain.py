"""`memgate explain` and `memgate play`: what gates do at each word, printed or on a live page.

It should take hardly longer than the import of torch, so slow modules are imported where they are
needed: MLflow for a registered model (1.3 s), jinja2 for a page.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import torch

from memgate.data.items.tasks import NUMBER
from memgate.errors import InputError
from memgate.gates.explain.explained_model import ExplainedModel
from memgate.gates.explain.explanation import LECTURE, Explanation
from memgate.gates.units.unit import Unit
from memgate.reporting.console import echo
from memgate.reporting.explanation import print_explanations, print_json
from memgate.reporting.files import write_file

PLAYGROUND = Path("out/play.html")

PAGE_SIZE = 6_000_000
"""Bytes of a page that a browser opens at once; an LSTM of 100 units and 10,000 words has half."""


def explain(
    models: Sequence[str],
    sentence: Sequence[str] = (LECTURE,),
    units: str | None = None,
    subject: str | None = None,
    detail: bool = False,
    out: Path | None = None,
    json_: bool = False,
) -> None:
    """Show what the gates do at each word of a sentence, and the prediction after it.

    Args:
        models: models:/NAME@ALIAS, runs:/…/model or a folder; several are shown together.
        sentence: Sentences as people write them, each in quotes. A model of real text reads the tag
            of a rare word in its place, such as NNS.
        units: Units to show, as LAYER:UNIT with commas between; both count from 0, so that unit 7
            of the first layer is 0:6. Without it the model's number units, first the one that
            takes up most at the subject.
        subject: Position of the subject, from 0, where a comma counts as a word: one for all
            sentences, or one for each with commas between; or auto for the first common noun. It
            shows the roles of the words.
        detail: Show all units and readings; without it, what fits a dozen lines a model.
        out: Write a page that computes the models in the browser, such as explain.html, and print
            nothing else. A file that is there already is replaced, and the output says so.
        json_: Print the numbers as JSON.

    Raises:
        InputError: A model, a sentence, a unit or a position doesn't exist, or the page can't be
            written; then nothing is printed or written.
    """
    torch.set_num_threads(1)
    uris = list(dict.fromkeys(models))
    sentences = list(dict.fromkeys(" ".join(text.split()) for text in sentence))
    wanted = [] if units is None else [Unit.parse(unit) for unit in units.split(",")]
    subjects = _subjects(subject, len(sentences))
    loaded = [_load(uri, wanted) for uri in uris]
    if len({model.name for model in loaded}) < len(loaded):
        raise InputError(f"expected models of different names, got {', '.join(uris)}")
    explanations = [
        model.explain(text, position, with_roles=subject is not None)
        for text, position in zip(sentences, subjects, strict=True)
        for model in loaded
    ]
    written = None if out is None else _write(out, explanations, loaded)
    if json_:
        print_json(explanations)
    elif written is None:
        print_explanations(explanations, detail)
    if written is not None:
        echo(written, err=json_)


def play(models: Sequence[str] = (), /, out: Path = PLAYGROUND) -> None:
    """Open a page on which networks run: type a sentence, watch the gates, take hold of them.

    It opens in the browser where there is a screen; its path is printed.

    Args:
        models: models:/NAME@ALIAS, runs:/…/model or a folder; the champions that predict the number
            of the verb if none is named.
        out: The page to write.

    Raises:
        InputError: A model doesn't exist, there is no champion, or the page can't be written.
    """
    from memgate.fitting.example_sentences import SENTENCES  # noqa: PLC0415  datasets

    torch.set_num_threads(1)
    loaded = [_load(uri, []) for uri in dict.fromkeys(models)] or _champions()
    texts = [text.rpartition(" ")[0] for text, _ in SENTENCES]
    explanations = [model.explain(text) for text in texts for model in loaded]
    echo(_write(out, explanations, loaded))
    if _has_screen():
        webbrowser.open(out.resolve().as_uri())


def _has_screen() -> bool:
    """Return whether a browser can show a page; a text browser would take the terminal."""
    displays = os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(displays)


def _champions() -> list[ExplainedModel]:
    """Load the champions that predict the number of the verb, in the order of their names."""
    from memgate.tracking.registry.versions import champions  # noqa: PLC0415  MLflow

    models = [_load(uri, []) for uri in champions()]
    models = [model for model in models if model.predictor.task == NUMBER]
    if not models:
        raise InputError(
            "expected a MODEL, or champions in the registry; `memgate train` makes them"
        )
    return models


def _subjects(subject: str | None, sentences: int) -> list[int | None]:
    """Return the position of each sentence's subject; None where it isn't named."""
    if subject is None or subject == "auto":
        return [None] * sentences
    positions = subject.split(",")
    are_numbers = all(position.strip().isdecimal() for position in positions)
    if not are_numbers or len(positions) not in (1, sentences):
        raise InputError(
            f"--subject: expected auto, or a word's position from 0, one or {sentences}, got "
            f"{subject!r}"
        )
    numbers = [int(position) for position in positions]
    return [*(numbers * sentences if len(numbers) == 1 else numbers)]


def _load(uri: str, units: Sequence[Unit]) -> ExplainedModel:
    folder = Path(uri)
    if not folder.is_dir() or (folder / "MLmodel").is_file():
        from memgate.tracking.registry.versions import model_folder  # noqa: PLC0415  MLflow

        folder = model_folder(uri)
    return ExplainedModel.load(uri.removeprefix("models:/"), folder, units)


def _write(out: Path, explanations: Sequence[Explanation], models: Sequence[ExplainedModel]) -> str:
    """Write the page; return the line to print about it."""
    from memgate.reporting.live_page import page_of_models  # noqa: PLC0415  jinja2, lemminflect

    text = page_of_models(explanations, models).encode()
    if out.suffix.lower() not in (".html", ".htm") and not out.is_dir():
        raise InputError(f"{out}: expected a page's name that ends in .html")
    written = write_file(out, lambda path: path.write_bytes(text))
    if len(text) <= PAGE_SIZE:
        return written
    size = len(text) / 1e6
    return f"{written}, {size:.1f} MB; fewer or smaller models keep it below 6 MB"
