"""`memgate oracle`: a classifier with hand-set weights for a data set."""

from __future__ import annotations

from memgate.fitting.finalize import show
from memgate.fitting.hand_set import fit_hand_set
from memgate.models.hand_set import GatedCell


def oracle(*, cell: GatedCell, data: str) -> None:
    """Set a network's weights by hand for a data set; test, track and register it.

    The network writes at the first noun and then keeps. It is registered as
    memgate-CELL-DATA-oracle.

    Args:
        cell: Cell of the network.
        data: Data that give the vocabulary, the word classes and the test items: synthetic,
            wikipedia, corpus, or NAME for the project's own configs/data/NAME.yaml.

    Raises:
        InputError: A configuration, the data or the store can't be used, or the task is another
            than number prediction.
    """
    show([fit_hand_set(cell, data)])
