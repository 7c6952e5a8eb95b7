"""memgate: what a recurrent network remembers, and how it decides to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memgate.predictor import Predictor

__version__ = "0.1.0"


def load(uri: str) -> Predictor:
    """Load a classifier with its vocabulary.

    Args:
        uri: An MLflow model URI (``models:/memgate-gru-synthetic@champion``, ``runs:/…/model``)
            or ``hf://owner/name`` of the Hugging Face Hub; or a folder: one that `Predictor.save`
            or `memgate export` wrote, or an MLflow model.

    Returns:
        The `Predictor`: ``.classifier``, an ``nn.Module``; ``.vocabulary``; ``.task``;
        ``.predict(prefixes)``.

    Raises:
        InputError: There is no such model, or its files are damaged.
    """
    from memgate.tracking.registry.versions import load_predictor

    return load_predictor(uri)
