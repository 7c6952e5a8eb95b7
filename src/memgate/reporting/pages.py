"""Pages from templates: `render`. An HTML page is one file that loads nothing."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


@cache
def _environment(package: str) -> Environment:
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(["html", "html.jinja"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment


def render(template: str, package: str = "memgate.reporting", /, **values: Any) -> str:
    """Fill in a template; texts are escaped in HTML, and nothing is in Markdown.

    Args:
        template: Name of a file in ``templates/`` of the package.
        package: The package.
        values: What the template names.
    """
    return _environment(package).get_template(template).render(values)
