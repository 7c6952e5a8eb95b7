"""Training on other tasks: the loss is that of their targets, the counts are by the subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import lightning.pytorch as pl
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam

from memgate.data.datamodule import AgreementData
from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import TaskName
from memgate.fitting.module import AgreementModule


class Keys:
    """Sentences of two nouns and two verbs, 600 of them; what else they hold says nothing."""

    def load(self) -> datasets.DatasetDict:
        rows = [
            {
                **dict.fromkeys(FEATURES),
                "text": f"the {noun} n{n} {verb} here",
                "tags": f"DT {tag} CD {'VBZ' if verb == 'is' else 'VBP'} RB",
                "verb_idx": 3,
                "label": label,
                "verb": verb,
                "verb_alt": other,
            }
            for n in range(300)
            for noun, tag, verb, other, label in (
                ("key", "NN", "is", "are", "sg"),
                ("keys", "NNS", "are", "is", "pl"),
            )
        ]
        items = datasets.Dataset.from_list(rows, features=FEATURES)
        return datasets.DatasetDict(train=items, validation=items, test=items.select(range(151)))


def fitted(task: TaskName, folder: Path) -> tuple[AgreementModule, AgreementData, Any]:
    pl.seed_everything(1, verbose=False)
    data = AgreementData(Keys(), "tiny", task, batch_size=32, eval_batch_size=17, vocab_size=5)
    module = AgreementModule(lambda p: Adam(p, lr=0.02), cell="gru", hidden_size=8)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=6,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
    trainer.fit(module, data)
    (metrics,) = trainer.test(module, data, verbose=False)
    return module, data, metrics


@pytest.mark.parametrize("task", ["inflection", "grammaticality", "nouns"])
def test_a_task_is_learned_by_its_own_targets(task: TaskName, tmp_path: Path) -> None:
    module, data, metrics = fitted(task, tmp_path)
    assert metrics["test/accuracy"] > 0.9  # a coin has 0.5
    prefixes = data.prefixes["test"]
    assert ((prefixes.targets == prefixes.labels).all()) == (task != "grammaticality")
    logits = torch.zeros(len(prefixes))
    for row in range(len(prefixes)):
        batch = prefixes.batch(torch.tensor([row]), int(prefixes.lengths[row]))
        logits[row] = module.classifier(batch.inputs).detach()
    right = (logits > 0).long() == prefixes.targets
    loss = binary_cross_entropy_with_logits(logits, prefixes.targets.float())
    assert metrics["test/loss"] == pytest.approx(float(loss), abs=1e-5)
    assert metrics["test/accuracy"] == pytest.approx(float(right.float().mean()))
    by_label = [right[prefixes.labels == label] for label in (0, 1)]
    balanced = sum(float(part.float().mean()) for part in by_label) / 2
    assert metrics["test/balanced_accuracy"] == pytest.approx(balanced)
    counts = module.results["test"].sum((1, 2)).tolist()
    assert counts == [[int((~part).sum()), int(part.sum())] for part in by_label]
