"""``kktdiff bench``: its problems, what answers are held against, and the command."""

import argparse
import json
import mmap
import sys

import numpy as np
import pytest

import kktdiff
from benchmarks import verdicts
from kktdiff import bench
from kktdiff.bench import _command
from kktdiff.bench import _run as run_
from kktdiff.bench._machine import memory_of
from tests.checks import assert_near, assert_one_sentence
from tests.reference import CENTRAL, STEP, weighted
from tests.tolerances import DIFFERENCE, HIGH_ACCURACY, SUM

SIZES = {  # n, m with bounds, k, batch, shared
    "W1": (100, 100, 0, 128, ""),
    "W2": (10, 20, 5, 1000, ""),
    "W3": (64, 64, 40, 150, "Q A b lb"),
    "W3G": (64, 64, 40, 150, "Q A b G h"),
    "W4": (199, 198, 0, 64, "Q G h"),
    "W5": (500, 500, 100, 1, ""),
    "W5L": (1000, 1000, 200, 1, ""),
    "small": (3, 9, 0, 256, ""),
    "single": (3, 9, 0, 1, ""),
}


# --------------------------------------------------------------------------------- workloads


@pytest.mark.parametrize("name", SIZES)
def test_a_workload_has_the_stated_sizes(name):
    n, m, k, batch, shared = SIZES[name]
    assert bench.WORKLOADS[name].batch == batch
    problem = bench.make(name, min(batch, 3))
    assert problem.batch == min(batch, 3)
    assert problem.sizes == {"n": n, "m": m, "k": k}
    assert problem.shared() == set(shared.split())
    np.linalg.cholesky(problem.data["Q"])  # raises unless it is definite: some take no other


def test_growth_covers_both_directions():
    assert [batch for _, batch in bench.GROWTH["batch"]] == [1, 8, 64, 128, 512, 2048, 8192]
    sizes = [bench.make(name, 1).sizes["n"] for name, _ in bench.GROWTH["n"][:-1]]
    assert sizes == [10, 20, 50, 100, 200, 500]


@pytest.mark.parametrize("name", ["W2", "W3", "W4"])
def test_a_seed_says_which_problems(name):
    first, again, other = (bench.make(name, 2, seed) for seed in (0, 0, 1))
    for key, array in first.data.items():
        np.testing.assert_array_equal(again.data[key], array)
    np.testing.assert_array_equal(again.cotangent, first.cotangent)
    assert not np.array_equal(other.data["p"], first.data["p"])


def test_the_paper_problem_is_the_paper_one():
    data = bench.make("W1", 2).data
    Q = data["Q"] - 1e-3 * np.eye(100)
    factor = np.linalg.cholesky(data["Q"])
    assert_near(factor @ factor.swapaxes(1, 2), data["Q"], SUM * 100, "Q")
    assert (Q > 0).all()  # L L' with L uniform in [0, 1]
    assert abs(data["G"].mean()) < 0.05
    assert abs(data["G"].std() - 1) < 0.05


def test_sudoku_as_bounds_and_as_rows_is_one_problem():
    bounds, rows = (bench.make(name, 4) for name in ("W3", "W3G"))
    for key in "QpAb":
        np.testing.assert_array_equal(bounds.data[key], rows.data[key])
    for one, other in zip(bounds.rows(), rows.rows(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(np.unique(bounds.data["p"])) == {-1.0, 0.0}


@pytest.mark.parametrize("name", [name for name in SIZES if name != "W5L"])
def test_kktdiff_is_right_on_every_workload(name):
    problem = bench.make(name, min(SIZES[name][3], 2))
    record = bench.accuracy(problem, bench.build(problem))
    assert set(record["errors"]) == {"x", *problem.data}
    assert record["without_reference"] == 0
    assert verdicts.verdict(record) == "right"
    assert verdicts.worst(record) <= HIGH_ACCURACY


def test_on_tensors_the_answers_and_gradients_are_those_of_arrays():
    pytest.importorskip("torch")
    problem = bench.make("W3", 2)
    by_arrays, by_torch = (bench.build(problem, way).once() for way in bench.WAYS)
    assert by_torch.keys() == by_arrays.keys()
    for name, value in by_torch.items():
        np.testing.assert_array_equal(value, by_arrays[name], err_msg=name)


def test_the_memory_of_a_call_is_what_it_holds_at_most():
    def call():  # not by NumPy, whose memory may be some that the process has had before
        for size in (2**26, 2**25):
            with mmap.mmap(-1, size) as pages:
                pages[::4096] = bytes(size // 4096)

    found = memory_of(call)
    assert found is None or 2**25 < found < 2**27


# -------------------------------------------------------------------------------- the reference


def little(rng):
    """Two problems with bounds, rows and one equality, some of it shared."""
    n, m = 4, 6
    L, G, A = rng.random((2, n, n)), rng.standard_normal((m, n)), rng.standard_normal((2, 1, n))
    z0 = rng.random((2, n)) + 0.5
    data = {"Q": L @ L.swapaxes(1, 2) + np.eye(n), "p": 3 * rng.standard_normal((2, n))}
    data |= {"G": G, "h": z0 @ G.T + rng.random((2, m)), "A": A, "b": (A @ z0[..., None])[..., 0]}
    return bench.Problem("little", data, rng.standard_normal((2, n)))


def reference_of(problem):
    sol = kktdiff.solve_qp(**problem.data, tol=1e-12, on_failure="ignore")
    bounds = "lb" in problem.data
    active = (sol.lam_lb > sol.x - problem.data["lb"]) if bounds else sol.lam > sol.s
    return bench.reference(problem, lambda i: active[i]), active


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["little", "bounds"])
def test_the_reference_agrees_with_differences(kind, seed):
    rng = np.random.default_rng(700 + seed)
    problem = little(rng)
    if kind == "bounds":
        data = {key: problem.data[key] for key in "QpAb"}
        problem = problem._replace(data=data | {"lb": np.full(4, 0.1)})
    right, _ = reference_of(problem)
    assert right.known.all()

    def loss(name, direction, step):
        moved = problem.data | {name: problem.data[name] + step * STEP * direction}
        x = kktdiff.solve_qp(**moved, tol=1e-12, on_failure="ignore").x
        return np.sum(problem.cotangent * x)

    for name, array in problem.data.items():
        direction = rng.standard_normal(array.shape)
        values = [loss(name, direction, step) for step in CENTRAL]
        found = np.sum(right.exact[name] * direction)
        assert_near(found, weighted(CENTRAL, values, STEP), DIFFERENCE, name)


def test_a_wrong_active_set_is_not_believed():
    problem = little(np.random.default_rng(710))
    right, active = reference_of(problem)
    assert right.known.all()
    wrong = active.copy()
    wrong[1, np.flatnonzero(~active[1])[0]] = True
    assert bench.reference(problem, lambda i: wrong[i]).known.tolist() == [True, False]
    none = np.zeros_like(active)
    assert not bench.reference(problem, lambda i: none[i]).known[active.any(1)].any()


def test_a_weakly_active_constraint_has_no_gradient():
    """The unconstrained minimum of 1/2 x'x lies on the constraint x_1 <= 0."""
    one = np.eye(2)[None]
    data = {"Q": one, "p": np.zeros((1, 2)), "G": one[:, :1], "h": np.zeros((1, 1))}
    problem = bench.Problem("edge", data, np.ones((1, 2)))
    right = bench.reference(problem, lambda _: np.array([True]))
    assert not right.known.any()
    assert bench.errors(problem, right, {"x": np.zeros((1, 2))}) == {"x": None}


def test_only_the_symmetric_part_of_a_gradient_in_Q_counts():
    problem = little(np.random.default_rng(711))
    right, _ = reference_of(problem)
    skew = np.triu(np.ones((4, 4)), 1)
    found = {"Q": right.exact["Q"] + skew - skew.T}
    assert max(bench.errors(problem, right, found)["Q"]) <= SUM


# ------------------------------------------------------------------------ from the command line


def test_bench_prints_a_table_and_writes_the_numbers(run, tmp_path):
    file = tmp_path / "found.json"
    options = ("--quick", "--call", "arrays", "--json", file)
    code, out, _ = run("bench", *options, "--workloads", "single,W2")
    assert code == 0
    found = json.loads(file.read_text())
    assert len(found["records"][0]["backward_seconds"]) == 1
    assert [r["workload"] for r in found["records"]] == ["single", "W2"]
    assert bench.tables(found) in out
    assert found["records"][1]["batch"] == 2


@pytest.mark.parametrize("missing", [(), ("tqdm",)], ids=["with a bar", "without"])
def test_the_table_of_bench_grows(monkeypatch, missing):
    """A row is there before the next measurement begins."""
    options = argparse.Namespace(
        workloads=("small", "W2"), large=False, call=("arrays",), json=None
    )
    vars(options).update(batch=None, repeats=1, dtype="float64", quick=True)
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    said, seen, real = [], [], run_.run_one

    def measured(*arguments, **more):
        seen.append(len(said))
        return real(*arguments, **more)

    monkeypatch.setattr(run_, "run_one", measured)
    bench.command(options, said.append)
    assert seen == [1, 2]
    head, *rows = said
    assert head.splitlines()[-2].startswith("| workload | batch |")
    assert [row.split(" | ")[0] for row in rows] == ["| small", "| W2"]


def test_bench_shows_its_progress(run):
    code, out, error = run("bench", "--quick", "--call", "arrays", "--workloads", "small,W2")
    assert code == 0
    assert "small, arrays" in error
    assert "2/2" in error
    assert "2/2" not in out


def test_bench_takes_float32(run):
    options = ("--quick", "--call", "arrays", "--workloads", "W2")
    code, out, _ = run("bench", *options, "--dtype", "float32")
    assert code == 0
    assert "arrays, float32" in out


@pytest.mark.parametrize(
    "arguments",
    [("--workloads", "W1,W9"), ("--batch", "0"), ("--call", "carrots"), ("--dtype", "int8")],
    ids=" ".join,
)
def test_a_wrong_option_of_bench_is_wrong_use(run, arguments):
    code, out, error = run("bench", *arguments)
    assert (code, out) == (2, "")
    assert arguments[0] in error


def test_torch_where_there_is_none_is_a_sentence(run, monkeypatch):
    monkeypatch.setattr(_command.util, "find_spec", lambda _: None)
    assert_one_sentence(run("bench", "--call", "torch"), "pip install 'kktdiff[torch]'")


def test_numbers_that_can_not_be_written_are_a_sentence(run, tmp_path):
    assert_one_sentence(run("bench", "--quick", "--json", tmp_path / "no" / "file.json"), "no")
