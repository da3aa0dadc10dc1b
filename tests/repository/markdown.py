"""Running the python blocks of a Markdown page, in order, in one namespace."""

import contextlib
import io
import re
import textwrap

BLOCK = re.compile(
    r"^(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```"
    r'(?:\s*?\n(?P=indent)```text title="prints"\n(?P<prints>.*?)^(?P=indent)```)?',
    re.S | re.M,
)


def blocks(text):
    """[(line of the first statement, code, what the page says that it prints)] of every block.

    The last is a block of text with the title "prints" behind it, or None.
    """
    return [
        (
            text.count("\n", 0, found.start("code")) + 1,
            textwrap.dedent(found["code"]),
            None if found["prints"] is None else textwrap.dedent(found["prints"]),
        )
        for found in BLOCK.finditer(text)
    ]


def run(path):
    """Run the page's blocks; an error's traceback has the page's own line numbers."""
    names = {"__name__": "__main__"}
    for line, code, prints in blocks(path.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (line - 1) + code, str(path), "exec"), names)
        if prints is not None:
            assert printed.getvalue() == prints, f"{path}, line {line}: the page shows\n{prints}"
