"""memgate: what a recurrent network remembers, and how it decides to.

The public API. Its names are imported when they are first used, so `import memgate` costs nothing.
Everything else is internal and may change.

Of any recurrence of `torch.nn`:

- `trace`: every gate and state at each word.
- `intervene`: the same with gates clamped, replaced or resampled; `Change`: one such change.
- `gate_statistics`: mean, sd, quantiles and saturation of the gates of traces.
- `GateMonitor`: a callback that logs them of a recurrence inside any LightningModule.

Of memgate's models of agreement:

- `load`: a trained model by its URI or folder, as a `Predictor`.
- `Predictor`: a classifier with its vocabulary and task; `Classifier`: the network alone.
- `read_gates`: every gate over agreement items, as tables.
- `explain`: one sentence word by word.
- `number_units`: which units carry the number, by a probe, the readout and ablations.
- `dose_response`: accuracy while gates are clamped and paths are cut.
- `gradients`: how far back the answer depends on earlier states.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memgate.fitting.gate_monitor import GateMonitor
    from memgate.gates.explain.explanation import explain
    from memgate.gates.gradients import gradients
    from memgate.gates.group_statistics import gate_statistics
    from memgate.gates.interventions.dose_response import dose_response
    from memgate.gates.interventions.intervene import Change, intervene
    from memgate.gates.statistics import read_gates
    from memgate.gates.trace import trace
    from memgate.gates.units.number_units import number_units
    from memgate.models.classifier import Classifier
    from memgate.predictor import Predictor

__all__ = [
    "Change",
    "Classifier",
    "GateMonitor",
    "Predictor",
    "dose_response",
    "explain",
    "gate_statistics",
    "gradients",
    "intervene",
    "load",
    "number_units",
    "read_gates",
    "trace",
]

__version__ = "0.1.0"

MODULES = {
    "Change": "memgate.gates.interventions.intervene",
    "Classifier": "memgate.models.classifier",
    "GateMonitor": "memgate.fitting.gate_monitor",
    "Predictor": "memgate.predictor",
    "dose_response": "memgate.gates.interventions.dose_response",
    "explain": "memgate.gates.explain.explanation",
    "gate_statistics": "memgate.gates.group_statistics",
    "gradients": "memgate.gates.gradients",
    "intervene": "memgate.gates.interventions.intervene",
    "number_units": "memgate.gates.units.number_units",
    "read_gates": "memgate.gates.statistics",
    "trace": "memgate.gates.trace",
}
"""Where the names that are imported on first use live."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(MODULES[name]), name)


def load(uri: str) -> Predictor:
    """Load a classifier with its vocabulary and task.

    Args:
        uri: An MLflow model URI (``models:/memgate-gru-synthetic@champion``, ``runs:/…/model``),
            ``hf://owner/name`` of the Hugging Face Hub, or a folder: one that `Predictor.save`
            or `memgate export` wrote, or an MLflow model.

    Returns:
        The `Predictor`: ``.classifier``, an ``nn.Module``; ``.vocabulary``; ``.task``;
        ``.predict(prefixes)``.

    Raises:
        InputError: There is no such model, or its files are damaged.

    >>> import tempfile, memgate
    >>> from pathlib import Path
    >>> from memgate.data.vocabulary import Vocabulary
    >>> vocabulary = Vocabulary.from_words(["the", "cat"])
    >>> model = memgate.Predictor(memgate.Classifier(len(vocabulary), "gru"), vocabulary)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(Path(folder))
    ...     memgate.load(folder).task.name
    'number'
    """
    from memgate.tracking.registry.versions import load_predictor

    return load_predictor(uri)
