"""`memgate export`: a model as a folder for others, with its card; also as ONNX and on the Hub."""

from __future__ import annotations

from pathlib import Path

from memgate.errors import InputError
from memgate.export.card import UNKNOWN
from memgate.export.folder import FILES, is_export, read_facts, write_export
from memgate.export.hub import check_push, push_folder
from memgate.export.onnx import require_onnx
from memgate.export.space import write_space
from memgate.gates.explain.explained_model import ExplainedModel
from memgate.predictor import BASELINES_FOLDER
from memgate.reporting.console import echo
from memgate.tracking.registry.hub import HUB
from memgate.tracking.registry.versions import model_folder


def export(
    model: str,
    out: Path,
    onnx: bool = False,
    space: bool = False,
    push: str | None = None,
    license: str | None = None,  # noqa: A002  # the name of the option
) -> None:
    """Write a model as a folder for others: weights, vocabulary, model card; ONNX; the Hub.

    Args:
        model: A registered model (models:/NAME@ALIAS), a model on the Hub (hf://OWNER/NAME) or a
            folder.
        out: Folder to write: missing, empty, or an earlier export, which is replaced.
        onnx: Write model.onnx too.
        space: Write a static Space of the Hub instead, whose page runs the model: index.html and
            README.md.
        push: Repository OWNER/NAME on the Hugging Face Hub to push the folder to; a new one is
            public.
        license: Licence of the weights, by the Hub's identifier (default: apache-2.0 for a model of
            the grammar, else unknown).

    Raises:
        InputError: The model can't be read, the folder can't be written or holds something else, a
            package is missing, the Hub can't be reached, or a Space is to have what only a model
            has.
    """
    if space:
        if onnx or push is not None or license is not None:
            raise InputError("--space: expected no --onnx, --push or --license beside it")
        name = model.removeprefix("models:/").partition("@")[0]
        names = write_space(out, ExplainedModel.load(name, model_folder(model)))
        echo(f"wrote {', '.join(names)} to {out}")
        return
    if onnx:
        require_onnx()
    replaces = is_export(out)
    if push is not None:
        check_push(push)
    folder = model_folder(model)
    facts = read_facts(model, folder, license, HUB + (push or "owner/name"))
    names = write_export(out, facts, folder, onnx)
    if replaces:
        echo(f"replaced the earlier export in {out}")
    echo(f"wrote {', '.join(names)} to {out}")
    if facts.licence == UNKNOWN:
        echo("licence: unknown, as the run does not record that of its texts; --license sets one")
    if push is not None:
        echo(push_folder(out, push, [*FILES, f"{BASELINES_FOLDER}/*"]))
