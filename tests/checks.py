"""Comparisons that raise. Nothing here returns a verdict that a test could drop."""

import numpy as np

from benchmarks.problem_sets import Problem, quality
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
    return quality(Problem("", data, 0.0, np.nan), solution)[:3]


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


def assert_adjoint(solution, direction, cotangents, tol, **options):
    """<g, J t> = <J'g, t>, relative to the norms: the products themselves may cancel."""
    moved, grads = solution.jvp(**direction, **options), solution.vjp(**cotangents, **options)
    forward = sum(np.sum(g * getattr(moved, name)) for name, g in cotangents.items())
    backward = sum(np.sum(t * getattr(grads, name)) for name, t in direction.items())
    size = _norm(cotangents.values()) * _norm(getattr(moved, name) for name in cotangents)
    assert np.isfinite(size)
    assert abs(forward - backward) <= tol * size


def _norm(arrays):
    return np.sqrt(sum(np.sum(np.square(a)) for a in arrays))


def assert_one_sentence(found, *facts, code=2):
    """A command's exit status, output and error say what is wrong in one line, and no more."""
    status, out, error = found
    assert (status, out) == (code, "")
    assert len(error.splitlines()) == 1, error
    assert "Traceback" not in error
    for fact in facts:
        assert str(fact) in error


def assert_farkas(data, certificate, tol):
    """One element's multipliers prove its constraints impossible; x is 0."""
    left, size, height = 0.0, 0.0, 0.0
    for matrix, limit, multiplier in (
        (data.G, data.h, certificate.lam),
        (data.A, data.b, certificate.nu),
        (-np.eye(data.p.size), None if data.lb is None else -data.lb, certificate.lam_lb),
        (np.eye(data.p.size), data.ub, certificate.lam_ub),
    ):
        if limit is None:
            np.testing.assert_array_equal(multiplier, np.zeros(multiplier.shape))
            continue
        used = multiplier != 0.0  # 0 times an infinite limit is 0
        left = left + matrix.T @ multiplier
        size = size + np.abs(matrix).T @ np.abs(multiplier)
        height = height + limit[used] @ multiplier[used]
    for name in ("lam", "lam_lb", "lam_ub"):
        assert np.all(getattr(certificate, name) >= 0.0), name
    assert_near(left, np.zeros(data.p.shape), tol * (1 + np.max(size)), "G'lam + A'nu + bounds'")
    assert_near(height, -1.0, tol, "h'lam + b'nu + bounds'")
    np.testing.assert_array_equal(certificate.x, np.zeros(data.p.shape))


def assert_ray(data, certificate, tol):
    """One element's objective falls along x for ever; the multipliers are 0."""
    x = certificate.x
    tol = tol * (1 + np.max(np.abs(x)))
    assert_near(data.p @ x, -1.0, tol, "p'x")
    assert_near((data.Q + data.Q.T) @ x / 2, np.zeros(x.shape), tol, "Qx")
    if data.G is not None:
        assert np.all((data.G @ x)[data.h < 1e20] <= tol), "Gx"
    if data.A is not None:
        assert_near(data.A @ x, np.zeros(data.b.shape), tol, "Ax")
    for bound, sign in ((data.lb, -1.0), (data.ub, 1.0)):
        if bound is not None:
            assert np.all(sign * x[np.abs(bound) < 1e20] <= tol), "a way to a finite bound"
    for name in ("lam", "nu", "lam_lb", "lam_ub"):
        value = getattr(certificate, name)
        np.testing.assert_array_equal(value, np.zeros(value.shape), err_msg=name)
