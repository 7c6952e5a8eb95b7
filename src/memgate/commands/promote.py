"""`memgate promote` and `rollback`: a registered model's champion, and what may replace it.

A challenger is worse (`memgate.tracking.registry.challenge.judged`) overall by McNemar's exact
test, and by
attractors where its loss is beyond the margin and significant too. The margin alone ("in no stratum
worse by more than a margin") would refuse four of five equally good models by chance, for few test
items have several attractors; so a loss there that chance explains, called open, refuses nobody.
Where drift can't be judged (too few seeds, no profile, other items) the answers decide alone, which
is printed and kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from memgate.errors import InputError
from memgate.gates.drift import PROFILE, SEED_DRIFT_COLUMNS, read_profile, seed_drift
from memgate.reporting.pairs import print_pairs
from memgate.tracking.registry.challenge import MARGIN, judged, paired_table
from memgate.tracking.registry.champion import Change, How, champion_of, now, previous
from memgate.tracking.registry.decision import Decision
from memgate.tracking.registry.pairs import paired
from memgate.tracking.registry.promotion import refuse, require_version, same_setting, set_champion
from memgate.tracking.registry.versions import model_folder

REFUSED = 1
"""The exit status of a refusal; wrong input has 2."""

LONGEST = 1000
"""Characters of a reason that is given."""


def promote(
    name: str,
    version: str,
    margin: float = MARGIN,
    data: Sequence[str] = (),
    force: bool = False,
    why: str = "",
) -> None:
    """Make a version champion if on the same items it isn't worse, and its gates haven't drifted.

    What is decided, and by which numbers, is kept as tags of both versions; a refusal, and what was
    found about the gates (``drift``), at the challenger alone.

    Args:
        name: The registered model.
        version: The challenger.
        margin: Loss of accuracy, a share in [0, 1), that each number of attractors, and each
            number or more, may have.
        data: Files of agreement JSONL, or globs, that both answer; without any, the test items of
            their runs.
        force: Whether it becomes champion whatever speaks against it.
        why: Kept with the change; needed with `force`.

    Raises:
        InputError: There is no such model or version, it is champion already, the two can't be
            compared (unless forced), an argument is wrong, or the store can't be written.
        SystemExit: It is refused; the status is `REFUSED`.
    """
    _check(margin, force, why)
    version = str(require_version(name, version).version)
    champion = champion_of(name)
    if champion == version:
        raise InputError(f"{name}: version {version} is champion already")
    if champion is None:
        set_champion(name, Change(now(), version, None, "promoted", why))
        print(f"{name} had no champion; now it is version {version}")
    else:
        _challenge(name, version, champion, margin, data, force, why)


def _challenge(
    name: str,
    version: str,
    champion: str,
    margin: float,
    data: Sequence[str],
    force: bool,
    why: str,
) -> None:
    """Decide and carry it out; what can't be compared is promoted by force alone."""
    try:
        decision = _decide(name, version, champion, margin, data)
    except InputError as error:
        if not force:
            raise
        print(f"not compared: {error}")
        reason = f"not compared: {error}"[:LONGEST]
        told = json.dumps({"decision": "forced", "not compared": str(error)[:LONGEST]})
        _replace(name, Change(now(), version, champion, "forced", why), told, reason)
    else:
        _carry_out(name, decision, force, why)


def _carry_out(name: str, decision: Decision, force: bool, why: str) -> None:
    """Show what was decided, and promote or refuse."""
    _show(name, decision)
    version, champion = decision.challenger, decision.champion
    if decision.passed or force:
        how: How = "promoted" if decision.passed else "forced"
        change = Change(now(), version, champion, how, why)
        _replace(name, change, decision.record(how), decision.drifting)
        return
    refuse(name, version, champion, decision.record("refused"), decision.drifting)
    print(f"champion stays version {champion}; to promote version {version} all the same:")
    print(f"memgate promote {name} {version} --force --why TEXT")
    raise SystemExit(REFUSED)


def rollback(name: str, why: str = "") -> None:
    """Put the champion before the present one back.

    Args:
        name: The registered model.
        why: Kept with the change.

    Raises:
        InputError: There is no such model, no earlier champion, or it was deleted; or the store
            can't be written.
    """
    _check(MARGIN, False, why)
    champion, version = champion_of(name), previous(name)
    if version is None:
        raise InputError(
            f"{name}: expected a champion before version {champion}, found none; "
            f"see `memgate history {name}`"
        )
    require_version(name, version)
    _replace(name, Change(now(), version, champion, "put back", why))


def _check(margin: float, force: bool, why: str) -> None:
    if not 0 <= margin < 1:
        raise InputError(f"--margin: expected a share from 0 to below 1, got {margin:g}")
    if force and not why:
        raise InputError("--force: expected --why TEXT with it, which is kept")
    if len(why) > LONGEST:
        raise InputError(f"--why: expected at most {LONGEST} characters, got {len(why)}")


def _replace(name: str, change: Change, decision: str = "", drift: str = "") -> None:
    set_champion(name, change, decision, drift)
    print(
        f"{name}: version {change.version} is champion now ({change.how}), "
        f"in place of version {change.replaced}"
    )
    if change.how != "put back":
        print(f"`memgate rollback {name}` puts version {change.replaced} back")


def _decide(name: str, version: str, champion: str, margin: float, data: Sequence[str]) -> Decision:
    pairs = paired(f"models:/{name}/{champion}", f"models:/{name}/{version}", data)
    versions = same_setting(name, champion, without=version)
    profiles = {each: _profile(name, each) for each in (version, *versions)}
    seeds = [each for each in versions if profiles[each] is not None]
    known = [profile for each in seeds if (profile := profiles[each]) is not None]
    challenger = profiles[version]
    drift = pd.DataFrame(columns=list(SEED_DRIFT_COLUMNS))
    if challenger is not None and champion in seeds:
        drift = seed_drift(challenger, known)
    table = judged(paired_table(pairs.rows), margin)
    return Decision(version, champion, str(pairs), margin, table, drift, seeds)


def _profile(name: str, version: str) -> pd.DataFrame | None:
    path = model_folder(f"models:/{name}/{version}") / PROFILE
    return read_profile(path) if path.is_file() else None


def _show(name: str, decision: Decision) -> None:
    print(f"A  champion, version {decision.champion} of {name}")
    print(f"B  challenger, version {decision.challenger}, on {decision.items}")
    print_pairs(decision.pairs)
    margin = f"the margin, {decision.margin:g}"
    print(f"worse: overall if p < 0.05; by attractors if also lower by more than {margin}")
    print("open: neither shown to be worse nor to lose no more than that; it doesn't refuse")
    print(decision.gates)
    for reason in decision.reasons:
        print(f"refused: {reason}")
