"""The arguments of the commands that make items; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from memgate.arguments.options import Commands


def add(commands: Commands) -> None:
    """Add generate and corpus."""
    _add_generate(commands)
    _add_corpus(commands)


def _add_generate(commands: Commands) -> None:
    what = "write items of the synthetic grammar as agreement JSONL"
    generate = commands.add_parser("generate", help=what, description=what)
    generate.set_defaults(function="commands.generate:generate")
    generate.add_argument("--out", type=Path, required=True, metavar="FILE", help="….jsonl")
    generate.add_argument("--items", type=int, default=1000, help="how many (1000)")
    generate.add_argument("--seed", type=int, default=0, help="seed of the items (0)")
    generate.add_argument(
        "--max-intervening", type=int, default=30, help="words between subject and verb (30)"
    )
    generate.add_argument("--max-attractors", type=int, default=4, help="attractors (4)")


def _add_corpus(commands: Commands) -> None:
    what = "make agreement items of raw text, a dataset of the Hub or files"
    corpus = commands.add_parser("corpus", help=what, description=what)
    corpus.set_defaults(function="commands.corpus:corpus")
    corpus.add_argument("--dataset", help="of the Hugging Face Hub, such as Salesforce/wikitext")
    corpus.add_argument("--config", help="its configuration, such as wikitext-2-raw-v1")
    corpus.add_argument("--split", default="train", help="its split (train)")
    corpus.add_argument("--revision", help="its branch, tag or commit")
    corpus.add_argument(
        "--files",
        nargs="+",
        default=[],
        metavar="FILE",
        help="files or globs instead: .txt, .jsonl, .parquet, gzipped or not; dumps (.xml.bz2)",
    )
    corpus.add_argument("--column", default="text", help="the column with the text (text)")
    corpus.add_argument("--out", type=Path, metavar="DIR", help="folder of the corpus")
    corpus.add_argument(
        "--linzen", action="store_true", help="no auxiliaries, and one random item a sentence"
    )
    corpus.add_argument("--num-proc", type=int, help="processes (one a core)")
    for split in ("validation", "test"):
        corpus.add_argument(f"--{split}", type=float, default=0.05, help="its share (0.05)")
    corpus.add_argument("--seed", type=int, default=0, help="seed of splits and choices (0)")
    corpus.add_argument("--model", help="spaCy model (the small English one)")
    inner = corpus.add_subparsers(dest="what", metavar="check")
    what = "score the items of parsed text against gold trees"
    check = inner.add_parser("check", help=what, description=what)
    check.set_defaults(function="commands.corpus:check")
    check.add_argument(
        "--gold",
        nargs="+",
        default=[],
        metavar="FILE",
        help="CoNLL-U (EWT's dev and test and PUD in $MEMGATE_DATA/conllu)",
    )
    check.add_argument("--model", help="spaCy model (the small English one)")
