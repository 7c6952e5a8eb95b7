"""Typed text in, tokens as the training corpora have them out: one regular expression."""

from __future__ import annotations

from tokenizers import Regex, pre_tokenizers

_END = r"(?![\p{L}\p{N}])"
_APOSTROPHE = "['’]"
_CLITIC = rf"{_APOSTROPHE}(?:[sSmMdD]|[rR][eE]|[vV][eE]|[lL][lL]){_END}"
_NOT = rf"[nN]{_APOSTROPHE}[tT]{_END}"
_LETTERS = rf"(?:(?!{_NOT})[\p{{L}}\p{{M}}\p{{N}}])+"
_TITLES = (  # in lower case too: a tokenizer that ignores case sees text so
    "[Mm]rs?|[Mm]s|[Dd]r|[Ss]t|[Jj]r|[Ss]r|[Ii]nc|[Ll]td|[Cc]o|[Cc]orp|[Bb]ros|[Gg]en|[Gg]ov|[Ss]en|"
    "[Rr]ep|[Rr]ev|[Pp]rof|[Mm]t|[Mm]essrs|[Aa]dm|[Aa]ve|[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Jj]un|[Jj]ul|"
    "[Aa]ug|[Ss]ept?|[Oo]ct|[Nn]ov|[Dd]ec|[Vv]s"
)
_UNITS = "am|pm|kg|km|m|cm|mm|ft|in|mi|lb|lbs|mph|[GgMmKk][Bb]"

PATTERN = "|".join(
    [
        r"<unk>|@[-.,]@",  # WikiText's rare words, and its hyphens and points within words
        r"(?:PRP|WP)\$|-[LR][RSC]B-",  # tags in place of words; treebanks' brackets
        r"(?:https?://|www\.)\S+[\p{L}\p{N}/]",
        r"[\p{L}\p{N}._+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+",
        _NOT,
        _CLITIC,
        rf"[cC]an(?=not{_END})|(?<=[cC]an)not{_END}",
        rf"(?:{_TITLES})\.(?!\p{{L}})|(?:e\.g|i\.e|a\.m|p\.m)\.|\p{{L}}\.(?:\p{{L}}\.)*",
        rf"\d+(?:[.,:/]\d+)*(?:st|nd|rd|th|s)?{_END}",
        rf"\d+(?:[.,]\d+)*(?=(?:{_UNITS}){_END})",
        rf"{_LETTERS}(?:(?!{_CLITIC})(?:['’.&_]|(?<=\p{{L}})-(?=\d)){_LETTERS})*",
        r"\.{2,}|-{2,}|''|``|\S",
    ]
)
"""What a token is, in the syntax that Oniguruma and JavaScript (flags ``gu``) share.

It splits as spaCy's blank English does: punctuation, "do|n't", "cat|'s", "can|not" and
"well|-|known" apart, "U.S.", "e.g.", "1,000", "O'Brien" and "F-16" whole. The tests compare the two
on WikiText-2. Tokens that are already apart stay as they are.
"""


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Return the splitter that `memgate.data.vocabulary.Vocabulary` saves in ``tokenizer.json``.

    >>> text = "The cat, which wasn't full, ..."
    >>> [token for token, _ in pre_tokenizer().pre_tokenize_str(text)]
    ['The', 'cat', ',', 'which', 'was', "n't", 'full', ',', '...']
    """
    return pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True)
