"""A network as the live page carries it: weights, vocabulary and number units as plain values."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import lemminflect
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from memgate.data.items.tasks import NUMBER
from memgate.data.tag_lexicon import LONGEST_ENDING
from memgate.data.tokenization import PATTERN
from memgate.data.vocabulary import Vocabulary
from memgate.gates.explain.explanation import Explanation
from memgate.gates.units.unit import Unit
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

ROUNDED_FROM = 500_000
"""Numbers of an embedding that is carried in 16 bits each: 1.3 MB in base64 instead of 2.7."""

LARGEST_SHIFT = 1e-3
"""How far that may move a probability; else the embedding stays in single precision.

Whole numbers with a scale for each word move those of an LSTM of 100 units by 0.0002 at most,
IEEE's half precision by 0.003 (20,000 texts of 12 random words).
"""

LARGEST_INT16 = 32767

Array = npt.NDArray[Any]

VERBS = ("drinks", "drink")
"""The verb whose two forms stand for singular and plural on the page."""


class LiveNetwork(NamedTuple):
    """A network of the live page.

    Attributes:
        name: Its name, such as ``memgate-gru-synthetic@champion``.
        predictor: Its weights, vocabulary and task.
        units: The units that a hand takes hold of together, the one that leads first.
        are_number_units: Whether these are the number units.
    """

    name: str
    predictor: Predictor
    units: Sequence[Unit]
    are_number_units: bool

    @classmethod
    def of(
        cls, predictor: Predictor, explanation: Explanation, number_units: Sequence[Unit]
    ) -> Self:
        """Make one of what explains a sentence.

        Args:
            predictor: The network.
            explanation: Of the first sentence; its first unit leads.
            number_units: All number units; empty to show the units of the explanation.
        """
        shown = [trace.unit for trace in explanation.units]
        rest = [unit for unit in number_units if unit not in shown]
        return cls(explanation.model, predictor, [*shown, *rest], bool(number_units))

    @property
    def is_set_by_hand(self) -> bool:
        """Whether `memgate oracle` made it, which registers its networks as ``…-oracle``."""
        return self.name.partition("@")[0].endswith("-oracle")


def contents(networks: Sequence[LiveNetwork]) -> dict[str, Any]:
    """Return what the page carries of its networks, for JSON.

    Networks that read with the same vocabulary share it: with a lexicon it takes 0.6 MB.
    """
    vocabularies: list[dict[str, Any]] = []
    described = []
    for network, label in zip(networks, labels(networks), strict=True):
        vocabulary = _vocabulary(network.predictor.vocabulary)
        if vocabulary not in vocabularies:
            vocabularies.append(vocabulary)
        index = vocabularies.index(vocabulary)
        described.append({**_network(network), "label": label, "vocabulary": index})
    return {"pattern": PATTERN, "vocabularies": vocabularies, "networks": described}


def labels(networks: Sequence[LiveNetwork]) -> list[str]:
    """Return what a reader calls each network: its cell, and its name where cells repeat."""
    short = [
        f"{network.predictor.classifier.cell.upper()}, "
        + ("set by hand" if network.is_set_by_hand else "trained")
        for network in networks
    ]
    return [
        label if short.count(label) == 1 else f"{label} ({network.name})"
        for network, label in zip(networks, short, strict=True)
    ]


def number_pairs(vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Return the ids of nouns of which the vocabulary has both forms, singular first.

    lemminflect doesn't know the sentence, so "(to) walk" and "walks" are a pair, too.

    >>> number_pairs(Vocabulary.from_words(["the", "mice", "mouse", "ran"]))
    [(3, 2)]
    """
    ids = {entry: index for index, entry in enumerate(vocabulary.entries.to_pylist())}
    pairs = []
    for plural, index in ids.items():
        lemmas = lemminflect.getAllLemmas(plural, upos="NOUN").get("NOUN", ())
        singular = next((lemma for lemma in lemmas if lemma != plural and lemma in ids), None)
        if singular is not None:
            pairs.append((ids[singular], index))
    return pairs


def _vocabulary(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return entries, joined by a space, the pairs of nouns, and the lexicon."""
    lexicon = vocabulary.lexicon
    content: dict[str, Any] = {
        "entries": " ".join(vocabulary.entries.to_pylist()),
        "lowercase": vocabulary.lowercase,
        "pairs": number_pairs(vocabulary),
        "lexicon": None,
    }
    if lexicon is not None:
        by_tag: dict[str, list[str]] = {}
        for word, tag in zip(lexicon.words.to_pylist(), lexicon.tags.to_pylist(), strict=True):
            by_tag.setdefault(tag, []).append(word)
        words = {tag: " ".join(words) for tag, words in by_tag.items()}
        endings = {"endings": lexicon.endings, "longestEnding": LONGEST_ENDING}
        content["lexicon"] = {"words": words, **endings}
    return content


def _network(network: LiveNetwork) -> dict[str, Any]:
    predictor = network.predictor
    classifier = predictor.classifier
    recurrence = classifier.recurrence
    return {
        "name": network.name,
        "cell": classifier.cell,
        "layers": recurrence.num_layers,
        "size": recurrence.hidden_size,
        "features": recurrence.input_size,
        "task": predictor.task.name,
        "answers": VERBS if predictor.task == NUMBER else predictor.task.words,
        "units": [list(unit) for unit in network.units],
        "areNumberUnits": network.are_number_units,
        "weights": _weights(classifier),
    }


def _weights(classifier: Classifier) -> dict[str, dict[str, str]]:
    """Return the ``state_dict`` in base64, little-endian, a row after the other."""
    weights = {}
    for name, values in classifier.state_dict().items():
        table = values.detach().cpu().numpy()
        weights[name] = {"data": _base64(table.astype("<f4"))}
        if name == "embedding.weight" and table.size >= ROUNDED_FROM:
            whole, scales = _rounded(table)
            if _largest_shift(classifier, whole * scales[:, None]) < LARGEST_SHIFT:
                weights[name] = {"data": _base64(whole), "scales": _base64(scales)}
    return weights


def _rounded(table: Array) -> tuple[Array, Array]:
    """Return rows as whole numbers of 16 bits, and the scale of each row."""
    scales = np.abs(table).max(axis=1).clip(min=np.finfo("<f4").tiny) / LARGEST_INT16
    return np.rint(table / scales[:, None]).astype("<i2"), scales.astype("<f4")


def _base64(values: Array) -> str:
    return base64.b64encode(values.tobytes()).decode()


@torch.inference_mode()
def _largest_shift(classifier: Classifier, rounded: Array) -> float:
    """Return how far a rounded embedding moves probabilities: 4,096 texts of 12 random words."""
    embedding = classifier.embedding
    words = np.random.default_rng(0).integers(embedding.num_embeddings, size=(4096, 12))

    def probability(table: Float[Tensor, "words features"]) -> Float[Tensor, " texts"]:
        hidden, _ = classifier.recurrence(table[torch.from_numpy(words).to(table.device)])
        return torch.sigmoid(classifier.readout(hidden[:, -1]).squeeze(-1))

    weight = embedding.weight
    shift = probability(weight) - probability(torch.from_numpy(rounded).to(weight))
    return float(shift.abs().max())
