"""The README's examples run as they stand."""

import re

import pytest

from tests.repository.markdown import blocks, run


@pytest.mark.filterwarnings("default::kktdiff.SolveWarning")
def test_the_readme_runs(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(repository / "README.md")


def test_the_readme_shows_code(repository):
    assert blocks((repository / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_to_files_lead_somewhere(repository, page):
    text = (repository / page).read_text(encoding="utf-8")
    files = [file for file in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in file]
    assert [file for file in files if not (repository / file).exists()] == []


def test_blocks_are_found_with_their_lines():
    text = (
        "words\n\n```python\na = 1\n```\n\n- item\n\n  ```python\n  b = a\n  ```\n```sh\nls\n```\n"
    )
    assert blocks(text) == [(4, "a = 1\n", None), (10, "b = a\n", None)]


PRINTS = '```python\nprint(1)\n```\n\n```text title="prints"\n{}\n```\n'


def test_what_a_page_says_that_it_prints_is_compared(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PRINTS.format(1))
    run(page)
    page.write_text(PRINTS.format(2))
    with pytest.raises(AssertionError, match=r"line 2: the page shows\n2"):
        run(page)
