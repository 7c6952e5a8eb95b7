"""MediaWiki dumps, such as Wikipedia's: the prose of the articles, without markup."""

from __future__ import annotations

import bz2
import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets

from memgate.data import files
from memgate.errors import InputError

HOLE = "\ufffc"
"""Stands for what has no words, a formula or a template; its sentence is left out."""

FIRST_WORDS = re.compile(r"abbr|angbr|flag|nihongo|nts|sc|val|vanchor")
"""Templates that stand for their first argument."""

LAST_WORDS = re.compile(r"keypress|lang|nobold|nowrap|quote|small|smaller|transl")
"""Templates that stand for their last argument."""

NOTES = re.compile(
    r"anchor|by whom|citation.*|cite\b.*|clarify.*|clear|dead link|dubious.*|efn|fact|flagicon"
    r"|harv\w*|inflation-?\w*|note|.*needed|page number|pov.*|ref|ref label|refn|reflist|rp"
    r"|sfnp?|sic|subscription.*|#tag:ref|update.*|vague|when|which|who"
)
"""Templates that stand for no words: references, and complaints of other editors."""

SPACES = re.compile(r"[–—-]|emdash|mdash|ndash|nbsp|snd|spaced ndash|spaces|·")
"""Templates that part words."""

APPARATUS = re.compile(
    r"bibliography|citations|discography|external links|filmography|footnotes|further reading"
    r"|(selected )?publications|notes|(notes and )?references|references and notes|see also"
    r"|selected bibliography|sources|works|works cited",
    re.IGNORECASE,
)
"""Headings of sections that are lists."""

DEEPEST = 6
"""Levels of headings in MediaWiki."""

REWRITING: tuple[tuple[str, str], ...] = (
    (r"(?s)<!--.*?-->", ""),
    (r"(?is)<ref\b[^<>]*/>|<ref\b.*?</ref>", ""),
    (r"(?is)<(gallery|imagemap|poem|pre|score|source|syntaxhighlight|timeline)\b.*?</\1>", "\n"),
    (r"(?is)<(chem|code|math|tt)\b.*?</\1>", HOLE),
    (r"(?i)<br */?>|</?(blockquote|center|div|li|ol|p|ul)\b[^<>]*>", "\n"),
)
"""Tags, before templates."""

BLOCKS: tuple[tuple[str, str], ...] = (
    (r"(?s)\{\|(?:(?!\{\||\|\}).)*\|\}", "\n"),  # the innermost tables
    (
        r"(?i)\[\[(?:category|file|image):(?:[^\[\]]|\[\[[^\[\]]*\]\]|\[[^\[\]]*\])*\]\]",
        "",  # with its caption, which may hold links
    ),
)
"""Tables, pictures and categories, after templates; again until there is none."""

LINE = re.compile(r"[\"“(]?[A-Z0-9].*[.!?:][\"”)]*")
"""A line of whole sentences: no item of a list, no cell, no caption."""

BREAK = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”)]))\s+(?=[\"“(]?[A-Z])")
"""Between two sentences, roughly; only lines with a hole are cut there."""


def read(path: str) -> datasets.Dataset:
    """Return the prose of a dump's articles, one article a row, in the column ``text``.

    Args:
        path: A file ``….bz2`` of MediaWiki's XML, such as dumps.wikimedia.org has them.

    Raises:
        InputError: gensim is not installed.
    """
    _wikicorpus()
    state = Path(path).stat()
    code = files.digest(sys.modules[__name__])
    key = f"{Path(path).resolve()} {state.st_size} {state.st_mtime_ns} {code}"
    return datasets.Dataset.from_generator(  # on the disk: Wikipedia as a whole has 20 GB
        articles,
        features=datasets.Features({"text": datasets.Value("string")}),
        gen_kwargs={"path": path},
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
    )


def articles(path: str) -> Iterator[dict[str, str]]:
    """Yield the prose of the articles of a dump; redirects have none and are passed over."""
    wikicorpus = _wikicorpus()
    with bz2.open(path) as file:
        for _, markup, _ in wikicorpus.extract_pages(file, filter_namespaces=("0",)):
            if markup and not markup.lstrip().lower().startswith("#redirect"):
                yield {"text": prose(wikicorpus.filter_wiki(without_blocks(markup)))}


def _wikicorpus() -> Any:
    try:
        return importlib.import_module("gensim.corpora.wikicorpus")
    except ImportError as error:
        raise InputError(
            "reading MediaWiki dumps takes gensim, which is not installed; "
            "pip install 'memgate[corpus]'"
        ) from error


def without_blocks(markup: str) -> str:
    """Take out what gensim's `filter_wiki` leaves traces of: captions, cells, templates' places.

    >>> without_blocks("It is {{convert|5|km}} long.{{sfn|Li}}[[File:a.png|b [[c]]]] See [[e]].")
    'It is 5 km long. See [[e]].'
    """
    text = markup
    for pattern, by in REWRITING:
        text = re.sub(pattern, by, text)
    text = _all(r"\{\{([^{}]*)\}\}", _template, text)  # from the innermost outwards
    for pattern, by in BLOCKS:
        text = _all(pattern, by, text)
    return text


def _all(pattern: str, by: str | Callable[[re.Match[str]], str], text: str) -> str:
    found = 1
    while found:
        text, found = re.subn(pattern, by, text)
    return text


def _template(match: re.Match[str]) -> str:
    """Return the words of a template if it is known, else nothing for a box, `HOLE` in a text."""
    name, *arguments = (part.strip() for part in match[1].split("|"))
    unnamed = [part for part in arguments if part and not re.match(r"[\w ]+=", part)]
    words = _words(name.lower().replace("_", " "), unnamed)
    if words is not None:
        return words
    before = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
    return "" if not before or before.startswith("{{") else HOLE


def _words(name: str, arguments: list[str]) -> str | None:
    """Return what a template comes to in a text, or None if it isn't known."""
    if name in ("convert", "cvt") and len(arguments) > 1:  # 5|km, or 5|to|6|km
        is_range = len(arguments) > 3 and arguments[2][0].isdigit()
        return " ".join(arguments[: 4 if is_range else 2]).replace("(-)", "")
    for known, place in ((FIRST_WORDS, 0), (LAST_WORDS, -1)):
        if arguments and known.fullmatch(name):
            return arguments[place]
    if SPACES.fullmatch(name):
        return " "
    return "" if NOTES.fullmatch(name) else None


def prose(text: str) -> str:
    r"""Return the paragraphs of an article, one a line, of what `filter_wiki` leaves.

    >>> prose("'''Keys''' are old.\n== Use ==\nThey ''open''.\n* A list\n== Notes ==\nLocks.")
    'Keys are old.\nThey open.'
    """
    text = re.sub(r"(?<=\w)'''s\b", "'s", text)  # ''Nature'''s is Nature's
    text = re.sub("'{2,}", "", text)
    kept, passed_over = [], DEEPEST + 1  # the level of the heading whose section is a list
    for line in map(str.strip, text.splitlines()):
        heading = re.fullmatch(r"(=+)\s*([^=].*?)\s*=+", line)
        if heading is not None:
            level = len(heading[1])
            if level <= passed_over:
                is_list = APPARATUS.fullmatch(heading[2]) is not None
                passed_over = level if is_list else DEEPEST + 1
        elif passed_over > DEEPEST and LINE.fullmatch(line):
            kept.append(_without_holes(line))
    return "\n".join(line for line in kept if line)


def _without_holes(line: str) -> str:
    line = _all(rf" ?\([^()]*{HOLE}[^()]*\)", "", line)  # mostly how a name is spoken
    if HOLE not in line:
        return line
    return " ".join(sentence for sentence in BREAK.split(line) if HOLE not in sentence)
