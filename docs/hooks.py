"""Hooks of the documentation's build: formulas become MathML, so that pages need no script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

# What pymdownx.arithmatex leaves of $...$ and $$...$$: \(...\) in a span, \[...\] in a block.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.S)


def on_page_content(page_html: str, **_: Any) -> str:
    """Return the page with MathML in the place of each formula in LaTeX.

    Raises
    ------
    ValueError
        A command of LaTeX that has no MathML.
    """
    return FORMULA.sub(_mathml, page_html)


def _mathml(found: re.Match[str]) -> str:
    latex = html.unescape(found[2]).strip()
    mathml = convert(latex, display="inline" if found[1] == "span" else "block")
    if "\\" in mathml:  # a command that it does not know stays as it is
        raise ValueError(f"no MathML for the formula {latex!r}: {mathml}")
    return mathml
