"""A batch of five with one bad element: checks of the element that fails and of those beside it."""

from types import SimpleNamespace

import numpy as np

import kktdiff
from tests.checks import answer_of, assert_same_bits, element, grads_of
from tests.problems import FULL, Answer, Data, known, tangent

OUTPUTS = (
    *Answer._fields,
    "status",
    "solved",
    "iterations",
    "primal_residual",
    "dual_residual",
    "duality_gap",
)
BAD = 2  # the element that the tests spoil


def solve(data, **options):
    """A solve that is silent about its failures."""
    return kktdiff.solve_qp(*data, on_failure="ignore", **options)


def batch_of_five(seed):
    """Five problems with every block, each with arrays of its own that a test may write."""
    return known(np.random.default_rng(seed), FULL, batch=(5,)).data


def weights_for(solution, seed=60):
    """Cotangents of every output, element by element the same whatever the batch."""
    rng = np.random.default_rng(seed)
    shapes = {name: np.shape(getattr(solution, name)) for name in Answer._fields}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def everything(data, **options):
    """The outputs and the gradients of a solve."""
    solution = solve(data, **options)
    return solution, grads_of(solution.vjp(**weights_for(solution)))


def assert_same(left, right):
    """Two results of `everything` have the same bits."""
    assert_same_bits(left[0], right[0], OUTPUTS)
    assert_same_bits(left[1], right[1], Data._fields)


def assert_isolated(data, bad=BAD):
    """Every other element has the bits, values and gradients, of the batch without `bad`."""
    together = solve(data)
    weights = weights_for(together)
    others = np.delete(np.arange(len(data.p)), bad)
    alone = solve(element(data, others))
    assert np.all(alone.solved), "the other elements must be such as can be solved"
    for name in OUTPUTS:
        found, expected = getattr(together, name)[others], getattr(alone, name)
        np.testing.assert_array_equal(found, expected, err_msg=name)
    grads = element(grads_of(together.vjp(**weights)), others)
    kept = {name: weight[others] for name, weight in weights.items()}
    assert_same_bits(grads, grads_of(alone.vjp(**kept)), Data._fields)


def assert_failed(data, status, bad=BAD):
    """Element `bad` has this status, x = NaN, and gradients and tangents of exactly 0."""
    solution = solve(data)
    assert kktdiff.Status(int(solution.status[bad])) == status
    assert not solution.solved[bad]
    assert np.all(np.isnan(solution.x[bad]))
    for mode in ("exact", "smoothed", "least_squares"):
        grads = grads_of(solution.vjp(**weights_for(solution), gradient=mode))
        for name, gradient in grads._asdict().items():
            if gradient is not None:
                np.testing.assert_array_equal(gradient[bad], 0.0, err_msg=f"{mode} {name}")
    moved = answer_of(solution.jvp(**tangent(np.random.default_rng(61), data)))
    for name, value in moved._asdict().items():
        np.testing.assert_array_equal(value[bad], 0.0, err_msg=name)


def assert_no_iterations(data, bad=BAD):
    """It was seen before any iteration."""
    assert solve(data).iterations[bad] == 0


def proof_of(data, index=BAD):
    """An element of the data, and its certificate."""
    certificate = solve(data).certificate()
    names = ("x", "lam", "nu", "lam_lb", "lam_ub")
    fields = {name: getattr(certificate, name)[index] for name in names}
    return element(data, index), SimpleNamespace(**fields)
