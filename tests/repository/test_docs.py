"""The examples of every documentation page run as they stand, page by page."""

import ast
import re
from pathlib import Path

import pytest

import kktdiff
from tests.repository.markdown import blocks, run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
EXTRAS = ("torch", "jax", "cupy", "cvxpy", "qpsolvers", "qpth", "matplotlib")


def needed(text):
    """The extras that the page's blocks import, or reach through an adapter of the same name."""
    code = "\n".join(code for _, code, _ in blocks(text))
    return [
        e for e in EXTRAS if re.search(rf"\b(?:import|from) (?:kktdiff\.adapters\.)?{e}\b", code)
    ]


@pytest.mark.filterwarnings("default::kktdiff.SolveWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_a_page_runs(page, tmp_path, monkeypatch):
    for extra in needed(page.read_text(encoding="utf-8")):
        pytest.importorskip("torch" if extra == "qpth" else extra)
    monkeypatch.chdir(tmp_path)
    run(page)


def test_there_are_pages():
    assert PAGES


@pytest.mark.parametrize("page", sorted((DOCS / "reference").glob("*.md")), ids=lambda p: p.stem)
def test_the_reference_has_every_public_name(repository, page):
    text = page.read_text(encoding="utf-8")
    module = re.search(r"^# (kktdiff[\w.]*)$", text, re.M)[1]
    folder = repository / module.replace(".", "/")
    source = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    public = re.search(r"^__all__ = (\[.*?\])", source.read_text(encoding="utf-8"), re.M | re.S)[1]
    shown = [name.rpartition(".")[2] for name in re.findall(r"^::: ([\w.]+)$", text, re.M)]
    names = {name for name in ast.literal_eval(public) if not (folder / name).is_dir()}
    assert set(shown) == names


@pytest.mark.parametrize("file", ["CITATION.cff", "docs/citing.md"])
def test_the_version_to_cite_is_this_one(repository, file):
    versions = re.findall(r"^ *version *[:=] \{?([\w.]+)", (repository / file).read_text(), re.M)
    assert versions == [kktdiff.__version__]
