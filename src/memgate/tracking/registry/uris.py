"""Whether a text is a model's URI or a folder; imports nothing heavy."""

from __future__ import annotations

import re


def is_uri(text: str) -> bool:
    """Return whether a text is a URI, such as ``models:/name@alias``; ``C:/name`` is a folder.

    >>> is_uri("runs:/0123/model"), is_uri("C:/models"), is_uri("out/model")
    (True, False, False)
    """
    return re.match(r"[a-z][a-z0-9+.-]+:/", text) is not None
