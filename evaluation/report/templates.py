"""The report's templates: pages of HTML, whose values are escaped, and texts in Markdown, whose values are not."""

from __future__ import annotations

from pathlib import Path

import jinja2

FOLDER = Path(__file__).parent


def template(name: str) -> jinja2.Template:
    """The template in a file of this folder; a value that it wants and isn't given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)
