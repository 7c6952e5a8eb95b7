"""What the README and the pages of docs/ tell a reader to type works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from memgate.cli import main, parse
from memgate.commands.corpus import corpus
from memgate.data.datamodule import RareWords
from memgate.fitting.config_files import with_config_paths
from memgate.fitting.configuration import configure
from memgate.studies.plan import read_study

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("MEMGATE_DATA")
PAGES = [ROOT / "README.md", *(ROOT / f"docs/{page}.md" for page in ("gates", "data", "training"))]
PAGES += [ROOT / "docs/models.md"]
README = PAGES[0].read_text(encoding="utf-8")
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


LINES = [line for block in blocks("bash") for line in block.splitlines()]
COMMANDS = sorted(  # in the order of the pages, as compare needs what fit registers
    dict.fromkeys(line for line in LINES if line.startswith("memgate")),
    key=lambda line: "generate" not in line,  # its items are read by others
)


def test_the_readme_opens_with_the_two_commands() -> None:
    first = [line.split("#")[0].strip() for line in blocks("bash")[0].splitlines()]
    assert first == ["make train", "make test"]
    assert README.index("```bash") < 50


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets == {
        "help",
        "setup",
        "train",
        "play",
        "ui",
        "evaluate",
        "study",
        "linzen",
        "answer",
        "test",
        "check",
        "check-page",
        "bench",
        "bench-growth",
        "soak",
        "clean",
    }
    assert set(re.findall(r"\bmake ([a-z]+)\b", TEXT)) <= targets


REAL = [
    command
    for command in COMMANDS
    if any(word in command for word in ("--suite", "corpus-check", "MEMGATE_DATA"))
]
"""Need the files of MEMGATE_DATA."""

LONG = [command for command in COMMANDS if "corpus --" in command or "wikipedia" in command]
"""Need a network or files of the reader's, or parse for half a minute."""


def test_the_commands_work(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = [command for command in COMMANDS if command not in (*REAL, *LONG)]
    assert len(short) >= 5
    for command in short:
        assert main(shlex.split(command)[1:]) == 0, command
    assert Path("out/mine/accuracy.csv").is_file()


@pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")
def test_the_commands_on_real_data_work(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMGATE_DATA", str(DATA))
    assert len(REAL) == 3
    for command in REAL:  # the models here are trained on the grammar only
        given = shlex.split(command.replace("-english", "-synthetic"))
        assert main(given[1:]) == 0, command
    assert Path("out/suites/suites.png").is_file()


def test_the_other_commands_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert len(LONG) == 3
    for command in LONG:
        name, *arguments = shlex.split(command)[1:]
        if name == "fit":
            arguments = with_config_paths(arguments)
            assert configure(arguments).name == "lstm-wikipedia-inflection-seed0"
        else:
            assert parse(name, corpus, arguments)["out"]


@pytest.mark.processes
def test_the_python_works(trained: Path) -> None:
    script = "\n".join(blocks("python"))
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "torch.Size([1, 4, 20, 32])" in run.stdout
    assert re.search(r"^ +food 0\.\d\d$", run.stdout, re.MULTILINE)
    assert re.search(r"singular|plural", run.stdout)


@pytest.mark.parametrize("page", [*PAGES, *(ROOT / "docs").glob("*.md")], ids=str)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_studies_that_ship_can_be_run() -> None:
    for path in sorted((ROOT / "configs/study").glob("*.yaml")):
        study = read_study(path)
        runs = study.runs({group.name: {} for group in study.groups})
        fit = configure([*runs[-1].arguments, "--track=false"], labels=runs[-1].tags)
        assert fit.name == runs[-1].name


@pytest.mark.parametrize(
    "folder", ["configs/cell", "configs/data", "configs/size", "configs/trainer"]
)
def test_the_configurations_that_ship_are_valid(folder: str) -> None:
    for path in sorted((ROOT / folder).glob("*.yaml")):
        parts = {
            "cell": "gru",
            "data": "synthetic",
            "trainer": "default",
            path.parent.name: path.stem,
        }
        files = [ROOT / "configs" / kind / f"{name}.yaml" for kind, name in parts.items()]
        fit = configure([part for file in files for part in ("-c", str(file))])
        assert fit.trainer.max_epochs


@pytest.mark.parametrize("data", ["linzen", "linzen2016", "corpus", "wikipedia"])
def test_the_recipe_of_linzen_is_kept_where_figures_are_of_it(data: str) -> None:
    files = (f"configs/{name}.yaml" for name in ("trainer/default", "cell/lstm", f"data/{data}"))
    fit = configure([part for file in files for part in ("-c", str(ROOT / file))])
    assert fit.data.rare_words == RareWords(tag=1, usual_tag=0, unknown=0)
