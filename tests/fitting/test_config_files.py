"""Configurations by name: the user's own before those that ship."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from memgate.cli import main
from memgate.errors import InputError
from memgate.fitting.config_files import SHIPPED, config_file, with_config_paths


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_shipped_file_is_found_from_anywhere() -> None:
    shipped = SHIPPED / "cell/gru.yaml"
    assert shipped.is_file()
    assert config_file("cell/gru.yaml") == config_file("configs/cell/gru.yaml") == shipped


def test_a_file_of_the_users_own_is_preferred(elsewhere: Path) -> None:
    for folder in ("configs/cell", "cell"):
        own = Path(folder, "gru.yaml")
        own.parent.mkdir(parents=True)
        own.write_text("model: {cell: gru}")
        assert config_file("cell/gru.yaml") == own, "the path itself is preferred to configs/"
    assert config_file("configs/cell/gru.yaml") == Path("configs/cell/gru.yaml")
    absolute = elsewhere / "mine.yaml"
    absolute.write_text("{}")
    assert config_file(absolute) == absolute


@pytest.mark.parametrize("name", ["cell/none.yaml", "configs/cell/none.yaml"])
def test_what_is_missing_is_named_with_what_there_is(name: str) -> None:
    with pytest.raises(InputError) as caught:
        config_file(name)
    line = f"{name}: expected a configuration file, found none; there are cell/gru.yaml, cell/"
    assert str(caught.value).startswith(line)
    assert "data/" not in str(caught.value)


def test_only_the_configurations_of_a_command_line_are_resolved() -> None:
    cell, data = SHIPPED / "cell/gru.yaml", SHIPPED / "data/synthetic.yaml"
    line = ["-c", "cell/gru.yaml", "--config=data/synthetic.yaml", "--ckpt_path", "cell/gru.yaml"]
    expected = ["-c", str(cell), f"--config={data}", "--ckpt_path", "cell/gru.yaml"]
    assert with_config_paths(line) == expected
    assert with_config_paths(["--config"]) == ["--config"], "what is missing is the parser's to say"


def test_a_fit_outside_a_clone(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One step on a few items, with shipped files alone."""
    few = [f"--data.source.init_args.{split}=50" for split in ("train", "validation", "test")]
    files = [f"--config={name}.yaml" for name in ("trainer/default", "cell/gru", "data/synthetic")]
    assert main(["fit", *files, *few, "--trainer.max_epochs=1", "--track=false"]) == 0
    assert "gru-synthetic-seed0" in capsys.readouterr().out


def test_a_wheel_has_the_configurations(tmp_path: Path) -> None:
    """The files are laid out as hatchling does by pyproject.toml."""
    root = Path(__file__).parents[2]
    with (root / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    (package,) = wheel["packages"]
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / package, tmp_path / "site" / Path(package).name, ignore=ignored)
    for source, target in wheel["force-include"].items():
        shutil.copytree(root / source, tmp_path / "site" / target)
    script = "from memgate.fitting.config_files import config_file; print(config_file('{}'))"
    for name in ("cell/gru.yaml", "configs/study/cells.yaml"):
        run = subprocess.run(
            [sys.executable, "-c", script.format(name)],
            env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=True,
        )
        found = tmp_path / "site/memgate/configs" / name.removeprefix("configs/")
        assert run.stdout == f"{found}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected settings, such as model or trainer, got None"),
        ("- a list", "expected settings, such as model or trainer, got ['a list']"),
        ("a: [1", "expected YAML, got: while parsing a flow sequence line 1, column 4:"),
    ],
)
def test_a_file_without_settings_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        with_config_paths(["-c", str(path)])
    assert str(refused.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(refused.value)
