"""`memgate promote`: a version becomes champion, unless it is worse or its gates drifted."""

from __future__ import annotations

from collections.abc import Sequence

from memgate.errors import InputError
from memgate.evaluation.items import one_quiet_thread
from memgate.reporting.console import echo
from memgate.reporting.pairs import print_pairs
from memgate.tracking.registry.champion import (
    Change,
    How,
    champion_of,
    check_reason,
    keep_refusal,
    now,
    set_champion,
)
from memgate.tracking.registry.comparison import MARGIN
from memgate.tracking.registry.promotion import LONGEST_TAG, decide, find_version
from memgate.tracking.store import connect

REFUSED = 1
"""The exit status of a refusal; wrong input has 2."""


def promote(
    name: str,
    version: str,
    margin: float = MARGIN,
    data: Sequence[str] = (),
    force: bool = False,
    why: str = "",
) -> None:
    """Make a version champion, unless it is worse on the same items or its gates drifted.

    It is worse overall by McNemar's exact test; by attractors if the loss is beyond the margin and
    significant too. A refusal lists its reasons and exits with status 1. The decision is kept as a
    tag of the version.

    Args:
        name: The registered model.
        version: The version to promote.
        margin: Loss of accuracy by attractors that is allowed, a proportion from 0 to below 1.
        data: Files of agreement JSONL, or globs, that both models are evaluated on; without any,
            the test items of their runs.
        force: Promote it whatever speaks against it.
        why: A reason, kept with the change; --force needs one.

    Raises:
        InputError: There is no such model or version, it is champion already, the two can't be
            compared (unless forced), an argument is wrong, or the store can't be written.
        SystemExit: It is refused; the status is `REFUSED`.
    """
    if not 0 <= margin < 1:
        raise InputError(f"--margin: expected a proportion from 0 to below 1, got {margin:g}")
    if force and not why:
        raise InputError("--force: expected --why TEXT with it, which is kept")
    check_reason(why)
    one_quiet_thread()
    version = str(find_version(name, version).version)
    connect()  # a store that is read-only is refused before the comparison
    champion = champion_of(name)
    if champion == version:
        raise InputError(f"{name}: version {version} is champion already")
    if champion is None:
        set_champion(name, Change(now(), version, None, "promoted", why))
        echo(f"{name} had no champion; now it is version {version}")
        return
    how: How = "forced"
    try:
        decision = decide(name, version, champion, margin, data)
    except InputError as error:
        if not force:
            raise
        echo(f"not compared: {error}")
        record = f"forced: not compared with champion {champion}: {error}"[:LONGEST_TAG]
    else:
        echo(decision.subject)
        print_pairs(decision.pairs)
        echo(f"worse: overall if p < 0.05; by attractors if also lower by more than {margin:g}")
        echo("inconclusive: neither worse, nor shown to lose at most that; no reason to refuse")
        echo(decision.gates)
        for reason in decision.reasons:
            echo(f"refused: {reason}")
        if not decision.reasons:
            how = "promoted"
        elif not force:
            keep_refusal(name, version, decision.record("refused"))
            echo(f"champion stays version {champion}; to promote version {version} all the same:")
            echo(f"memgate promote {name} {version} --force --why TEXT")
            raise SystemExit(REFUSED)
        record = decision.record(how)
    set_champion(name, Change(now(), version, champion, how, why), record)
    echo(f"{name}: version {version} is champion now ({how}), in place of version {champion}")
    echo(f"`memgate rollback {name}` puts version {champion} back")
