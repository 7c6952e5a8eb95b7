"""House rules that a machine can see."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
NAMELESS = {"utils.py", "helpers.py", "common.py", "misc.py", "constants.py", "types.py"}


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def complaints(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assert):
            yield f"line {node.lineno}: assert"
        if isinstance(node, ast.ExceptHandler) and isinstance(node.body[0], ast.Pass):
            yield f"line {node.lineno}: an exception is swallowed"
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
            if module.split(".")[0] in {"pickle", "cloudpickle", "joblib", "dill"}:
                yield f"line {node.lineno}: pickle"
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b|weights_only=False", line):
            yield f"line {number}: {line.strip()}"


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_house_rules(path: Path) -> None:
    assert path.name not in NAMELESS
    assert list(complaints(path.read_text(encoding="utf-8"))) == []


def test_the_rules_see_what_they_should() -> None:
    bad = "import pickle\nassert f\ntry:\n    f()\nexcept OSError:\n    pass\n# TODO\n"
    assert len(list(complaints(bad))) == 4


def test_the_tree_in_the_architecture_is_the_tree() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.split("```")[1].split("src/memgate/\n")[1]
    listed, folders = set(), list[str]()
    for line in tree.splitlines():
        indent, name = re.match(r"( +)(\S+)", line).groups()  # type: ignore[union-attr]
        folders = folders[: len(indent) // 2 - 1]
        if name.endswith("/"):
            folders.append(name)
        else:
            listed.add("".join([*folders, name]))
    source = ROOT / "src/memgate"
    files = {str(path.relative_to(source)) for path in SOURCES}
    assert listed == {name for name in files if name == "__init__.py" or "__init__" not in name}
