"""An element's bits depend on nothing but itself, and on its instruction set."""

import numpy as np
import pytest

import kktdiff
from kktdiff import kernels
from kktdiff._records import Rhs
from kktdiff.kernels import method
from tests.checks import assert_same_bits
from tests.kernels.calls import LANES, flat, rows_of, using
from tests.problems import FULL, Answer, Data, Sizes, known
from tests.robustness import fuzz
from tests.unsolvable import contradictory, stacked, unbounded

SMALL = Sizes(n=5, m=6, k=1, lower=True, upper=True)
LARGE = Sizes(n=100, m=40, k=3, lower=True)  # one at a time, not in lanes
FIELDS = (*Answer._fields, "status", "iterations")


@pytest.fixture(params=LANES)
def variant(request, native):
    """Each instruction set that runs here, in use."""
    if request.param not in native.variants():
        pytest.skip(f"{request.param} does not run here")
    with using(request.param):
        yield request.param


def nonconvex(data):
    Q = data.Q.copy()
    Q[..., 0, 0] -= 10
    return Q


def spoiled(rng, how):
    """One element of size SMALL that has no solution, or that is no problem at all."""
    data = known(rng, SMALL, (1,)).data
    if how == "infeasible":
        return stacked(contradictory, rng, SMALL, (1,))
    if how == "unbounded":
        return stacked(unbounded, rng, SMALL, (1,))
    if how == "nonconvex":
        return data._replace(Q=nonconvex(data))
    name, value = how
    array = getattr(data, name).copy()
    array.reshape(-1)[-1] = value
    if name == "Q":
        array = (array + array.mT) / 2
    return data._replace(**{name: array})


def joined(*parts):
    return Data(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def some(data, index):
    return Data(*(None if v is None else v[index] for v in data))


def gradients(data):
    """Solution and gradients of a batch; failures are data."""
    solution = kktdiff.solve_qp(*data, on_failure="ignore")
    rng = np.random.default_rng(0)
    cotangents = {
        name: np.broadcast_to(rng.normal(size=getattr(solution, name).shape[1:]), v.shape)
        for name, v in ((name, getattr(solution, name)) for name in Answer._fields)
    }
    return solution, solution.vjp(**cotangents)


BAD = [
    *("infeasible", "unbounded", "nonconvex"),
    *((name, value) for name in Data._fields for value in (np.nan, 1e300)),
    *((name, np.inf) for name in ("Q", "p", "G", "A", "b")),
]


@pytest.mark.parametrize("how", BAD, ids=str)
def test_a_bad_element_changes_no_bit_of_the_others(variant, how):
    rng = np.random.default_rng(40)
    good = known(rng, SMALL, (7,)).data
    expected, expected_grads = gradients(good)
    bad = spoiled(rng, how)
    for place in (0, 3, 7):
        index = np.delete(np.arange(8), place)
        found, grads = gradients(joined(some(good, slice(place)), bad, some(good, slice(place, 7))))
        for name in FIELDS:
            np.testing.assert_array_equal(
                getattr(found, name)[index], getattr(expected, name), err_msg=name
            )
        for name in Data._fields:
            own = getattr(grads, name)
            np.testing.assert_array_equal(own[index], getattr(expected_grads, name), err_msg=name)


@pytest.mark.parametrize("how", BAD, ids=str)
def test_the_kernel_itself_keeps_a_bad_element_apart(variant, how):
    """As it gets what is checked before, too: NaN and infinities."""
    rng = np.random.default_rng(41)
    good = known(rng, SMALL, (7,)).data
    expected = method.solve(flat(good), None, 100)
    assert not expected.status.any()
    with np.errstate(all="ignore"):
        qp = flat(joined(some(good, slice(3)), spoiled(rng, how), some(good, slice(3, 7))))
        out = method.solve(qp, None, 100)
    assert_same_bits(out.take(np.delete(np.arange(8), 3)), expected, expected._fields)
    if how in ("infeasible", "unbounded", "nonconvex") or not np.isfinite(how[1]):
        assert out.status[3] != kktdiff.Status.SOLVED


@pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["lanes", "large"])
def test_order_and_size_of_the_batch(variant, sizes):
    lanes = LANES[variant]
    counts = (1, lanes - 1, lanes, lanes + 1, 2 * lanes + 1)
    qp = flat(known(np.random.default_rng(42), sizes, (2 * lanes + 1,)).data)
    whole = method.solve(qp, None, 100)
    for count in counts:
        for index in (np.arange(count), np.arange(count)[::-1] + qp.length - count):
            found = method.solve(qp.take(index), None, 100).take(np.arange(count))
            assert_same_bits(found, whole.take(index), whole._fields)


def test_a_thousand_elements_in_any_order(variant):
    qp = flat(known(np.random.default_rng(43), SMALL, (1000,)).data)
    whole, order = method.solve(qp, None, 100), np.random.default_rng(44).permutation(1000)
    found = method.solve(qp.take(order), None, 100)
    assert_same_bits(found, whole.take(order), whole._fields)
    assert_same_bits(
        method.solve(qp.take(order[:1]), None, 100),
        whole.take(order[:1]),
        ("x", "s", "lam", "nu", "numbers", "status", "iterations"),
    )


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_elements_of_a_kind_one_by_one(kind):
    """Whatever the others' borders, refinements and stages are."""
    for seed in range(2):
        qp = flat(fuzz.draw(kind, 200 + seed)[0])
        if not method.supports(qp):
            continue
        whole = method.solve(qp, None, 100)
        for i in range(qp.length):
            one, expected = method.solve(qp.take(np.array([i])), None, 100), whole.take([i])
            assert_same_bits(one, expected, ("status", "iterations"))
            if not one.status:  # else there is nothing in the other fields
                assert_same_bits(one, expected, one._fields)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_number_of_threads(monkeypatch, threads):
    qp = flat(known(np.random.default_rng(45), SMALL, (500,)).data)
    rng = np.random.default_rng(46)
    rhs = Rhs(*(rng.normal(size=(500, size, 3)) for size in (5, rows_of(qp), 1)))

    def both(count):
        monkeypatch.setattr(kernels, "threads", lambda seconds: count)
        out = method.solve(qp, None, 100)
        return out, method.derive(qp, out.kept, out.active, rhs, 1e-16)

    (one, derived), (more, again) = both(1), both(threads)
    assert_same_bits(more, one, one._fields)
    assert_same_bits(again[0], derived[0], Rhs._fields)
    assert np.array_equal(again[1], derived[1])


@pytest.mark.parametrize("seed", range(3))
def test_every_instruction_set_gives_the_same_statuses(native, seed):
    for kind in fuzz.KINDS:
        data, _ = fuzz.draw(kind, 100 + seed)
        found = {}
        for variant in native.variants():
            with using(variant):
                found[variant] = fuzz.solve(data)
        first, *others = found.values()
        for other in others:
            assert np.array_equal(other.status, first.status), kind


def test_instruction_sets_with_fma_give_the_same_bits_in_lanes(native):
    if "avx512" not in native.variants():
        pytest.skip("there is one with fma at most")
    qp = flat(known(np.random.default_rng(47), FULL, (20,)).data)
    found = []
    for variant in ("avx2", "avx512"):
        with using(variant):
            found.append(method.solve(qp, None, 100))
    assert_same_bits(*found, found[0]._fields)
