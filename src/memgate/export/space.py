"""A model's live page as a static Space of the Hugging Face Hub: `write_space`."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import SpaceCardData

from memgate.gates.explain.explained_model import ExplainedModel
from memgate.gates.explain.explanation import LECTURE
from memgate.reporting.files import write_all
from memgate.reporting.live_page import page_of_models

INDEX, README = "index.html", "README.md"


def write_space(out: Path, model: ExplainedModel) -> list[str]:
    """Write ``index.html``, the live page, and ``README.md``, whose front matter makes it a Space.

    Args:
        out: Folder, created if it is missing.
        model: Its name is the title.

    Returns:
        The names of the files.

    Raises:
        InputError: The folder can't be written.
    """
    html = page_of_models([model.explain(LECTURE, with_roles=True)], [model])
    card = SpaceCardData(title=model.name, sdk="static", app_file=INDEX, tags=["memgate"])
    text = (
        f"---\n{card.to_yaml()}\n---\n\n# {model.name}\n\nA recurrent network that chooses the "
        "number of a verb runs in the page. Type a sentence, watch its gate, and take hold of it.\n"
    )
    write_all(
        out,
        {
            INDEX: lambda path: path.write_text(html, encoding="utf-8"),
            README: lambda path: path.write_text(text, encoding="utf-8"),
        },
    )
    return [INDEX, README]
