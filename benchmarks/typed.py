"""How many of 100 sentences as people type them models get right: `python -m benchmarks.typed`."""

from __future__ import annotations

import argparse
from pathlib import Path

import memgate
from memgate.reporting.console import echo

PATH = Path(__file__).parents[1] / "tests" / "typed_sentences.tsv"


def read(path: Path) -> list[tuple[str, str, str]]:
    """Return the kind, the label (``sg`` or ``pl``) and the prefix of each sentence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(kind, label, prefix) for kind, label, prefix in rows]


def main() -> None:
    """Print for each model how many are right, and those that are wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="models:/NAME@ALIAS or a folder")
    models: list[str] = parser.parse_args().models
    sentences = read(PATH)
    for model in models:
        p_plural = memgate.load(model).predict([prefix for *_, prefix in sentences])
        wrong = [
            (label, p, prefix)
            for (_, label, prefix), p in zip(sentences, p_plural, strict=True)
            if (p > 0.5) != (label == "pl")
        ]
        echo(f"{model}: {len(sentences) - len(wrong)} of {len(sentences)}")
        for label, p, prefix in wrong:
            echo(f"  {label}, P(plural) {p:.2f}: {prefix}")


if __name__ == "__main__":
    main()
