"""Variables that equalities define, as modelling languages make them: no detour on the way."""

import numpy as np
import pytest

import kktdiff
from kktdiff import _algorithm as algorithm
from kktdiff import _condensed as condensed
from kktdiff import _ipm as ipm
from kktdiff._residuals import evaluate
from kktdiff._settings import CLOSE, HANDOVER, NEAR, Settings
from kktdiff.backends import NUMPY, compiled
from tests.families import least_squares
from tests.one_call import scaled, solved

TINY = 3e-4  # size of F from which rounding leaves too much even for the compiled polishing


def needs_compiled():
    """Skip where it is not there."""
    pytest.importorskip("numba")
    pytest.importorskip("threadpoolctl")


@pytest.mark.parametrize("n", [10, 20, 40])
def test_one_compiled_call_solves_them_all(n):
    """It gave up 13, 51 and 60 of 60 when it left at the first step that is not accurate."""
    needs_compiled()
    _, iterations = solved(least_squares(np.random.default_rng(910), 60, n=n))
    assert (iterations >= 0).all()


def test_the_array_code_comes_near_with_the_condensed_system():
    qp, scaling = scaled(least_squares(np.random.default_rng(911), 60))
    system, spent = condensed.system(NUMPY, separable=False), np.zeros(60, int)
    settings = Settings(HANDOVER, 60, None, exacting=True)
    with NUMPY.at(None):
        end = ipm.run(qp, scaling, ipm.start(qp, scaling, system), settings, system, spent)
    assert (evaluate(qp, end.best).merit < CLOSE).all()


def test_what_came_near_goes_on_from_there(monkeypatch):
    needs_compiled()
    monkeypatch.setattr(compiled, "_LOADED", [compiled._load()])
    data = least_squares(np.random.default_rng(912), 60, TINY)
    (point, *_), iterations = solved(data)
    near = iterations <= NEAR
    assert near.sum() >= 5
    qp, _ = scaled(data)
    left = evaluate(qp, type(ipm.origin(qp))(*point)).merit
    assert (left[near] < CLOSE).all()
    started = []
    monkeypatch.setattr(algorithm, "_started", _noting(algorithm._started, 20, started))
    solution = kktdiff.solve_qp(**data._asdict())
    assert sum(started) == (iterations == -1).sum()
    assert (solution.iterations[near] >= (NEAR - iterations)[near]).all()


def _noting(function, n, sizes):
    """`function`, which notes the number of elements; not those of nested problems."""

    def noted(part, *rest):
        if part.qp.sizes[0] == n:
            sizes.append(part.size)
        return function(part, *rest)

    return noted


def test_no_loop_runs_twice(monkeypatch):
    """What the one call gives up, be it infeasible, is left to the array code."""
    needs_compiled()
    module = compiled._load()
    monkeypatch.setattr(compiled, "_LOADED", [module])
    monkeypatch.setattr(module, "loop", lambda *_: pytest.fail("the loop alone once more"))
    Q, p, G = np.eye(2), np.zeros((3, 2)), np.array([[1.0, 0], [-1.0, 0]])
    h = np.array([[-1.0, -1.0], [1, 1], [2, 0]])
    solution = kktdiff.solve_qp(Q, p, G, h, on_failure="ignore")
    assert solution.solved.tolist() == [False, True, True]
    again = kktdiff.solve_qp(Q, p + 0.1, G, h, warm_start=solution, on_failure="ignore")
    assert again.solved.tolist() == [False, True, True]


@pytest.mark.parametrize("size", [1.0, TINY])
def test_answers_are_those_without_compiled_code(without, size):
    data = least_squares(np.random.default_rng(913), 20, size)
    solution, plain = without(lambda: kktdiff.solve_qp(**data._asdict()))
    assert solution.solved.all()
    np.testing.assert_allclose(solution.objective, plain.objective, rtol=1e-8)


@pytest.mark.parametrize("size", [1.0, TINY])
def test_an_element_has_the_bits_that_it_has_alone(size):
    data = least_squares(np.random.default_rng(914), 12, size)
    together = kktdiff.solve_qp(**data._asdict())
    for i in (0, 5, 11):
        rest = (v if v.ndim < 3 and v.shape == (20, 20) else v[i] for v in data if v is not None)
        alone = kktdiff.solve_qp(*rest)
        np.testing.assert_array_equal(alone.x, together.x[i])
        np.testing.assert_array_equal(alone.nu, together.nu[i])


def test_a_report_changes_no_bit():
    data = least_squares(np.random.default_rng(915), 12, TINY)
    quiet, told = kktdiff.solve_qp(**data._asdict()), []
    loud = kktdiff.solve_qp(**data._asdict(), verbose=told.append)
    assert told
    np.testing.assert_array_equal(quiet.x, loud.x)
