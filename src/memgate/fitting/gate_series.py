"""Means of the gates while a network is trained, as metrics of the run: `GateSeries`."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from memgate.arrays import Ints
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.fitting.module import AgreementModule
from memgate.fitting.steps import epoch_steps
from memgate.gates.profile import readings_of
from memgate.gates.statistics import GateStatistics
from memgate.gates.words import PROFILE_STRATA, words_of
from memgate.models.cells import READINGS
from memgate.models.classifier import Classifier
from memgate.models.trajectory import trajectories

ROLES_OF_METRIC: dict[str, tuple[str, ...]] = {
    "subject": ("subject",),
    "intervening": ("attractor", "noun", "other"),
    "attractors": ("attractor",),
}
"""Roles of the words at which gates are read, by the ending of the metric."""

LOGGED_READINGS = {
    "rnn": ("state_update",),
    "gru": ("write", "state_update"),
    "lstm": ("write", "keep", "state_update"),
}
"""Readings that are logged of each cell; a GRU's keep is 1 − write."""

SAMPLED_LENGTHS, PREFIXES_PER_LENGTH = 6, 40
"""Number of lengths that are sampled, and of prefixes of each length.

A pass takes about 1.4 ms a length and little a prefix: 500 prefixes sampled from all would have 74
lengths in the synthetic grammar, and 16 passes would take a fifth of the fit of a GRU of 8 units.
These take 10 ms each, 2% of it (an LSTM of 100 units on the corpus: 21 ms, 1.1%), and the means of
gates differ by less than 0.02 from those over the whole split.
"""


class GateSeries(pl.Callback):
    """Logs what the gates of the last layer do at some words while a network is trained.

    The metrics are means over all units of the last layer and the words of a role:
    ``gates/write_subject`` at the head of the subject, ``gates/write_attractors`` at attractors,
    and ``gates/write_intervening`` at all words between subject and verb; write is the LSTM's input
    gate and the GRU's 1 − z. So too, for an LSTM, ``gates/keep_…`` (the forget gate; a GRU's keep
    is 1 − write), and for every cell ``gates/state_update_…``, the absolute change of the memory: a
    gate can stand open where nothing changes, and an RNN has none.

    They are measured before the first step (step 0); within the first epoch, where gates move most,
    at steps 1, 2, 4, 8 and so on; and at the end of each epoch. A checkpoint holds the last step
    that was measured, so a resumed fit measures each step once.

    Every measurement reads the same sample of the validation split. Words of unknown role are
    omitted, and a metric without words isn't logged. Gates are read only with a logger, and only in
    the first process.

    The callback changes nothing in training: it only reads weights, applies no dropout and takes
    nothing from torch's random numbers.
    """

    def __init__(self) -> None:
        self._sample: Prefixes | None = None
        self._early: frozenset[int] = frozenset()
        self._measured = -1

    def state_dict(self) -> dict[str, Any]:
        """Return the last step that was measured."""
        return {"measured": self._measured}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after that step."""
        self._measured = int(state_dict["measured"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sample prefixes, plan the first epoch, and measure before the first step."""
        self._sample = None
        if trainer.logger is None or not trainer.is_global_zero:
            return
        if not isinstance(pl_module, AgreementModule):
            raise TypeError(f"expected an AgreementModule, got {type(pl_module)}")
        prefixes = pl_module.data.prefixes["validation"]
        rows = sample_rows(prefixes)
        if len(rows) == 0:
            return
        self._sample = select(prefixes, rows).to(_device(pl_module))
        steps = epoch_steps(trainer, pl_module.data)
        self._early = early_steps(steps)
        if trainer.global_step % steps == 0:  # else it is resumed within an epoch
            self._measure(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002  # Lightning's signature
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Measure at the planned steps of the first epoch."""
        if trainer.global_step in self._early:
            self._measure(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure at the end of the epoch."""
        self._measure(trainer, pl_module)

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure and log, unless that was done at this step."""
        step = trainer.global_step
        if self._sample is None or trainer.logger is None or step <= self._measured:
            return
        self._measured = step
        classifier: Classifier = pl_module.classifier  # type: ignore[assignment]  # see the start
        weight, device = classifier.embedding.weight, self._sample.ids.device
        if weight.device != device or weight.dtype != torch.float32:  # as in bf16-true
            classifier = copy.deepcopy(classifier).to(device, torch.float32)
        trainer.logger.log_metrics(gate_means(classifier, self._sample), step=step)


def _device(module: pl.LightningModule) -> torch.device:
    """Return the device that reads gates: Apple's GPUs can't add up in double precision."""
    return torch.device("cpu") if module.device.type == "mps" else module.device


def early_steps(steps: int) -> frozenset[int]:
    """Return the steps within the first epoch after which gates are measured: powers of two.

    >>> sorted(early_steps(200)), sorted(early_steps(3))
    ([1, 2, 4, 8, 16, 32, 64, 128], [1, 2])
    """
    return frozenset(2**power for power in range(steps.bit_length()) if 2**power < steps)


def sample_rows(prefixes: Prefixes, seed: int = 0) -> Ints:
    """Sample prefixes with a known subject, of few lengths that represent all.

    The lengths are those at 6 evenly spaced quantiles (8%, 25%, …, 92%), so that each represents
    as many prefixes. The sample has 40 prefixes of each, 80 of a length at two quantiles, and so
    on. If fewer prefixes have a length, some are repeated. Otherwise long prefixes, of which
    few have the same length, would weigh less than they do among all.

    Args:
        prefixes: The population.
        seed: Of the sample.

    Returns:
        240 rows of `prefixes`; none if no subject is known.
    """
    items = np.flatnonzero(prefixes.subjects.cpu().numpy() >= 0)
    if len(items) == 0:
        return items
    items = np.random.default_rng(seed).permutation(items)
    lengths = prefixes.lengths[items]
    middles = (np.arange(SAMPLED_LENGTHS) + 0.5) / SAMPLED_LENGTHS * len(items)
    wanted, times = np.unique(np.sort(lengths)[middles.astype(np.int64)], return_counts=True)
    return np.concatenate(
        [
            np.resize(items[lengths == length], PREFIXES_PER_LENGTH * several)  # few are repeated
            for length, several in zip(wanted, times, strict=True)
        ]
    )


def select(prefixes: Prefixes, rows: Ints) -> Prefixes:
    """Return some of the prefixes, which share the words of all."""
    index = torch.from_numpy(rows).to(prefixes.ids.device)
    names = ("starts", "targets", "labels", "intervening", "attractors", "subjects")
    selected = {name: getattr(prefixes, name)[index] for name in names}
    return replace(prefixes, lengths=prefixes.lengths[rows], **selected)


@torch.inference_mode()
def gate_means(classifier: Classifier, prefixes: Prefixes) -> dict[str, float]:
    """Return the metrics of `GateSeries`, those that have words.

    The sums are those of `memgate.gates.statistics.gate_tables`, whose tables take as long as the
    pass itself (12 and 10 ms in a GRU of 8 units).
    """
    statistics = GateStatistics(classifier).to(prefixes.ids.device)
    for batch in ExactLengthBatches(prefixes, SAMPLED_LENGTHS * PREFIXES_PER_LENGTH):
        layers = trajectories(classifier.recurrence, classifier.embedding(batch.inputs))
        right = classifier.readout(layers[-1].hidden[:, -1]).squeeze(-1) > 0
        statistics.update(layers, words_of(prefixes, batch, right == (batch.targets == 1)))
    sums = statistics.cell_sums[-1, :, 0, 0].cpu()  # the last layer, averages over all its units
    n = statistics.cell_n.cpu()
    means = {}
    for ending, roles in ROLES_OF_METRIC.items():
        cells = [
            4 * PROFILE_STRATA.index(("role", role)) + side for role in roles for side in range(4)
        ]
        words = int(n[cells].sum())
        for name, total in zip(readings_of(statistics.gates), sums[:, cells].sum(1), strict=True):
            for reading, complement in READINGS.get(name, {name: False}).items():
                if words and reading in LOGGED_READINGS[classifier.cell]:
                    mean = float(total) / words
                    means[f"gates/{reading}_{ending}"] = 1 - mean if complement else mean
    return means
