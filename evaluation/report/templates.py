"""The report's templates: pages of HTML, whose values are escaped, and texts in Markdown, whose values are not."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

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
    environment.filters["code"] = with_code
    environment.filters["as_written"] = as_written
    return environment.get_template(name)


def with_code(sentence: str) -> Markup:
    """A sentence as HTML, escaped, with what stands between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def as_written(words: object) -> str:
    """Somebody else's words as Markdown shows them as they stand: one line, without links, pictures, tags and bold."""
    return re.sub(r"[\\`*\[\]<>]", lambda found: f"\\{found[0]}", " ".join(str(words).split()))
