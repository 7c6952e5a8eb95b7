"""`memgate export`: a model as a folder for others, with its card; also for the Hub and as ONNX."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
from huggingface_hub import ModelCard

from memgate.errors import InputError
from memgate.evaluation import accuracy, unknown
from memgate.export.card import LIBRARY, UNKNOWN, Facts, card, is_grammar
from memgate.export.onnx import require_onnx, save_onnx
from memgate.gates.drift import PROFILE, read_profile
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.unit import NUMBER_UNITS
from memgate.predictor import BASELINES, CONFIG, TOKENIZER, WEIGHTS, Predictor
from memgate.reporting import plots
from memgate.reporting.accuracy import left_out_notes, notes
from memgate.tracking.registry import hub
from memgate.tracking.registry.origin import ORIGIN, Origin, fetch_artifact, origin
from memgate.tracking.registry.pairs import PREDICTIONS
from memgate.tracking.registry.versions import model_folder

CARD, ONNX, ACCURACY = "README.md", "model.onnx", "accuracy.csv"
BESIDE = (BASELINES, PROFILE, NUMBER_UNITS, PREDICTIONS)
"""What lies beside a registered model and goes with it."""

OWN = frozenset(
    {WEIGHTS, CONFIG, TOKENIZER, *BESIDE, ORIGIN, CARD, ONNX, ACCURACY}
    | {"accuracy.png", "profile.png", "number_units.png"}
)
"""All that an export may hold."""

Files = dict[str, Callable[[Path], object]]


def export(
    model: str,
    out: Path,
    onnx: bool = False,
    push: str | None = None,
    licence: str | None = None,
) -> None:
    """Write a model's folder, whole or not at all, and on demand push it.

    Args:
        model: An MLflow model URI, ``hf://owner/name`` or a folder.
        out: Folder to write: missing, empty, or an earlier export, which is replaced.
        onnx: Whether ``model.onnx`` is written too.
        push: Repository on the Hugging Face Hub to push it to, ``owner/name``.
        licence: As the Hub names licences; None for that of the earlier export that `model` is,
            else Apache-2.0 where the data are those of memgate's grammar, else ``unknown``.

    Raises:
        InputError: The model can't be read, the folder can't be written or holds something else, a
            package is missing, or the Hub can't be reached.
    """
    if onnx:
        require_onnx()
    replaces = _is_export(out)
    if push is not None:
        hub.check_push(push)
    folder = model_folder(model)
    facts = gather(model, folder, licence, push or "owner/name")
    files = _files(facts, folder, onnx)
    try:
        _write(out.resolve(), {CARD: partial(_card, facts, sorted(files)), **files})
    except OSError as error:
        raise InputError(f"{out}: expected a folder to write to, got: {error}") from error
    if replaces:
        print(f"replaced the earlier export in {out}")
    print(f"wrote {', '.join(sorted(files))} and {CARD} to {out}")
    if facts.licence == UNKNOWN:
        print("licence: unknown, for the run doesn't know that of its texts; --license names one")
    if push is not None:
        print(hub.push(out, push, [*OWN, f"{BASELINES}/*"]))


def gather(model: str, folder: Path, licence: str | None, repository: str) -> Facts:
    """Return what is known of a model: from its folder, and from the run that trained it.

    Args:
        model: How the user named it.
        folder: Where it lies.
        licence: As for `export`.
        repository: Where it will be on the Hub.

    Raises:
        InputError: The folder holds no model, or a file in it is damaged.
    """
    predictor = Predictor.load(folder)
    run = origin(folder)
    name = _name(model, folder, run) or f"{LIBRARY}-{predictor.classifier.cell}"
    table, left_out = _accuracy(folder, run, name)
    profile, units = folder / PROFILE, folder / NUMBER_UNITS
    ours = run is not None and bool(run.splits) and is_grammar(run)
    return Facts(
        name,
        predictor,
        table,
        [*left_out, *notes(predictor.task)],
        read_profile(profile) if profile.is_file() else None,
        NumberUnits.load(units) if units.is_file() else None,
        run,
        licence or _licence(folder) or ("apache-2.0" if ours else UNKNOWN),
        hub.HUB + repository,
    )


def _name(model: str, folder: Path, run: Origin | None) -> str | None:
    """Return the registered name, the earlier card's title, or the run's name."""
    registered = re.match(r"models:/([^/@]+)", model)
    if registered and not registered[1].startswith("m-"):  # m-…: the id of a logged model
        return registered[1]
    path = folder / CARD
    title = re.search(r"^# (\S.*)$", path.read_text("utf-8"), re.M) if path.is_file() else None
    if title:
        return title[1]
    return None if run is None else run.name


def _licence(folder: Path) -> str | None:
    """Return the licence that an earlier export's card names."""
    path = folder / CARD
    return ModelCard.load(path).data.license if path.is_file() and _is_card(path) else None


def _accuracy(folder: Path, run: Origin | None, name: str) -> tuple[pd.DataFrame | None, list[str]]:
    """Return the accuracy on the model's test split, and what its breakdowns leave out."""
    data = f"{run.splits[0].data} (test)" if run is not None and run.splits else "its test split"
    path = folder / PREDICTIONS
    if path.is_file():
        try:
            predicted = pd.read_parquet(path).assign(model=name, data=data)
            counts = unknown(predicted)
            return accuracy(predicted), left_out_notes(data, counts, len(predicted))
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path}: expected predictions as Parquet, got: {reason}") from error
    table = None if run is None else fetch_artifact(run, f"tables/{ACCURACY}")
    # Models of earlier versions have no predictions beside them.
    return (None, []) if table is None else (pd.read_csv(table).assign(model=name), [])


def _files(facts: Facts, folder: Path, onnx: bool) -> Files:
    """Return for each file beside the card the function that writes it to a path."""
    files: Files = {WEIGHTS: lambda path: facts.predictor.save(path.parent)}
    files |= dict.fromkeys((CONFIG, TOKENIZER), lambda _: None)  # written with the weights
    for name in BESIDE:
        if (folder / name).is_dir():
            files[name] = partial(shutil.copytree, folder / name)
        elif (folder / name).is_file():
            files[name] = partial(shutil.copyfile, folder / name)
    if facts.origin is not None:
        files[ORIGIN] = facts.origin.save
    if facts.accuracy is not None:
        files[ACCURACY] = partial(facts.accuracy.to_csv, index=False)
        files["accuracy.png"] = partial(plots.save, plots.accuracy_figure(facts.accuracy))
    if facts.profile is not None and not facts.profile.empty:
        files["profile.png"] = partial(plots.save, plots.profile_figure(facts.profile))
    if facts.units is not None:
        found = facts.units
        figure = plots.number_units_figure(found.carriers, found.sets, found.probe)
        files["number_units.png"] = partial(plots.save, figure)
    if onnx:
        answer = f"p_{facts.predictor.task.words[1]}"
        files[ONNX] = lambda path: save_onnx(facts.predictor.classifier, path, answer)
    return files


def _card(facts: Facts, files: list[str], path: Path) -> None:
    path.write_text(card(facts, files), encoding="utf-8")


def _is_export(out: Path) -> bool:
    """Say whether a folder is an earlier export; not where it is missing or empty.

    Raises:
        InputError: It holds something else, or is no folder.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise InputError(f"{out}: expected a folder, got a file")
    names = {path.name for path in out.iterdir()}
    if not names:
        return False
    others = sorted(names - OWN)
    if others or CARD not in names or not _is_card(out / CARD):
        what = others[0] if others else "files that aren't an export's"
        raise InputError(
            f"{out}: expected no folder, an empty one or an earlier export, got one with {what}"
        )
    return True


def _is_card(path: Path) -> bool:
    try:
        return bool(ModelCard.load(path, ignore_metadata_errors=True).data.library_name == LIBRARY)
    except (OSError, ValueError):
        return False


def _write(out: Path, files: Files) -> None:
    """Write all files aside, and only then put the folder in its place."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        new, old = Path(name, "new"), Path(name, "old")
        new.mkdir()
        for file, write in files.items():
            write(new / file)
        if out.exists():
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
