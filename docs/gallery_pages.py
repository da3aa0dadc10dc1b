"""The gallery's pages and notebooks, made of the scripts in `examples/gallery` for the site.

What a script printed and its figure stand in `docs/gallery`: `python -m examples.gallery` wrote
them.
"""

from pathlib import Path
from typing import Any

import jupytext
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "examples" / "gallery"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}  # Jupyter's own
INTRO = """# Gallery

Eleven short scripts, a lesson each. A page shows the script, what it prints and its figure; each is
also a notebook to download. The [experiments](../experiments.md) are larger.

```console
$ python -m pip install -e ".[examples,jax,cvxpy]"
$ python examples/gallery/svm.py
```

<div class="grid cards" markdown>

"""


def on_files(files: Files, config: Any) -> Files:
    """Return the files with the gallery's pages, scripts and notebooks."""
    index = INTRO
    for name in names(config):
        script = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
        notebook = jupytext.reads(script, fmt="py:percent")
        notebook.metadata["kernelspec"] = KERNEL
        title, text = notebook.cells[0].source.removeprefix("# ").split("\n\n", 1)
        index += f"- [![{title}]({name}.svg)]({name}.md)\n\n    **[{title}]({name}.md)**\n\n"
        index += "".join(f"    {line}\n" for line in text.splitlines()) + "\n"
        made = {
            "md": page(name, title, text, notebook),
            "py": script,
            "ipynb": jupytext.writes(notebook, fmt="ipynb"),
        }
        for ending, content in made.items():
            files.append(File.generated(config, f"gallery/{name}.{ending}", content=content))
    files.append(File.generated(config, "gallery/index.md", content=index + "</div>\n"))
    return files


def names(config: Any) -> list[str]:
    """Return the names of the scripts, in the order of the navigation.

    Raises
    ------
    ValueError
        A script without a place in the navigation, or the other way around.
    """
    (pages,) = (group["Gallery"] for group in config.nav if "Gallery" in group)
    listed = [Path(path).stem for path in pages if Path(path).stem != "index"]
    scripts = {path.stem for path in SCRIPTS.glob("[!_]*.py")}
    if set(listed) != scripts:
        raise ValueError(f"in mkdocs.yml or in {SCRIPTS} alone: {set(listed) ^ scripts}")
    return listed


def page(name: str, title: str, text: str, notebook: Any) -> str:
    """Return a page: title, text, figure, links, code, and what it prints."""
    printed = (ROOT / "docs" / "gallery" / f"{name}.txt").read_text(encoding="utf-8")
    links = f"[script]({name}.py){{ download }} or the [notebook]({name}.ipynb){{ download }}."
    # a search finds the pages that explain first
    parts = [
        "---\nsearch:\n  boost: 0.5\n---",
        f"# {title}",
        text,
        f"![The figure that the script draws]({name}.svg)",
    ]
    parts.append(f"Download the {links}")
    for cell in notebook.cells[1:]:
        parts.append(
            cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
        )
    return "\n\n".join([*parts, "## What it prints", f"```text\n{printed}```"]) + "\n"
