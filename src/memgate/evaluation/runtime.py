"""What commands that read a model over items set for their process."""

from __future__ import annotations

import datasets
import torch


def one_quiet_thread() -> None:
    """Compute in one thread, and let `datasets` draw no bars."""
    datasets.disable_progress_bars()
    torch.set_num_threads(1)  # small cells: two threads on busy cores lose (TRAPS: 7 s, then 35)
