"""The measurement of large sparse problems, on small ones: what is right, and what is not."""

import json

import numpy as np
import pytest

from benchmarks import run, sparse, sparse_growth
from benchmarks.sparse_libraries import LIBRARIES
from tests.tolerances import DENSE_REFERENCE

SMALL = (lambda: sparse.simplex(300), lambda: sparse.control(3, 8, 4, 2, 0.3))


@pytest.mark.parametrize(("make", "zero"), [(SMALL[0], "QpAGhb"), (SMALL[1], "")])
def test_kktdiff_is_right_in_all_gradients(
    make, zero
):  # gradients are zero at a corner of the simplex
    work = make()
    truth = sparse.reference(work)
    forward, backward, read = LIBRARIES["kktdiff"](work)
    solution = forward()
    found = read(solution, backward(solution))
    assert set(found) == set(truth)
    for name, value in found.items():
        assert sparse.error(value, truth[name]) < DENSE_REFERENCE, name
        assert name in zero or np.any(truth[name])


def test_the_table_names_what_fails_and_what_is_not_right(monkeypatch, tmp_path):
    def off(work):
        forward, backward, _ = LIBRARIES["kktdiff"](work)
        return forward, backward, lambda sol, grads: {"x": sol.x, "p": 1.001 * grads.p}

    def broken(_):
        raise ValueError("not installed")

    def elsewhere(_):
        raise NotImplementedError

    ours = LIBRARIES["kktdiff"]
    known = {"kktdiff": ours, "off": off, "broken": broken, "elsewhere": elsewhere}
    monkeypatch.setattr(sparse, "LIBRARIES", known)
    monkeypatch.setattr(sparse, "WORKLOADS", SMALL)
    run.main(["--workloads", "W6", "--repeats", "1", "--out", str(tmp_path)])
    lines = (tmp_path / "sparse.md").read_text().splitlines()
    assert lines[2].startswith("| simplex, n = 300 | kktdiff |")
    assert "| 1 | Q, p, G, h, A, b |" in lines[2]
    assert "0.001 (not right)" in lines[3] or "1e-03 (not right)" in lines[3]
    assert "fails: ValueError: not installed" in lines[4]
    assert not any("elsewhere" in line for line in lines)
    records = json.loads((tmp_path / "sparse.json").read_text())["workloads"]
    assert [len(own["records"]) for own in records] == [3, 3]


def test_a_library_that_is_not_known_is_named(capsys):
    with pytest.raises(SystemExit):
        sparse.main(["--libraries", "kktdiff;nobody"])
    assert "nobody: known are kktdiff; " in capsys.readouterr().err


def test_growth_has_a_row_for_each_size(monkeypatch, tmp_path):
    sizes = {"steps, batch of 16": [(2, 3), (2, 6)], "batch, 20 steps": [(1, 4), (3, 4)]}
    monkeypatch.setattr(sparse_growth, "SIZES", sizes)
    found = sparse_growth.main(["--repeats", "1", "--out", str(tmp_path)])
    assert all(ms > 0 for series in found.values() for ms in series)
    page = (tmp_path / "sparse-growth.md").read_text()
    first = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("|")]
    assert first[:4] == ["| steps, batch of 16", "| ---", "| 3", "| 6"]
    assert first[4:] == ["| batch, 20 steps", "| ---", "| 1", "| 3"]


def test_memory_is_that_of_each_library(monkeypatch, tmp_path, capsys):
    memory = pytest.importorskip("benchmarks.sparse_memory", exc_type=ImportError)  # of Unix alone
    monkeypatch.setattr(memory, "WORKLOADS", SMALL)
    memory.main(["--one", "1", "kktdiff"])
    assert float(capsys.readouterr().out) >= 0
    monkeypatch.setattr(memory, "apart", lambda i, name: None if name == "nobody" else 10.0 + i)
    memory.main(["--libraries", "kktdiff;nobody", "--out", str(tmp_path)])
    lines = (tmp_path / "sparse-memory.md").read_text().splitlines()
    titles = [make().title for make in SMALL]
    assert lines[0] == "| MB | kktdiff | nobody |"
    assert lines[2:4] == [f"| {title} | {10 + i} |  |" for i, title in enumerate(titles)]
