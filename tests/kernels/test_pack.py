"""Operations on packs and on doubles beside NumPy's, for each instruction set that runs here."""

import ctypes
import itertools
from decimal import Context, Decimal, localcontext

import numpy as np
import pytest

from tests.kernels.calls import TARGETS, compiled, pointer

OPERATIONS = (
    *("add", "subtract", "multiply", "divide", "fma", "sqrt", "abs", "min", "max", "round"),
    *("power_of_two", "select", "any", "all", "minus_zero"),
)
EDGES = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.49999999999999994, 2.0**51 + 0.5, 2.0**52 + 1]
EDGES += [-(2.0**51) - 0.5, 1e300, -1e300, 5e-324, 2.2e-308, np.inf, -np.inf, np.nan]


@pytest.fixture(scope="module", params=TARGETS)
def library(request, native, repository, tmp_path_factory):
    """The operations, compiled for an instruction set."""
    folder = tmp_path_factory.mktemp("pack")
    return compiled(repository, folder, native, request.param, "pack.cpp")


def apply(library, form, operation, a, b=None, c=None):
    a, b, c = (np.ascontiguousarray(a if v is None else v, dtype=float) for v in (a, b, c))
    out = np.full(a.shape, 7.0)
    count = ctypes.c_long(a.size)
    arrays = map(pointer, (a, b, c, out))
    getattr(library, form)(OPERATIONS.index(operation), count, *arrays)
    return out


def assert_same(found, expected):
    """The same bits, but that any NaN is as good as another."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    good = ~np.isnan(expected)
    assert np.array_equal(found[good].view(np.int64), expected[good].view(np.int64))


def samples(operands):
    """Each combination of edge cases, then random numbers of all sizes; no multiple of lanes."""
    rng = np.random.default_rng(operands)
    edges = np.array(list(itertools.product(EDGES, repeat=operands))).T
    drawn = rng.normal(size=(operands, 1001)) * 2.0 ** rng.integers(-300, 300, (operands, 1001))
    return np.hstack([edges, drawn])


EXPECTED = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "round": np.round,
    "min": lambda a, b: np.where(a < b, a, b),
    "max": lambda a, b: np.where(a > b, a, b),
    "select": lambda a, b, c: np.where(a < b, b, c),
    "minus_zero": lambda a: np.full(a.shape, -0.0),
}


@pytest.mark.parametrize("form", ["packed", "scalar"])
@pytest.mark.parametrize("operation", EXPECTED)
def test_operations_are_numpys(library, form, operation):
    operands = {"select": 3, "sqrt": 1, "abs": 1, "round": 1, "minus_zero": 1}.get(operation, 2)
    values = samples(operands)
    with np.errstate(all="ignore"):
        expected = EXPECTED[operation](*values)
    assert_same(apply(library, form, operation, *values), expected)


@pytest.mark.parametrize("form", ["packed", "scalar"])
def test_fma_rounds_once_where_the_instruction_set_has_it(library, form):
    tiny = 2.0**-30
    a = np.full(11, 1 + tiny)
    once, twice = tiny**2, 0.0  # of (1 + tiny)^2 - (1 + 2 tiny)
    found = apply(library, form, "fma", a, a, -(1 + 2 * tiny) * np.ones(11))
    assert_same(found, np.full(11, once if library.has_fma() else twice))


@pytest.mark.parametrize("form", ["packed", "scalar"])
def test_any_and_all_lanes(library, form):
    lanes = library.lanes() if form == "packed" else 1
    for some in itertools.product([0.0, 1.0], repeat=lanes):
        a, b = np.zeros(lanes), np.array(some)
        assert_same(apply(library, form, "any", a, b), np.full(lanes, float(any(some))))
        assert_same(apply(library, form, "all", a, b), np.full(lanes, float(all(some))))


@pytest.mark.parametrize("form", ["packed", "scalar"])
def test_power_of_two_is_numpys(library, form):
    """At random, at every power of two, and on both sides of where it rounds the other way."""
    rng = np.random.default_rng(5)
    v = np.exp2(rng.uniform(-1074, 1023.4, 20000))
    powers = 2.0 ** np.arange(-1074, 1024)
    near = np.sqrt(2) * 2.0 ** np.arange(-1020, 1023)
    v = np.concatenate([v, powers, np.nextafter(powers, 0)[1:], near * (1 - 1e-12)])
    v = np.concatenate([v, near * (1 + 1e-12), [np.nextafter(2.0**-1022, 0), 3e-324]])
    assert_same(apply(library, form, "power_of_two", v), 2.0 ** np.round(np.log2(v)))


@pytest.mark.parametrize("form", ["packed", "scalar"])
def test_power_of_two_takes_the_even_one_where_log2_is_halfway_to_rounding(library, form):
    """The numbers next to sqrt(2) 2^e whose log2 rounds to e + 1/2, by 60 decimal digits."""
    with localcontext(Context(prec=60)):
        middle, log_two = int(2**52 * Decimal(2).sqrt()), Decimal(2).ln()
        for e in (1, 2, 5, 100, -100, 1000, -1000, 1022):
            spread = abs(e) // 2 + 3
            mantissas = range(middle - spread, middle + spread + 1)
            logs = [float(e - 52 + Decimal(m).ln() / log_two) for m in mantissas]
            v = np.array(mantissas) * 2.0 ** (e - 52)
            assert_same(apply(library, form, "power_of_two", v), 2.0 ** np.round(logs))


def test_loading_and_storing_transposes(library):
    lanes, n = library.lanes(), 5
    given = np.random.default_rng(6).normal(size=(lanes, n))
    middle, out = np.empty((n, lanes)), np.empty((lanes, n))
    library.transposed(n, pointer(given), pointer(middle), pointer(out))
    assert np.array_equal(middle, given.T)
    assert np.array_equal(out, given)
