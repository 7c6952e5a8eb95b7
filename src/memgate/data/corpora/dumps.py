"""MediaWiki dumps such as Wikipedia's: the prose of their articles, without markup."""

from __future__ import annotations

import bz2
import hashlib
import html
import importlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import datasets

from memgate.data import files
from memgate.data.corpora.parsing import has_package
from memgate.errors import InputError

HOLE = "\ufffc"
"""Stands for what has no words, such as a formula; its sentence is left out."""

FIRST_ARGUMENT = re.compile(r"abbr|angbr|flag|nihongo|nts|sc|val|vanchor")
"""Templates that show their first argument."""

LAST_ARGUMENT = re.compile(r"keypress|lang|nobold|nowrap|quote|small|smaller|transl")
"""Templates that show their last argument."""

NOTES = re.compile(
    r"anchor|by whom|citation.*|cite\b.*|clarify.*|clear|dead link|dubious.*|efn|fact|flagicon"
    r"|harv\w*|inflation-?\w*|note|.*needed|page number|pov.*|ref|ref label|refn|reflist|rp"
    r"|sfnp?|sic|subscription.*|#tag:ref|update.*|vague|when|which|who"
)
"""Templates that show no words: references, and complaints of other editors."""

SPACES = re.compile(r"[–—-]|emdash|mdash|ndash|nbsp|snd|spaced ndash|spaces|·")
"""Templates that separate words."""

NO_PROSE = {
    *("gallery", "imagemap", "poem", "pre", "score", "source", "syntaxhighlight", "table"),
    "timeline",
}
"""Tags whose contents are no prose; a table is one too, written ``{|``."""

FORMULAS = {"chem", "code", "math", "tt"}

PARAGRAPHS = {"blockquote", "br", "center", "div", "li", "ol", "p", "ul"}
"""Tags that begin a new line."""

APPARATUS = re.compile(
    r"bibliography|citations|discography|external links|filmography|footnotes|further reading"
    r"|(selected )?publications|notes|(notes and )?references|references and notes|see also"
    r"|selected bibliography|sources|works|works cited",
    re.IGNORECASE,
)
"""Headings of sections that are lists."""

DEEPEST = 6
"""Levels of headings in MediaWiki."""

LINE = re.compile(r"[\"“(]?[A-Z0-9].*[.!?:][\"”)]*")
"""A line of whole sentences: no item of a list, no cell, no caption."""

SENTENCE_BREAK = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”)]))\s+(?=[\"“(]?[A-Z])")
"""Between two sentences, roughly; only lines with a hole are cut there."""


def is_installed() -> bool:
    """Return whether the packages that read dumps are installed; imports none."""
    return has_package("gensim") and has_package("mwparserfromhell")


def read(path: str) -> datasets.Dataset:
    """Return the prose of a dump's articles, one article a row, in the column ``text``.

    Args:
        path: A file ``….bz2`` of MediaWiki's XML, as dumps.wikimedia.org has them.

    Raises:
        InputError: gensim or mwparserfromhell is not installed.
    """
    for package in ("gensim.corpora.wikicorpus", "mwparserfromhell"):
        _imported(package)
    key = files.content_digest(path) + files.digest(sys.modules[__name__])
    return datasets.Dataset.from_generator(  # on the disk: Wikipedia as a whole has 20 GB
        articles,
        features=datasets.Features({"text": datasets.Value("string")}),
        gen_kwargs={"path": path},
        fingerprint=hashlib.sha256(key.encode()).hexdigest(),
    )


def articles(path: str) -> Iterator[dict[str, str]]:
    """Yield the prose of each article of a dump; redirects are skipped."""
    wikicorpus = _imported("gensim.corpora.wikicorpus")
    with bz2.open(path) as file:
        for _, markup, _ in wikicorpus.extract_pages(file, filter_namespaces=("0",)):
            if markup and not markup.lstrip().lower().startswith("#redirect"):
                yield {"text": prose(markup)}


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"reading MediaWiki dumps takes {package.partition('.')[0]}, which is not installed; "
            "pip install 'memgate[corpus]'"
        ) from error


def prose(markup: str) -> str:
    r"""Return the paragraphs of an article, one a line.

    >>> prose("'''Keys''' are {{convert|5|cm}} long.\n== Use ==\nThey open.\n== Notes ==\nNone.")
    'Keys are 5 cm long.\nThey open.'
    """
    # Bold and italics are removed below: a pair that is not closed would swallow tags behind it.
    text = _text(_imported("mwparserfromhell").parse(markup, skip_style_tags=True))
    text = html.unescape(text)  # "&amp;nbsp;" gives "&nbsp;"
    text = re.sub(r"(?<=\w)'''s\b", "'s", text)  # ''Nature'''s is Nature's
    text = re.sub("'{2,}", "", text)
    text = re.sub(r"\[([^\[\]]*)\]", r"\1", text)  # "uphold[ing]": an editor's words in a quotation
    paragraphs = []
    skipped_level = DEEPEST + 1  # the level of the heading whose section is a list
    for line in map(str.strip, text.splitlines()):
        heading = re.fullmatch(r"(=+)\s*([^=].*?)\s*=+", line)
        if heading is not None:
            level = len(heading[1])
            if level <= skipped_level:
                is_list = APPARATUS.fullmatch(heading[2]) is not None
                skipped_level = level if is_list else DEEPEST + 1
        elif skipped_level > DEEPEST and LINE.fullmatch(line):
            paragraphs.append(_without_holes(line))
    return "\n".join(filter(None, paragraphs))


def _text(code: Any) -> str:
    """Return the words of parsed markup, with a line for each paragraph and heading."""
    text = ""
    for node in code.nodes:
        kind = type(node).__name__
        if kind == "Text":
            text += str(node)
        elif kind == "HTMLEntity":
            text += node.normalize()
        elif kind == "Heading":
            marks = "=" * node.level
            text += f"\n{marks} {_text(node.title).strip()} {marks}\n"
        elif kind == "Wikilink":
            is_page = not re.match(r"\s*(category|file|image)\s*:", str(node.title), re.IGNORECASE)
            text += _text(node.text or node.title) if is_page else ""
        elif kind == "ExternalLink":
            text += _text(node.title) if node.title is not None else ""
        elif kind == "Tag":
            text += _tag_text(node)
        elif kind == "Template":
            line = text[text.rfind("\n") + 1 :].strip()
            text += _template_text(node, starts_line=not line)
    return text


def _tag_text(tag: Any) -> str:
    name = str(tag.tag).strip().lower()
    if name in NO_PROSE:
        return "\n"
    if name in FORMULAS:
        return HOLE
    if name == "ref":
        return ""
    if tag.wiki_markup in ("*", "#", ":", ";"):  # an item of a list
        return str(tag.wiki_markup)
    contents = "" if tag.contents is None else _text(tag.contents)
    return f"\n{contents}\n" if name in PARAGRAPHS else contents


def _template_text(template: Any, starts_line: bool) -> str:
    """Return the words of a template if it is known, else nothing for a box, `HOLE` in a text."""
    name = str(template.name).strip().lower().replace("_", " ")
    arguments = [_text(param.value).strip() for param in template.params if not param.showkey]
    arguments = [argument for argument in arguments if argument]
    if name in ("convert", "cvt") and len(arguments) > 1:  # 5|km, or 5|to|6|km
        is_range = len(arguments) > 3 and arguments[2][0].isdigit()
        return " ".join(arguments[: 4 if is_range else 2]).replace("(-)", "")
    if arguments and FIRST_ARGUMENT.fullmatch(name):
        return arguments[0]
    if arguments and LAST_ARGUMENT.fullmatch(name):
        return arguments[-1]
    if SPACES.fullmatch(name):
        return " "
    return "" if starts_line or NOTES.fullmatch(name) else HOLE


def _without_holes(line: str) -> str:
    replacements = 1
    while replacements:  # from the innermost outwards; mostly how a name is spoken
        line, replacements = re.subn(rf" ?\([^()]*{HOLE}[^()]*\)", "", line)
    if HOLE not in line:
        return line
    return " ".join(part for part in SENTENCE_BREAK.split(line) if HOLE not in part)
