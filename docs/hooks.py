"""Hooks of the documentation's build: formulas become MathML, so that pages need no script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

# What pymdownx.arithmatex leaves of $...$ and $$...$$: \(...\) in a span, \[...\] in a block.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_page_content(page_html: str, **_: Any) -> str:
    """Return the page with MathML in the place of each formula in LaTeX."""
    return FORMULA.sub(_mathml, page_html)


def _mathml(found: re.Match[str]) -> str:
    display = "inline" if found[1] == "span" else "block"
    return convert(html.unescape(found[2]).strip(), display=display)
