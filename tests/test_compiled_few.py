"""Few entries that are not zero, and what a batch shares: compiled code makes use of both."""

import numpy as np
import pytest

import kktdiff
from kktdiff import bench
from tests.checks import assert_near, assert_no_difference, assert_same_bits
from tests.commands import command
from tests.one_call import approached, flat, solved
from tests.problems import Answer, Data
from tests.tolerances import SHARED, TIGHT_ANSWER

pytest.importorskip("numba")
pytest.importorskip("threadpoolctl")

IN_BLOCKS, SEPARABLE = 1, 2


@pytest.fixture
def used(monkeypatch):
    """Solves data in the one compiled call: what is kept, iterations, flags of the memory."""
    from kktdiff.backends.compiled import _run

    seen, work_for = [], _run.work_for
    monkeypatch.setattr(_run, "work_for", lambda *a: seen.append(work_for(*a)) or seen[-1])

    def use(data):
        kept, iterations = solved(data)
        return kept, iterations, seen[-1].flags

    return use


def sparse(curvature, equalities, batch=6, n=24, m=18, entries=2):
    """Rows of G with two entries each; everything but p and h is shared."""
    rng = np.random.default_rng(430)
    G = np.zeros((m, n))
    for row in G:
        row[rng.choice(n, entries, replace=False)] = rng.normal(size=entries)
    L = rng.normal(size=(n, n))
    Q = {"full": L @ L.T + np.eye(n), "diagonal": np.diag(1 + rng.random(n)), "flat": G.T @ G}
    A = {"none": None, "few": np.eye(n)[:3] - np.eye(n)[3:6], "all": rng.normal(size=(2, n))}
    chosen, x = A[equalities], rng.normal(size=(batch, n))
    p = -10 * rng.random((batch, m)) @ G  # of the rows' space, where "flat" has its curvature
    if curvature != "flat":
        p += rng.normal(size=(batch, n))
    b = None if chosen is None else x @ chosen.T
    return Data(Q[curvature], p, G, x @ G.T + rng.random((batch, m)), chosen, b)


@pytest.mark.parametrize("equalities", ["none", "few", "all"])
@pytest.mark.parametrize("curvature", ["full", "diagonal"])
def test_few_entries_make_no_difference(without, used, curvature, equalities):
    from kktdiff.backends.compiled._data import FEW_A, FEW_G

    data = sparse(curvature, equalities)
    kept, iterations, flags = used(data)
    assert flags[FEW_G]
    assert flags[FEW_A] == (equalities != "all")
    assert np.all(iterations > 0)
    few_rows = equalities == "none"  # so that the dual form is cheaper
    expected = SEPARABLE if curvature == "diagonal" and not few_rows else IN_BLOCKS
    assert np.all(kept.factors.counts[:, 2] == expected)
    assert_no_difference(without, data, 431)


def test_few_entries_of_a_problem_that_is_flat_in_some_directions(without):
    data = sparse("flat", "none")
    solution, plain = without(lambda: kktdiff.solve_qp(*data))
    assert solution.solved.all()
    assert_near(solution.objective, plain.objective, SHARED)


def test_one_entry_a_row_is_as_good_as_a_bound(used):
    """Also with weights other than one, and several rows on one variable."""
    rng = np.random.default_rng(432)
    n, batch = 16, 5
    Q, p = np.diag(1 + rng.random(n)), 3 * rng.normal(size=(batch, n))
    A = rng.normal(size=(3, n))
    b = A @ rng.random(n)
    G = np.concatenate([-2 * np.eye(n), 0.5 * np.eye(n)[:4], np.eye(n)[:4]])
    h = np.concatenate([np.zeros(n), np.full(4, 0.75), np.full(4, 9.0)])
    data = Data(Q, p, G, h, A, b)
    kept, iterations, _ = used(data)
    assert np.all(iterations > 0)
    assert np.all(kept.factors.counts[:, 2] == SEPARABLE)
    ub = np.concatenate([np.full(4, 1.5), np.full(n - 4, np.inf)])
    rows = kktdiff.solve_qp(*data)
    bounds = kktdiff.solve_qp(Q, p, A=A, b=b, lb=np.zeros(n), ub=ub)
    for name in ("x", "nu", "objective"):
        assert_near(getattr(rows, name), getattr(bounds, name), TIGHT_ANSWER, name)


def test_where_the_primal_form_fails_the_dual_one_is_tried(used):
    """Rows of very different sizes; which of them fail is a matter of rounding."""
    data, size = sparse("diagonal", "few", batch=60), 10 ** np.linspace(-4, 4, 18)
    data = data._replace(G=data.G * size[:, None], h=data.h * size)
    _, primal = approached(data)
    failed = primal < 0
    assert failed.sum() >= 2
    kept, iterations, _ = used(data)
    assert np.all(iterations > 0)
    assert np.any(kept.factors.counts[failed, 2] == IN_BLOCKS)
    assert np.all(kept.factors.counts[~failed, 2] == SEPARABLE)


def test_where_the_primal_form_comes_near_polishing_goes_on_from_there(used):
    """Signals whose differences are of very different sizes."""
    problem, hard = bench.make("W4", 1000, 1), [143, 164, 354, 606, 672, 827, 885]
    data = Data(**{k: v[hard] if k == "p" else v for k, v in problem.data.items()})
    _, primal = approached(data)
    failed = primal < 0
    assert failed.any()  # which of them is a matter of rounding
    kept, iterations, _ = used(data)
    assert np.all(iterations > 0)
    assert np.all(kept.factors.counts[failed, 2] == SEPARABLE)


def test_residuals_that_are_recalled_are_those_of_the_point(used):
    """The iterations are those of the loop that evaluates them; regularisation counts too."""
    problem = bench._workloads.dense(64, np.random.default_rng(5), 50, 50, 10)
    data = Data(**problem.data)
    _, expected = approached(data)
    _, iterations, _ = used(data)
    np.testing.assert_array_equal(iterations, expected)


@pytest.mark.parametrize("absent", [False, True])
def test_what_is_shared_makes_no_difference(absent):
    """To the bit, also where one element lacks a row."""
    rng = np.random.default_rng(433)
    n, m, k, batch = 12, 10, 2, 7
    L, G, A, x = (rng.normal(size=s) for s in ((n, n), (m, n), (k, n), (batch, n)))
    h = x @ G.T + rng.random((batch, m))
    if absent:
        h[3, 4] = np.inf
    data = Data(L @ L.T + np.eye(n), rng.normal(size=(batch, n)), G, h, A, x @ A.T)
    own = data._replace(
        **{name: np.repeat(getattr(data, name)[None], batch, axis=0) for name in ("Q", "G", "A")}
    )
    shared, each = kktdiff.solve_qp(*data), kktdiff.solve_qp(*own)
    assert shared.solved.all()
    assert_same_bits(shared, each, (*Answer._fields, "iterations"))


def test_read_only_arrays_are_neither_refused_nor_copied(without):
    data = sparse("full", "all")
    frozen = Data(*(None if v is None else v.copy() for v in data))
    for array in frozen:
        if array is not None:
            array.flags.writeable = False
    for solution, plain in zip(
        without(lambda: kktdiff.solve_qp(*frozen)),
        without(lambda: kktdiff.solve_qp(*data)),
        strict=True,
    ):
        assert_same_bits(solution, plain, Answer._fields)
    qp = flat(frozen).qp
    assert np.shares_memory(qp.Q, frozen.Q)
    assert np.shares_memory(qp.G, frozen.G)


def test_a_Q_that_is_not_symmetric_counts_as_its_symmetric_part(without):
    data = sparse("full", "none")
    skew = np.triu(np.ones_like(data.Q), 1)
    for solution, plain in zip(
        without(lambda: kktdiff.solve_qp(*data._replace(Q=data.Q + skew - skew.T))),
        without(lambda: kktdiff.solve_qp(*data)),
        strict=True,
    ):
        assert_near(solution.x, plain.x, TIGHT_ANSWER)


def test_the_stages_of_a_call_are_told(repository):
    done = command(repository, "-m", "benchmarks.stages", "--workloads", "small", "--calls-only")
    assert done.returncode == 0, done.stderr
    rows = (line.rsplit(maxsplit=1) for line in done.stdout.strip().splitlines()[1:])
    found = {title.strip(): float(value) for title, value in rows}
    assert {"scaling", "compiled solve", "solve_qp, all of it", "vjp"} < set(found)
    assert min(found.values()) > 0
    assert found["iterations"] > 3
