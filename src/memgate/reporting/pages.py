"""HTML pages from the files in ``templates/``: `render`. A page is one file that loads nothing."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("memgate.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment


def render(template: str, **values: Any) -> str:
    """Fill in a template; texts are escaped.

    Args:
        template: Name of a file in ``templates/``.
        values: What the template names.
    """
    return _environment().get_template(template).render(values)
