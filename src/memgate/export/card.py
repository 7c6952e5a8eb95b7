"""The model card of an export: what a model is, how to load it, how well it does, what for."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from memgate import __version__
from memgate.export.card_tables import accuracy_lines, both_lines, limits, role_lines
from memgate.gates.explain.explanation import CONVENTIONS, GLOSSARY
from memgate.gates.units.number_units import NumberUnits
from memgate.metrics.systems import NETWORK
from memgate.predictor import Predictor
from memgate.tracking.registry.origin import Origin
from memgate.tracking.registry.versions import EXAMPLES

LIBRARY = "memgate"
UNKNOWN = "unknown"
"""The Hub's name of a licence that nobody has named."""

MODULES = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}

RESULTS = {
    "overall": "accuracy",
    "attractors": "accuracy, attractors: {}",
    "intervening": "accuracy, words between: {}",
}
"""What stands in the card's metadata, and how it is called there."""


SHOWN = ("write", "keep", "effect", "evidence", "probe")
"""What the card tells of a unit; the first two are gates."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a model that is exported.

    Attributes:
        name: What it is called.
        predictor: The model.
        accuracy: Its and its baselines' accuracy on one test split: columns model, data, system,
            by, stratum, n, correct, accuracy, low, high; None where it isn't known.
        left_out: What the breakdowns leave out, in lines.
        profile: What its gates do by role; None where it isn't known.
        units: Which units carry the number; None where it isn't known.
        origin: The run that trained it; None where it isn't known.
        licence: As the Hub names licences, such as ``apache-2.0``.
        address: Where it can be had, ``hf://owner/name``.
    """

    name: str
    predictor: Predictor
    accuracy: pd.DataFrame | None
    left_out: list[str]
    profile: pd.DataFrame | None
    units: NumberUnits | None
    origin: Origin | None
    licence: str
    address: str


def card(facts: Facts, files: list[str]) -> str:
    """Write the card in Markdown, with the header that the Hub reads.

    Args:
        facts: What is known of the model.
        files: Names of what stands beside the card; figures and the ONNX graph are shown if there.
    """
    parts = [
        f"# {facts.name}",
        _what(facts),
        _loading(facts, files),
        _accuracy(facts, files),
        _gates(facts, files),
        _training(facts),
        _use(facts),
        CITATION,
    ]
    return f"---\n{_metadata(facts).to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _metadata(facts: Facts) -> ModelCardData:
    results = [] if facts.accuracy is None else _results(facts.accuracy, facts.predictor.task.name)
    cell = facts.predictor.classifier.cell
    return ModelCardData(
        language="en",
        license=facts.licence,
        library_name=LIBRARY,
        pipeline_tag="text-classification",
        tags=[cell, "recurrent-neural-network", "subject-verb-agreement", "interpretability"],
        metrics=["accuracy"],
        model_name=facts.name if results else None,
        eval_results=results or None,
    )


def _results(table: pd.DataFrame, task: str) -> list[EvalResult]:
    own = table[(table["system"] == NETWORK) & table["by"].isin(RESULTS)]
    return [
        EvalResult(
            task_type="text-classification",
            task_name=task,
            dataset_type="subject-verb-agreement",
            dataset_name=str(row["data"]),
            dataset_split="test",
            metric_type="accuracy",
            metric_name=RESULTS[row["by"]].format(row["stratum"]),
            metric_value=round(float(row["accuracy"]), 6),
        )
        for row in own.to_dict("records")
    ]


def _what(facts: Facts) -> str:
    config, task = facts.predictor.classifier.config, facts.predictor.task
    layers, units = config["num_layers"], config["hidden_size"]
    size = f"{layers} layer{'s' * (layers > 1)} of {units} units"
    weights = sum(weight.numel() for weight in facts.predictor.classifier.parameters())
    return (
        f"A{'' if config['cell'] == 'gru' else 'n'} {MODULES[config['cell']]} of {size} (word "
        f"vectors of {config['embedding_size']}, {len(facts.predictor.vocabulary):,} vocabulary "
        f"entries, {weights:,} weights) that reads {task.reads}, such as "
        f'"{EXAMPLES[task.name]}", and answers {task.words[0]} or {task.words[1]}. Written by '
        f"memgate {__version__}, which reads every gate of such a network exactly."
    )


def _loading(facts: Facts, files: list[str]) -> str:
    classifier, task = facts.predictor.classifier, facts.predictor.task
    net = classifier.recurrence
    code = LOADING.format(
        example=EXAMPLES[task.name],
        address=facts.address,
        answer=task.words[1],
        module=MODULES[classifier.cell],
        sizes=f"{net.input_size}, {net.hidden_size}, {net.num_layers}",
    )
    if "model.onnx" in files:
        code += "\n" + ONNX.format(example=EXAMPLES[task.name], answer=task.words[1])
    return code + VOCABULARY


def _accuracy(facts: Facts, files: list[str]) -> str:
    if facts.accuracy is None:
        return "## How well it does\nNot measured here: no predictions lie beside the model."
    data = str(facts.accuracy["data"].iloc[0])
    lines = [
        "## How well it does",
        f"Accuracy in % on {data}, with Wilson's 95% interval. Beside it baselines that know no "
        "syntax, fitted on the same training split.",
        "",
        *accuracy_lines(facts.accuracy),
        "",
        "By words between subject and verb (rows) and attractors (columns: nouns between them of "
        "the other number); in brackets the items:",
        "",
        *both_lines(facts.accuracy),
        "",
        *(f"- {line}" for line in facts.left_out),
    ]
    if "accuracy.png" in files:
        lines += ["", "![Accuracy by words and by attractors between](accuracy.png)"]
    return "\n".join(lines)


def _gates(facts: Facts, files: list[str]) -> str:
    lines = ["## What its gates do"]
    gated = facts.predictor.classifier.cell != "rnn"
    if not gated:
        lines += ["An RNN has no gates: each word rewrites the whole state.", ""]
    else:
        lines += [CONVENTIONS, ""]
    lines += [f"- **{name}**: {GLOSSARY[name]}" for name in (SHOWN if gated else SHOWN[2:])]
    lines.append("")
    if facts.units is not None and facts.units.units:
        names = ", ".join(map(str, facts.units.units))
        lines += [f"Units that carry the number (layer:unit, from 0): {names}.", ""]
    if facts.profile is not None and not facts.profile.empty:
        lines += ["Means over the test split, by what a word is for the dependency:", ""]
        lines += [*role_lines(facts.profile), ""]
    titles = {"profile.png": "Means by role and place", "number_units.png": "Number units"}
    lines += [f"![{title}]({name})" for name, title in titles.items() if name in files]
    return "\n".join(lines).rstrip()


def _training(facts: Facts) -> str:
    lines = ["## Training data"]
    if facts.origin is None or not facts.origin.splits:
        return "\n".join([*lines, "Not known here: the run that trained it isn't in the store."])
    lines += ["| split | items | digest |", "|---|---|---|"]
    lines += [f"| {s.split} | {s.rows:,} | `{s.digest}` |" for s in facts.origin.splits]
    lines += ["", "```yaml", facts.origin.splits[0].source.strip(), "```", ""]
    if is_grammar(facts.origin):
        lines.append("Made by memgate's grammar (Apache-2.0); no text of others is in it.")
    else:
        lines.append("The run doesn't know the licence of these texts.")
    run = f"run `{facts.origin.name}` ({facts.origin.run_id})"
    commit = f", memgate at commit `{facts.origin.commit}`" if facts.origin.commit else ""
    return "\n".join([*lines, f"Trained in {run}{commit}."])


def _use(facts: Facts) -> str:
    lines = [] if facts.accuracy is None else limits(facts.accuracy)
    return "\n".join([USE, *(f"- {line}" for line in lines)])


def is_grammar(origin: Origin) -> bool:
    """Say whether a run's data come from memgate's own grammar."""
    return all(
        "memgate.data.sources.grammar.source.Grammar" in split.source for split in origin.splits
    )


LOADING = """\
## Load it
```python
import memgate

model = memgate.load(".")  # this folder, or "{address}"
print(model.predict(["{example}"]))  # P({answer})
```

Its gates word by word: `memgate explain . "{example}"`. With torch alone:

```python
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

weights = load_file("model.safetensors")
embedding = torch.nn.Embedding.from_pretrained(weights["embedding.weight"])
recurrence = torch.nn.{module}({sizes}, batch_first=True)
recurrence.load_state_dict(
    {{k.removeprefix("recurrence."): w for k, w in weights.items() if k.startswith("recurrence.")}}
)
ids = Tokenizer.from_file("tokenizer.json").encode("{example}").ids
states, _ = recurrence(embedding(torch.tensor([ids])))
log_odds = states[:, -1] @ weights["readout.weight"][0] + weights["readout.bias"]
print(torch.sigmoid(log_odds))  # P({answer})
```
"""

ONNX = """\
With onnxruntime, any batch and any number of words:

```python
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

ids = Tokenizer.from_file("tokenizer.json").encode("{example}").ids
session = onnxruntime.InferenceSession("model.onnx")
print(session.run(["p_{answer}"], {{"words": np.array([ids])}}))
```
"""

VOCABULARY = """
Words stand apart by spaces, punctuation too. Words that the vocabulary lacks are read as the symbol
of their part of speech (`NNS`) where memgate is told their tags, else as `<unk>`."""

USE = """\
## Intended use, and limits
- For the study of what recurrent networks remember and how: probes, ablations, interventions,
  teaching. It is no grammar checker.
- It reads English in the present tense and answers its one question, also of what is no sentence;
  of other words than its vocabulary's it sees nothing but that there are some.
- A high accuracy alone shows little: where no noun stands between, the last noun is the subject."""

CITATION = """\
## Citation
The task and the measure by attractors:

```bibtex
@article{linzen2016assessing,
  title   = {Assessing the Ability of {LSTM}s to Learn Syntax-Sensitive Dependencies},
  author  = {Linzen, Tal and Dupoux, Emmanuel and Goldberg, Yoav},
  journal = {Transactions of the Association for Computational Linguistics},
  volume  = {4},
  pages   = {521--535},
  year    = {2016}
}
```"""
