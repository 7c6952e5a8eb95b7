"""CoNLL-U files in, parsed sentences out; errors name the line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from conllu.exceptions import ParseException
from conllu.parser import DEFAULT_FIELD_PARSERS, DEFAULT_FIELDS, parse_comment_line, parse_line

from memgate.data import files
from memgate.data.items.dependencies import ROOT, ParsedSentence, Tree
from memgate.errors import InputError

READ_FIELDS = DEFAULT_FIELDS[:8]
"""ID to DEPREL. DEPS and MISC are not needed; with FEATS they take half of the time to parse."""

PARSERS = {field: DEFAULT_FIELD_PARSERS[field] for field in ("id", "head")}


class ConlluWord(NamedTuple):
    """A syntactic word: no multiword token, no empty node.

    Attributes:
        line: Its line in the file, from 1.
        form: As written.
        tag: Its XPOS.
        head: Its head's ID, from 1; 0 at the root.
        relation: Its DEPREL.
    """

    line: int
    form: str
    tag: str
    head: int
    relation: str


def read(path: str) -> Iterator[ParsedSentence]:
    """Yield the sentences of a CoNLL-U file, compressed or not.

    Multiword tokens (ID ``1-2``) and empty nodes (``8.1``) are skipped. The tags are those of XPOS,
    in English treebanks PTB's. A sentence without ``sent_id`` gets the name of the file and the
    line of its first word.

    Raises:
        InputError: The file is not UTF-8 or malformed, with the line; or it can't be read.
    """
    words: list[ConlluWord] = []
    name: str | None = None
    for number, line in files.numbered_lines(path):
        if line.startswith("#"):
            name = dict(parse_comment_line(line)).get("sent_id") or name
        elif line.strip():
            word = _word(line, path, number, expected=len(words) + 1)
            if word is not None:
                words.append(word)
        else:
            if words:
                yield _sentence(words, name, path)
            words, name = [], None
    if words:
        yield _sentence(words, name, path)


def _word(line: str, path: str, number: int, expected: int) -> ConlluWord | None:
    """Parse a line; None if it is a multiword token or an empty node."""
    where, columns = f"{path}, line {number}", line.split("\t")
    if len(columns) != len(DEFAULT_FIELDS):
        raise InputError(
            f"{where}: expected {len(DEFAULT_FIELDS)} columns between tabs, got {len(columns)}"
        )
    try:
        token = parse_line(line, READ_FIELDS, PARSERS)
    except ParseException as error:
        raise InputError(f"{where}: {error}") from error
    if isinstance(token["id"], tuple):
        return None
    if token["id"] != expected:
        raise InputError(f"{where}: expected the ID {expected}, got {columns[0]!r}")
    if token["head"] is None:
        raise InputError(f"{where}: expected a HEAD, got {columns[6]!r}")
    return ConlluWord(number, token["form"], token["xpos"], token["head"], token["deprel"])


def _sentence(words: Sequence[ConlluWord], name: str | None, path: str) -> ParsedSentence:
    for word in words:
        if not 0 <= word.head <= len(words):
            raise InputError(
                f"{path}, line {word.line}: expected a HEAD from 0 to {len(words)}, the words of "
                f"the sentence, got {word.head}"
            )
    tree = Tree(
        words=[word.form for word in words],
        tags=[word.tag for word in words],
        heads=[word.head - 1 if word.head else ROOT for word in words],
        relations=[word.relation for word in words],
    )
    return ParsedSentence(name or f"{Path(path).name}:{words[0].line}", tree)
