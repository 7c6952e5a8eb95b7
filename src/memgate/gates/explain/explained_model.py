"""A model as explanations need it, with its number units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from memgate.arrays import Floats
from memgate.data.items.roles import Role
from memgate.errors import InputError
from memgate.gates.explain.explanation import (
    REQUESTED,
    Explanation,
    explain,
    find_roles,
    first_units,
)
from memgate.gates.units.unit import Unit, check_model_units, saved_units
from memgate.predictor import Predictor


class ExplainedModel(NamedTuple):
    """A model with what is shown of it."""

    name: str
    predictor: Predictor
    units: list[Unit]
    chosen: str
    number_units: list[Unit]
    probe: Floats | None

    @classmethod
    def load(cls, name: str, folder: Path, units: Sequence[Unit] = ()) -> ExplainedModel:
        """Read a model's folder.

        Args:
            name: What the model is called.
            folder: A predictor's, with what was registered alongside it.
            units: Units to show; its number units if there are none.

        Raises:
            InputError: The folder holds no model, or the model has no such unit.
        """
        predictor, chosen = Predictor.load(folder), REQUESTED
        number_units, probe = saved_units(folder)
        if not units:
            units, chosen = first_units(number_units)
        check_model_units(units, predictor, name)
        return cls(name, predictor, list(units), chosen, number_units, probe)

    def explain(
        self, sentence: str, subject: int | None = None, with_roles: bool = False
    ) -> Explanation:
        """Read a sentence word by word.

        Args:
            sentence: Text as people write it.
            subject: Position of the subject, from 0; None for the first common noun.
            with_roles: Whether to find the roles of the words.

        Raises:
            InputError: No word is known, or the subject isn't before the verb; the message names
                the model.
        """
        tokens = self.predictor.tokenize([sentence])[0]
        words = tokens.split()
        roles: list[Role | None] = []
        if with_roles and words:
            verb = len(words) - 1 if self.predictor.task.ends_with_verb else None
            roles = find_roles(words, subject, self.predictor.tagger, verb)
        try:
            return explain(
                self.predictor,
                tokens,
                self.units,
                model=self.name,
                chosen=self.chosen,
                roles=roles,
                probe=self.probe,
                tagger=self.predictor.tagger,
                by_subject=self.chosen != REQUESTED,
            )
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error
