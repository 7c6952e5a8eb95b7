"""Wrong command lines and files: each is one line on stderr, status 2, and changes no file."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MODEL = "models:/memgate-gru-synthetic@champion"

FIT = "fit -c trainer/default.yaml -c cell/gru.yaml -c data/synthetic.yaml -c small.yaml"

SMALL = """
analyse_gates: false
data: {source: {init_args: {train: 300, validation: 60, test: 60}}}
model: {embedding_size: 4, hidden_size: 4}
trainer: {max_epochs: 1}
"""

ROW = {
    "text": "the keys to the cabinet are here",
    "verb_idx": 5,
    "subj_idx": 1,
    "label": "pl",
    "tags": "DT NNS TO DT NN VBP RB",
}

TREE = "1\tkeys\tkey\tNOUN\t{}\t_\t2\tnsubj\t_\t_\n2\tare\tbe\tAUX\t{}\t_\t0\troot\t_\t_\n\n"


def rows(*changes: Mapping[str, object]) -> bytes:
    """Return agreement JSONL with a good row, and one row a change."""
    lines = [json.dumps({**ROW, **change}) + "\n" for change in ({}, *changes)]
    return "".join(lines).encode()


FILES: dict[str, bytes] = {
    "small.yaml": SMALL.encode(),
    "good.jsonl": rows(),
    "empty.jsonl": b"",
    "blank.jsonl": b"\n\n",
    "latin.jsonl": rows() + '{"prefix": "é", "label": "sg"}'.encode("latin-1"),
    "torn.jsonl": rows()[:-30],
    "list.jsonl": b"[1, 2]\n",
    "label.jsonl": rows({"label": "dual"}),
    "contradicts.jsonl": rows({"label": "sg"}),
    "attractors.jsonl": rows({"n_attractors": 4}),
    "verb.jsonl": rows({"verb_idx": 9}),
    "subject.jsonl": rows({"subj_idx": 6}),
    "tags.jsonl": rows({"tags": "DT"}),
    "spaces.jsonl": rows({"text": "the  keys to the cabinet are"}),
    "prefix.jsonl": b'{"prefix": "the keys", "label": "pl"}\n',
    "foreign.jsonl": b'{"prefix": "zug zwang", "label": "pl"}\n',
    "broken.jsonl.gz": b"\x1f\x8b\x08nothing",
    "lists.jsonl": b'{"text": ["a", "b"]}\n',
    "dicts.jsonl": b'{"text": {"a": 1}}\n',
    "mixed.jsonl": b'{"text": "a"}\n{"text": 3}\n',
    "numbers.jsonl": b'{"text": 3}\n',
    "other.jsonl": b'{"words": "a b"}\n',
    "notes.doc": b"text\n",
    "upos.conllu": TREE.format("_", "_").encode(),
    "columns.conllu": b"1\tkeys\n\n",
    "list.yaml": b"[1, 2]\n",
    "broken.yaml": b"model: {cell: [\n",
    "typo.yaml": b"modell: {cell: gru}\n",
    "option.yaml": b"model: {hiden_size: 3}\n",
    "keys.yaml": b"data: [synthetic]\ncels: [gru]\n",
    "cells.yaml": b"data: [synthetic]\ncells: [transformer]\n",
    "nodata.yaml": b"cells: [gru]\n",
    "unknowndata.yaml": b"data: [nowhere]\n",
    "seeds.yaml": b"data: [synthetic]\nseeds: [0, 0]\n",
    "settings.yaml": b"data: [synthetic]\ncells: [gru]\nsettings: {model.hiden_size: 3}\n",
    "vary.yaml": b"data: [synthetic]\nvary: {model.dropout: 0.5}\n",
    "search.yaml": b"data: [synthetic]\nsearch: {trials: 0}\n",
}

CASES = (
    "trian",
    "evaluate",
    f"evaluate {MODEL} --out o",
    f"evaluate {MODEL} --data good.jsonl",
    "evaluate models:/nobody@champion --data good.jsonl --out o",
    "evaluate models:/memgate-gru-synthetic --data good.jsonl --out o",
    "evaluate models:/memgate-gru-synthetic/99 --data good.jsonl --out o",
    "evaluate nowhere --data good.jsonl --out o",
    "evaluate . --data good.jsonl --out o",
    f"evaluate {MODEL} --data none.jsonl --out o",
    f"evaluate {MODEL} --data $UNSET/none.jsonl --out o",
    f"evaluate {MODEL} --data . --out o",
    *(
        f"evaluate {MODEL} --data {name}.jsonl --out o"
        for name in (
            *("empty", "blank", "latin", "torn", "list", "label", "contradicts", "attractors"),
            *("verb", "subject", "tags", "spaces", "foreign"),
        )
    ),
    f"evaluate {MODEL} --data broken.jsonl.gz --out o",
    f"evaluate {MODEL} --data good.jsonl --out good.jsonl",
    f"evaluate {MODEL} --data good.jsonl --out o --batch-size 0",
    f"evaluate {MODEL} --data good.jsonl --out o --on-error never",
    f"evaluate {MODEL} --suite nobody --out o",
    f"gates {MODEL} --data prefix.jsonl --out o",
    f"gates {MODEL} --data foreign.jsonl --out o",
    f"intervene {MODEL} --data prefix.jsonl --out o",
    f"intervene {MODEL} --data good.jsonl --out o --steps 0",
    f"intervene {MODEL} --data good.jsonl --out o --roles verbs",
    f"explain {MODEL} --sentence ''",
    f"explain {MODEL} --sentence 'zug zwang'",
    f"explain {MODEL} --sentence 'the cat' --units 0:99",
    f"explain {MODEL} --sentence 'the cat' --units x",
    f"explain {MODEL} --sentence 'the cat' --subject 7",
    "explain nowhere --sentence 'the cat'",
    f"compare {MODEL} nowhere --data good.jsonl",
    f"compare-gates {MODEL} nowhere",
    f"export {MODEL} good.jsonl",
    "export nowhere o",
    "generate --out none/items.jsonl --items 0",
    "generate --out items.jsonl --items x",
    "generate --out items.jsonl --max-attractors -1",
    "promote nobody 1",
    "promote memgate-gru-synthetic 99",
    "rollback memgate-gru-synthetic",
    "history nobody",
    "report nothing --out o",
    "study none.yaml",
    *(
        f"study {name}.yaml"
        for name in (
            *("list", "broken", "keys", "cells", "nodata", "unknowndata", "seeds", "settings"),
            *("vary", "search"),
        )
    ),
    *(
        f"corpus --out o --files {name}"
        for name in (
            *("lists.jsonl", "dicts.jsonl", "mixed.jsonl", "numbers.jsonl", "other.jsonl"),
            *("latin.jsonl", "notes.doc", "none.txt", "empty.jsonl"),
        )
    ),
    "corpus --out o",
    "corpus-check --gold upos.conllu",
    "corpus-check --gold columns.conllu",
    "oracle --cell rnn --data synthetic",
    "oracle --cell gru --data nowhere",
    "train --cell transformer",
    "train --seed x",
    "fit",
    f"{FIT} -c list.yaml",
    f"{FIT} -c broken.yaml",
    f"{FIT} -c typo.yaml",
    f"{FIT} -c option.yaml",
    f"{FIT} -c none.yaml",
    f"{FIT} --model.hidden_size -3",
    f"{FIT} --model.hiden_size 3",
    f"{FIT} --model.cell transformer",
    f"{FIT} --model.lr_scheduler Nothing",
    f"{FIT} --model.lr_scheduler OneCycleLR",
    f"{FIT} --model.optimizer.lr x",
    f"{FIT} --data.task translation",
    f"{FIT} --data.batch_size 0",
    f"{FIT} --trainer.max_epochs 0",
    f"{FIT} --trainer.limit_val_batches 0",
    f"{FIT} --trainer.devices x",
    f"{FIT} --trainer.accelerator quantum",
    f"{FIT} --ckpt_path nowhere.ckpt",
    f"{FIT} --ckpt_path last --trainer.max_epochs 1",
    f"{FIT} --threads 0",
    "ui --port x",
)


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file of a project but MLflow's database, which is only read."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("mlflow.db")
    }


def run(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "memgate", *shlex.split(arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={name: value for name, value in os.environ.items() if name != "UNSET"},
    )


def problem(project: Path, folder: Path, arguments: str) -> str:
    """Run a wrong command in a copy of a project; return what is wrong with its answer, or ""."""
    shutil.copytree(project, folder)
    before = files_of(folder)
    ended = run(folder, arguments)
    lines = ended.stderr.splitlines()
    changed = {name for name, _ in before.items() ^ files_of(folder).items()}
    shutil.rmtree(folder)
    found = []
    if ended.returncode != 2:
        found.append(f"status {ended.returncode}")
    if len(lines) != 1 or not lines[0].startswith("memgate: error: "):
        found.append(f"{len(lines)} lines, the last: {lines[-1] if lines else ''}")
    if changed:
        found.append(f"changed {', '.join(sorted(changed))}")
    return "; ".join(found)


def main() -> int:
    """Try every case, two at a time, and print those that are answered badly.

    Returns:
        The exit status: 1 if there is one.
    """
    with tempfile.TemporaryDirectory(prefix="memgate-inputs-") as name:
        root = Path(name)
        project = root / "project"
        project.mkdir()
        for file, content in FILES.items():
            (project / file).write_bytes(content)
        made = run(project, FIT)
        if made.returncode:
            print(made.stderr)
            return 1
        folders = [root / f"{number:03}" for number in range(len(CASES))]
        with ThreadPoolExecutor(2) as pool:
            problems = list(pool.map(problem, [project] * len(CASES), folders, CASES))
    for case, found in zip(CASES, problems, strict=True):
        if found:
            print(f"memgate {case}: {found}")
    good = problems.count("")
    print(f"bad inputs: {good} of {len(CASES)} are one line, status 2, and change nothing")
    return int(good < len(CASES))


if __name__ == "__main__":
    sys.exit(main())
