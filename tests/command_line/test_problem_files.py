"""Problem files of others: QPS, read by HiGHS, and the files of qpsolvers."""

import sys

import numpy as np
import pytest
import scipy.sparse

from kktdiff import _files
from kktdiff._files import _qps
from tests.checks import assert_one_sentence

needs_highspy = pytest.mark.usefixtures("highspy")


@pytest.fixture
def highspy():
    return pytest.importorskip("highspy")


@pytest.fixture
def qpsolvers():
    return pytest.importorskip("qpsolvers")


QPS = """\
NAME          example
{sense}ROWS
 N  cost
 L  above
 G  below
 E  fixed
 G  twice
COLUMNS
    x         cost            1.0   above           1.0
    x         below           2.0   fixed           1.0
    y         cost           -2.0   above           1.0
    y         twice           1.0
    z         fixed           1.0   twice           3.0
RHS
    rhs       above           4.0   below          -1.0
    rhs       fixed           0.5   twice          -2.0
    rhs       cost           -3.0
RANGES
    rng       twice           7.0
BOUNDS
 UP bnd       x               4.0
 FR bnd       y
 MI bnd       z
QUADOBJ
    x         x               8.0
    x         y               2.0
    y         y              10.0
ENDATA
"""
ARRAYS = {
    "Q": [[8, 2, 0], [2, 10, 0], [0, 0, 0]],
    "p": [1, -2, 0],
    "G": [[1, 1, 0], [0, 1, 3], [-2, 0, 0], [0, -1, -3]],
    "h": [4, 5, 1, 2],
    "A": [[1, 0, 1]],
    "b": [0.5],
    "lb": [0, -np.inf, -np.inf],
    "ub": [4, np.inf, np.inf],
}


def written(path, sense="", change=("", "")):
    path.write_text(QPS.format(sense=sense).replace(*change))
    return path


# ---------------------------------------------------------------------------------------- QPS


@needs_highspy
@pytest.mark.parametrize("name", ["a.qps", "a.mps", "A.QPS"])
def test_a_qps_file_holds_these_arrays(tmp_path, name):
    found = _files.read_problem(written(tmp_path / name))
    assert set(found.arrays) == set(ARRAYS)
    for key, expected in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[key], np.array(expected, float), err_msg=key)
    assert (found.sign, found.offset) == (1.0, 3.0)


@needs_highspy
def test_a_qps_file_is_solved(run, tmp_path):
    path = written(tmp_path / "a.qps")
    code, out, error = run("solve", path)
    assert (code, error) == (0, "")
    with np.load(tmp_path / "a-solution.npz") as file:
        x, objective = file["x"], float(file["objective"])
    Q, p = (np.array(ARRAYS[key], float) for key in "Qp")
    assert objective == pytest.approx(x @ Q @ x / 2 + p @ x + 3)
    assert f"objective         {objective:.10g}" in out
    np.testing.assert_allclose(x, [0, 0.2, 0.5], atol=1e-8)


@needs_highspy
def test_what_is_maximised_is_shown_as_the_file_has_it(run, tmp_path):
    """Of -x^2 - y^2 + 2y + 1 on a box: the largest value is 2."""
    text = "NAME\nOBJSENSE\n    MAX\nROWS\n N  c\nCOLUMNS\n    x  c  0.0\n    y  c  2.0\n"
    text += "RHS\n    r  c  -1.0\nQUADOBJ\n    x  x  -2.0\n    y  y  -2.0\nENDATA\n"
    (tmp_path / "a.qps").write_text(text)
    code, out, _ = run("solve", tmp_path / "a.qps")
    assert code == 0
    assert float(out.split("objective")[1].split()[0]) == pytest.approx(2.0)
    with np.load(tmp_path / "a-solution.npz") as file:
        np.testing.assert_allclose(file["x"], [0, 1], atol=1e-8)
        assert float(file["objective"]) == pytest.approx(2.0)


@needs_highspy
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "not a QPS file"),
        (b"hello", "not a QPS file"),
        (bytes(5000), "not a QPS file"),
        (QPS.format(sense="")[:200].encode(), "not a QPS file"),
        (
            QPS.format(sense="")
            .replace("ENDATA", "QCMATRIX above\n    x  x  1.0\nENDATA")
            .encode(),
            "Quadratic rows",
        ),
        (QPS.format(sense="").replace("UP bnd       x", "BV bnd       x").encode(), "continuous"),
    ],
    ids=["empty", "words", "zeros", "short", "quadratic rows", "integers"],
)
def test_a_wrong_qps_file_is_a_sentence(run, tmp_path, content, fact):
    path = tmp_path / "a.qps"
    path.write_bytes(content)
    assert_one_sentence(run("solve", path), path, fact)
    assert list(tmp_path.iterdir()) == [path]


@needs_highspy
def test_what_the_reader_leaves_out_is_told(run, tmp_path):
    path = written(tmp_path / "a.qps", change=("rhs       cost", "rhs       c\x1b[2J"))
    code, _, error = run("solve", path)
    assert code == 0
    first, *_ = error.splitlines()
    assert (
        first
        == f'kktdiff solve: {path}: Row name "c\\x1b[2J" in RHS section is not defined: ignored'
    )


@needs_highspy
def test_a_reader_that_crashes_does_so_alone(run, tmp_path, monkeypatch):
    crash = tmp_path / "crash.py"
    crash.write_text("import os; os.abort()\n")
    monkeypatch.setattr(_qps._highs, "__file__", str(crash))
    assert_one_sentence(run("solve", written(tmp_path / "a.qps")), "not a QPS file")


@needs_highspy
def test_a_qps_file_that_is_too_large_as_dense_arrays_is_not_made_dense(run, tmp_path):
    columns = "".join(f"    x{i}  c  1.0\n" for i in range(300_000))
    text = f"NAME\nROWS\n N  c\nCOLUMNS\n{columns}ENDATA\n"
    (tmp_path / "a.qps").write_text(text)
    assert_one_sentence(run("solve", tmp_path / "a.qps"), "300000 variables", "memory at hand")


def test_the_extra_that_reads_qps_files_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highspy", None)
    found = run("solve", written(tmp_path / "a.qps"))
    assert_one_sentence(found, "highspy", "pip install 'kktdiff[qps]'")


# ---------------------------------------------------------------------------------- qpsolvers


def test_a_file_of_qpsolvers_is_read(run, tmp_path, qpsolvers):
    arrays = {name: np.array(array, float) for name, array in ARRAYS.items()}
    arrays = {"P": arrays.pop("Q"), "q": arrays.pop("p"), **arrays}
    qpsolvers.Problem(**arrays).save(str(tmp_path / "whole.npz"))
    found = _files.read_problem(tmp_path / "whole.npz")
    for key, expected in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[key], np.array(expected, float), err_msg=key)
    sparse = scipy.sparse.csc_matrix(np.eye(2))
    qpsolvers.Problem(sparse, np.array([1.0, -1.0]), lb=np.zeros(2)).save(str(tmp_path / "few.npz"))
    assert run("solve", tmp_path / "few.npz")[0] == 0
    with np.load(tmp_path / "few-solution.npz") as file:
        np.testing.assert_allclose(file["x"], [0, 1], atol=1e-8)


def test_a_sparse_matrix_that_qpsolvers_pickled_is_not_read(run, tmp_path, qpsolvers):
    sparse = scipy.sparse.csc_matrix(np.eye(2))
    problem = qpsolvers.Problem(np.eye(2), np.ones(2), sparse, np.ones(2))
    problem.save(str(tmp_path / "a.npz"))
    assert_one_sentence(run("solve", tmp_path / "a.npz"), "G holds Python objects", "sparse")


@pytest.mark.parametrize("names", ["Pp", "Qq", "PQp"])
def test_names_of_two_kinds_are_refused(run, tmp_path, names):
    arrays = {name: np.eye(2) if name in "PQ" else np.ones(2) for name in names}
    np.savez(tmp_path / "a.npz", **arrays)
    assert_one_sentence(run("solve", tmp_path / "a.npz"), "unknown array", "known are Q, p")


# -------------------------------------------------------------------------------- the example


def test_the_example_is_solved(run, tmp_path):
    path = tmp_path / "example.npz"
    code, out, error = run("solve", "--example", path)
    assert (code, error) == (0, "")
    assert f"kktdiff solve {path}" in out
    code, out, _ = run("solve", path)
    assert code == 0
    assert "x                 0.32  0.38  0.3\n" in out
    before = path.read_bytes()
    assert_one_sentence(run("solve", "--example", path), path, "--force")
    assert path.read_bytes() == before
    assert run("solve", "--example", path, "--force")[0] == 0


def test_one_of_a_file_and_an_example_is_wanted(run, tmp_path):
    assert_one_sentence(run("solve"), "FILE", "--example")
    found = run("solve", tmp_path / "a.npz", "--example", tmp_path / "b.npz")
    assert_one_sentence(found, "FILE", "--example")
