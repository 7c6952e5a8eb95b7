"""Singular and plural: the labels, and the PTB tags that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Label = Literal["sg", "pl"]

LABELS: tuple[Label, Label] = ("sg", "pl")

NOUN_NUMBER: Mapping[str, Label] = {"NN": "sg", "NNS": "pl"}
"""Common nouns by PTB tag. Proper nouns are not attractors (Linzen et al. 2016, section 2)."""

SUBJECT_NUMBER: Mapping[str, Label] = {**NOUN_NUMBER, "NNP": "sg", "NNPS": "pl"}
VERB_NUMBER: Mapping[str, Label] = {"VBZ": "sg", "VBP": "pl"}
