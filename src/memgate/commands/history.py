"""`memgate history`: which version was champion when, and why."""

from __future__ import annotations

from memgate.tracking.registry.champion import Change, champion_of, history

HEADINGS = ("from (UTC)", "champion", "in place of", "how", "why")


def run_history(name: str) -> None:
    """Print the changes of a model's champion, oldest first, and who it is.

    Args:
        name: The registered model.

    Raises:
        InputError: There is no such registered model, or no store.
    """
    changes, present = history(name), champion_of(name)
    if changes:
        _print([_row(made) for made in changes])
    else:
        print(f"{name}: no change of champion is recorded")
    if present is None:
        print(f"now there is none; `memgate promote {name} VERSION` makes one")
    elif changes and _last(changes) == present:
        print(f"now it is version {present}")
    else:
        print(f"now it is version {present}, chosen outside this record")


def _last(changes: list[Change]) -> str | None:
    return next((made.version for made in reversed(changes) if made.lasted), None)


def _row(made: Change) -> tuple[str, ...]:
    at = made.at[:19].replace("T", " ")
    how = made.how if made.lasted else f"{made.how}, but didn't last"
    return at, made.version, made.replaced or "–", how, made.why


def _print(rows: list[tuple[str, ...]]) -> None:
    lines = [HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
