"""The README's examples run as they stand."""

import pytest

from tests.markdown import blocks, run


@pytest.mark.filterwarnings("default::kktdiff.SolveWarning")
def test_the_readme_runs(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(repository / "README.md")


def test_the_readme_shows_code(repository):
    assert blocks((repository / "README.md").read_text(encoding="utf-8"))


def test_blocks_are_found_with_their_lines():
    text = (
        "words\n\n```python\na = 1\n```\n\n- item\n\n  ```python\n  b = a\n  ```\n```sh\nls\n```\n"
    )
    assert blocks(text) == [(4, "a = 1\n"), (10, "b = a\n")]
