"""Running the python blocks of a Markdown page, in order, in one namespace."""

import re
import textwrap

BLOCK = re.compile(r"^(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.S | re.M)


def blocks(text):
    """[(line of the first statement, code)] of every python block."""
    return [
        (text.count("\n", 0, found.start("code")) + 1, textwrap.dedent(found["code"]))
        for found in BLOCK.finditer(text)
    ]


def run(path):
    """Run the page's blocks; an error's traceback has the page's own line numbers."""
    names = {"__name__": "__main__"}
    for line, code in blocks(path.read_text(encoding="utf-8")):
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), names)
