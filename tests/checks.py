"""Comparisons that raise. Nothing here returns a verdict that a test could drop."""

import numpy as np

from tests.problems import Answer, Data


def assert_near(actual, expected, tol, what=""):
    """Same shape, all finite, and the largest error at most tol * (1 + largest expected)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    assert np.all(np.isfinite(actual)), f"{what} is not finite: {actual}"
    bound = tol * (1.0 + np.max(np.abs(expected), initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=bound, err_msg=what)


def assert_answer(solution, answer, tol, names=Answer._fields):
    """Every named field of the solution is near the known answer."""
    for name in names:
        assert_near(getattr(solution, name), getattr(answer, name), tol, name)


def assert_same_bits(left, right, names):
    """Equal bit for bit (NaN equals NaN), field by field; None only where both are None."""
    for name in names:
        a, b = getattr(left, name), getattr(right, name)
        assert (a is None) == (b is None), f"{name}: {a!r} against {b!r}"
        if a is not None:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=name)


def residuals(data, solution):
    """(primal, dual, gap) of one element, recomputed from its arrays; unscaled, absolute."""
    x = solution.x
    primal, support, dual = [0.0], 0.0, data.Q @ x / 2 + data.Q.T @ x / 2 + data.p
    if data.G is not None:
        rows = np.isfinite(data.h) & (np.abs(data.h) < 1e20)
        primal.append(np.max((data.G @ x - data.h)[rows], initial=0.0))
        dual = dual + data.G.T @ solution.lam
        support += solution.lam[rows] @ data.h[rows]
    if data.A is not None:
        primal.append(np.max(np.abs(data.A @ x - data.b), initial=0.0))
        dual = dual + data.A.T @ solution.nu
        support += solution.nu @ data.b
    for bound, multiplier, sign in (
        (data.lb, solution.lam_lb, -1.0),
        (data.ub, solution.lam_ub, 1.0),
    ):
        if bound is not None:
            rows = np.isfinite(bound) & (np.abs(bound) < 1e20)
            primal.append(np.max(sign * (x - bound)[rows], initial=0.0))
            dual = dual + sign * multiplier
            support += sign * multiplier[rows] @ bound[rows]
    gap = abs(x @ data.Q @ x + data.p @ x + support)
    return max(primal), np.max(np.abs(dual)), gap


def element(record, index):
    """One element of a record of arrays, every array carrying the whole batch."""
    return type(record)(*(None if a is None else a[index] for a in record))


def answer_of(solution, namespace=None):
    """The solution's (or its tangents') float fields as NumPy arrays."""
    convert = np.asarray if namespace is None else namespace.to_numpy
    return Answer(*(convert(getattr(solution, name)) for name in Answer._fields))


def grads_of(grads, namespace=None):
    """The gradients as NumPy arrays, None kept."""
    convert = np.asarray if namespace is None else namespace.to_numpy
    fields = (getattr(grads, name) for name in Data._fields)
    return Data(*(None if g is None else convert(g) for g in fields))


def assert_finite(grads):
    """Every gradient that is there is free of NaN and infinities."""
    for name, gradient in grads_of(grads)._asdict().items():
        assert gradient is None or np.all(np.isfinite(gradient)), f"{name}: {gradient}"


def assert_one_sentence(found, *facts, code=2):
    """A command's exit status, output and error say what is wrong in one line, and no more."""
    status, out, error = found
    assert (status, out) == (code, "")
    assert len(error.splitlines()) == 1, error
    assert "Traceback" not in error
    for fact in facts:
        assert str(fact) in error
