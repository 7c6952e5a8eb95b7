"""`memgate explain`: write, keep and the answer, word by word, of one sentence or a few.

One sentence is to take hardly longer than the import of torch, so what is slow is imported where
it is needed: MLflow for a registered model (1.3 s), matplotlib for a page, pandas for a tagger.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from memgate.data.items.roles import Role
from memgate.data.tagger import Tagger
from memgate.errors import InputError
from memgate.gates.explain.explanation import Explanation, explain, first_units, numbers
from memgate.gates.explain.roles import find_roles
from memgate.gates.units.unit import Unit, check, saved
from memgate.predictor import BASELINES, Predictor
from memgate.reporting.explanation import print_explanations
from memgate.tracking.registry.uris import is_uri

PAGE_SIZE = 300_000
"""Bytes that a page should not exceed, so that MLflow's artifact view opens it at once."""


class Model(NamedTuple):
    """A model that is asked: its name, and what shows its units and roles."""

    name: str
    predictor: Predictor
    units: list[Unit]
    chosen: str
    tagger: Tagger | None
    probe: npt.NDArray[np.float64] | None


def run_explain(
    given: Sequence[str], units: str | None, subject: str | None, out: Path | None, as_json: bool
) -> None:
    """Explain sentences: in the terminal or as JSON, and as a page.

    Args:
        given: Models and sentences. A folder or what has no white space is a model.
        units: ``layer:unit`` with commas between; None for each model's number units.
        subject: The place of the subject's head, from 0, one for all sentences or with commas
            between one for each; ``auto`` for the first common noun; None to show no roles.
        out: HTML file to write, or None.
        as_json: Whether one JSON object is printed instead.

    Raises:
        InputError: A model, a sentence, a unit or a place isn't there, or the file can't be
            written; nothing is printed or written then.
    """
    torch.set_num_threads(1)
    uris, sentences = _sort(given)
    wanted = [] if units is None else [Unit.parse(one) for one in units.split(",")]
    subjects = _subjects(subject, len(sentences))
    models = [_load(uri, wanted, subjects is not None) for uri in uris]
    if len({model.name for model in models}) < len(models):
        raise InputError(f"expected models of different names, got {', '.join(uris)}")
    found = [
        _explain(model, sentence, None if subjects is None else (subjects[place],))
        for place, sentence in enumerate(sentences)
        for model in models
    ]
    told = None if out is None else _write(out, found)
    if as_json:
        print(json.dumps(_tree(found), ensure_ascii=False, indent=1))
    else:
        print_explanations(found)
    if told:
        print(told, file=sys.stderr if as_json else sys.stdout)


def _sort(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell models from sentences."""
    models: list[str] = []
    sentences: list[str] = []
    for one in given:
        if one and (not re.search(r"\s", one) or _is_model(one)):
            models.append(one)
        else:
            sentences.append(" ".join(one.split()))
    if not models:
        raise InputError("expected a MODEL before the sentence, such as models:/NAME@champion")
    if not sentences:
        raise InputError(
            f"expected a sentence, words in quotes with spaces between, got {' '.join(given)!r}"
        )
    return list(dict.fromkeys(models)), list(dict.fromkeys(sentences))


def _is_model(given: str) -> bool:
    """Say whether what has white space in it is a URI or a folder all the same."""
    if is_uri(given):
        return True
    try:
        return Path(given).is_dir()
    except OSError:  # too long for a name
        return False


def _subjects(subject: str | None, sentences: int) -> list[int | None] | None:
    """Read the places of the subjects: None for one that is to be found, None for no roles."""
    if subject is None or subject == "auto":
        return None if subject is None else [None] * sentences
    places = subject.split(",")
    if not all(place.strip().isdecimal() for place in places) or len(places) not in (1, sentences):
        raise InputError(
            f"--subject: expected auto, or a word's place from 0, one or {sentences}, got "
            f"{subject!r}"
        )
    numbers = [int(place) for place in places]
    return [*(numbers * sentences if len(numbers) == 1 else numbers)]


def _load(uri: str, units: Sequence[Unit], with_roles: bool) -> Model:
    folder = Path(uri)
    if not folder.is_dir() or (folder / "MLmodel").is_file():
        from memgate.tracking.registry.versions import model_folder  # noqa: PLC0415  MLflow

        folder = model_folder(uri)
    name, predictor = uri.removeprefix("models:/"), Predictor.load(folder)
    chosen = "as asked"
    found = saved(folder)
    if not units:
        units, chosen = first_units(found.units)
    check(units, predictor, name)
    beside = folder / BASELINES
    tagger = None
    if with_roles and beside.is_dir():
        from memgate.baselines.fitted import Baselines  # noqa: PLC0415  pandas

        tagger = Baselines.load(beside).tagger
    return Model(name, predictor, list(units), chosen, tagger, found.probe)


def _explain(model: Model, sentence: str, subject: tuple[int | None] | None) -> Explanation:
    words = sentence.split()
    roles: list[Role | None] = []
    if subject is not None and words:
        verb = len(words) - 1 if model.predictor.task.name == "inflection" else None
        roles = find_roles(words, subject[0], model.tagger, verb)
    try:
        return explain(
            model.predictor,
            sentence,
            model.units,
            model=model.name,
            chosen=model.chosen,
            roles=roles,
            probe=model.probe,
        )
    except InputError as error:
        raise InputError(f"{model.name}: {error}") from error


def _tree(explanations: Sequence[Explanation]) -> dict[str, Any]:
    """Return models → sentences → words → numbers."""
    models: dict[str, Any] = {}
    for each in explanations:
        about = {"cell": each.cell, "p_of": each.answers[1], "units": each.chosen, "sentences": []}
        words = [
            {
                **word._asdict(),
                "p": float(p),
                "units": {str(one.unit): numbers(one, place) for one in each.units},
            }
            for place, (word, p) in enumerate(zip(each.words, each.p, strict=True))
        ]
        model = models.setdefault(each.model, about)
        model["sentences"].append({"sentence": each.sentence, "words": words})
    return {"models": models}


def _write(out: Path, explanations: Sequence[Explanation]) -> str:
    """Write the page, whole or not at all, and say so."""
    from memgate.reporting.explain_page import page  # noqa: PLC0415  matplotlib, beside it

    text = page(explanations).encode()
    if not out.name or out.is_dir():
        raise InputError(f"{out}: expected a file to write to, got a folder")
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: expected a page's name that ends in .html")
    partial = out.with_name(out.name + ".partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(text)
        partial.replace(out)
    except OSError as error:
        raise InputError(f"{out}: expected a file to write to, got: {error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    large = ""
    if len(text) > PAGE_SIZE:
        large = f", {len(text) // 1000} kB; fewer sentences or --units keep it below 300 kB"
    return f"wrote {out}{large}"
