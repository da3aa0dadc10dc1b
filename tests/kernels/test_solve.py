"""The kernel `solve` beside the array code and beside known answers."""

from itertools import product

import numpy as np
import pytest

import kktdiff
from kktdiff import kernels
from kktdiff.kernels import method
from kktdiff.kernels.results import kept_parts
from tests.checks import assert_answer, assert_near, assert_same_bits
from tests.kernels.calls import flat, point_of, problem_of, replaced, using
from tests.problems import FULL, Answer, Data, Sizes, known, workload
from tests.robustness import fuzz
from tests.robustness.kind_checks import check
from tests.robustness.kinds import KINDS
from tests.tolerances import ANSWER, SINGLE_ANSWER, TIGHT_ANSWER

pytestmark = pytest.mark.usefixtures("native")

FIELDS = (*Answer._fields, "status", "iterations")
CROSSING = "meeting_rows"  # they may miss each other by rounding: a point to be judged
LEFT = 3  # elements per thousand that polishing may not reach


def solve(data, **options):
    return kktdiff.solve_qp(*data, on_failure="ignore", **options)


def solve_both(data, **options):
    """Solve with the kernels and by the array code."""
    with using("off"):
        expected = solve(data, **options)
    return solve(data, **options), expected


def assert_as_near(found, expected):
    assert np.array_equal(found.status, expected.status)
    assert np.abs(found.iterations - expected.iterations).max(initial=0) <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind):
    """Multipliers that are not unique, where check allows for that, may differ."""
    for seed in range(3):
        data, reference = fuzz.draw(kind, seed)
        found, expected = solve_both(data)
        faults = check(data, reference, found)
        assert not any(mask.any() for mask in faults.values()), faults
        assert_as_near(found, expected)
        off = np.abs(found.x - expected.x) / reference.unit / reference.x_tol[:, None]
        assert np.all(off <= 2)
        off = np.abs(found.objective - expected.objective) / reference.size
        assert np.all(off <= ANSWER + 2 * reference.slack)


@pytest.mark.parametrize(("kind", "seed"), [("diagonal", 20), ("low_rank", 44)])
def test_what_is_blocked_is_centred_anew(kind, seed):
    """Without that, one element of each of these takes 3 or 4 iterations more."""
    assert_as_near(*solve_both(fuzz.draw(kind, seed)[0]))


def statuses_of_kernels(solving):
    """Return the status that the kernel gave each element whose data it took for sound."""
    found, call = [], kernels.call

    def recording(name, sizes, options, arrays, threads=1):
        worked = call(name, sizes, options, arrays, threads)
        if name == "solve":
            found.append(arrays[len(arrays) - 5])
        return worked

    with replaced(recording):
        solving()
    statuses = np.concatenate(found) if found else np.zeros(0, int)
    return statuses[statuses != method.UNSOUND]


def test_few_elements_of_the_kinds_are_left_to_the_array_code():
    left = count = 0
    for kind in set(KINDS) - {CROSSING}:
        statuses = statuses_of_kernels(lambda kind=kind: fuzz.run(100, 11, (kind,)))
        own = int(np.sum(statuses != kktdiff.Status.SOLVED))
        assert own <= 1, kind
        left, count = left + own, count + len(statuses)
    assert count > 1900
    assert left <= LEFT * count / 1000


def test_a_problem_on_which_the_plain_predictor_corrector_cycles():
    """The guard finds a way out, and does not leave it to the array code."""
    data = Data(
        np.eye(1)[None], np.zeros((1, 1)), np.array([[[1.2], [-0.1], [-0.0006]]]), np.ones((1, 3))
    )
    out = method.solve(flat(data), None, 100)
    assert out.status == kktdiff.Status.SOLVED
    assert out.iterations <= 15


def test_what_makes_no_progress_ends_early():
    """Rows that miss each other by rounding, which no stage can meet."""
    for seed in range(3):
        out = method.solve(flat(fuzz.draw(CROSSING, seed)[0]), None, 1000)
        assert np.any(out.status != kktdiff.Status.SOLVED)
        assert out.iterations.max() < 100


@pytest.mark.parametrize("n", range(1, 13))
def test_every_remainder_of_the_register_tiles(n):
    """Sizes up to m = 20 and k = 4, an odd number of elements: the known answer, to rounding."""
    rng = np.random.default_rng(n)
    for m in (0, 1, 2, 3, 4, 5, 6, 7, 9, 20):
        k = int(rng.integers(0, min(n, 5)))
        sizes = Sizes(n, m, k, *(bool(side) for side in rng.integers(0, 2, 2)))
        if not m and not (sizes.lower or sizes.upper):
            sizes = sizes._replace(lower=True)
        problem = known(rng, sizes, (5,))
        found, expected = solve_both(problem.data)
        assert_as_near(found, expected)
        assert_answer(found, problem.answer, TIGHT_ANSWER)
        assert_answer(found, expected, TIGHT_ANSWER)
        assert found.primal_residual.max() < TIGHT_ANSWER
        assert max(found.dual_residual.max(), found.duality_gap.max()) < TIGHT_ANSWER


@pytest.mark.parametrize("k", [0, 1, 3])
@pytest.mark.parametrize("n", [4, 7, 90])
def test_equations_alone_take_no_iteration(n, k):
    rng = np.random.default_rng([n, k])
    L, A = rng.normal(size=(9, n, n)), rng.normal(size=(9, k, n))
    rows = (A, rng.normal(size=(9, k))) if k else (None, None)
    data = (L @ L.mT + np.eye(n), rng.normal(size=(9, n)), None, None, *rows)
    assert np.array_equal(statuses_of_kernels(lambda: solve(data)), np.zeros(9))
    found, expected = solve_both(data)
    assert not found.iterations.any()
    assert_near(found.x, expected.x, ANSWER, "x")
    assert_near(found.nu, expected.nu, ANSWER, "nu")
    grads = found.vjp(x=np.ones((9, n))), expected.vjp(x=np.ones((9, n)))
    assert_near(grads[0].Q, grads[1].Q, ANSWER, "Q")


def test_what_all_elements_share_is_factored_once_by_the_array_code():
    p = np.random.default_rng(8).normal(size=(9, 4))
    assert not statuses_of_kernels(lambda: solve((np.eye(4), p))).size


@pytest.mark.parametrize("sizes", [(100, 100, 0), (60, 30, 20), (97, 3, 50)])
def test_problems_too_large_for_lanes(sizes):
    problem = known(np.random.default_rng(5), Sizes(*sizes, True, False), (3,))
    found, expected = solve_both(problem.data)
    assert_as_near(found, expected)
    assert_answer(found, problem.answer, TIGHT_ANSWER)


def test_the_workload_of_the_paper():
    data = workload(np.random.default_rng(6), 3, n=50, m=60)
    found, expected = solve_both(data)
    assert_as_near(found, expected)
    assert_answer(found, expected, TIGHT_ANSWER)


@pytest.mark.parametrize("shared", [("Q",), ("G",), ("A",), ("Q", "G"), ("Q", "G", "A")])
def test_shared_matrices(shared):
    problem = known(np.random.default_rng(7), FULL, (11,), shared=shared)
    qp = flat(problem.data)
    assert [getattr(qp, name).shape[0] for name in shared] == [1] * len(shared)
    found, expected = solve_both(problem.data)
    assert_as_near(found, expected)
    assert_answer(found, problem.answer, TIGHT_ANSWER)


def with_bounds(rng, absent):
    """Bounds that are absent here and there, and limits of the first variable that meet at x*."""
    data, answer = known(rng, FULL, (21,))
    tight = (answer.lam_lb > 0) | (answer.lam_ub > 0)
    lb, ub = (
        np.where(~tight & (rng.random(tight.shape) < absent), v, w)
        for v, w in ((-np.inf, data.lb), (np.inf, data.ub))
    )
    lb[:, 0] = ub[:, 0] = answer.x[:, 0]
    return data._replace(lb=lb, ub=ub), answer.x


@pytest.mark.parametrize("absent", [0.0, 0.4, 1.0])
def test_absent_bounds_and_fixed_variables(absent):
    data, x = with_bounds(np.random.default_rng(8), absent)
    found, expected = solve_both(data)
    assert_as_near(found, expected)
    assert_answer(found, expected, TIGHT_ANSWER)
    assert_near(found.x, x, TIGHT_ANSWER)
    assert np.array_equal(found.x[:, 0], data.lb[:, 0])


def test_rows_that_touch_fixed_variables_only():
    """Their slack is a constant; they have no multiplier, even if it is 0."""
    data, x = with_bounds(np.random.default_rng(9), 0.4)
    G, h = np.zeros((21, 2, 6)), np.zeros((21, 2))
    G[:, :, 0] = 1.0, -2.0
    h[:] = G[:, :, 0] * data.lb[:, :1]
    h[3:, 0] += 0.25
    data = data._replace(
        G=np.concatenate([data.G, G], axis=1), h=np.concatenate([data.h, h], axis=1)
    )
    found, expected = solve_both(data)
    assert_as_near(found, expected)
    assert_answer(found, expected, TIGHT_ANSWER)
    assert_near(found.x, x, TIGHT_ANSWER)
    assert_near(found.s[3:, -2], 0.25 + np.zeros(18), TIGHT_ANSWER)
    assert not found.lam[:, -2:].any()


def test_warm_start():
    """From the solution itself, from one nearby, and from points that are no help."""
    rng = np.random.default_rng(10)
    problem = known(rng, FULL, (13,))
    data, first = problem.data, solve(problem.data)
    again = solve(data, warm_start=first)
    assert not again.iterations.any()
    assert_answer(again, problem.answer, TIGHT_ANSWER)
    moved = data._replace(p=data.p + 1e-3 * rng.normal(size=data.p.shape))
    near, expected = solve_both(moved, warm_start=first)
    assert_as_near(near, expected)
    assert np.sum(near.iterations == 0) >= 10
    assert_answer(near, solve(moved), TIGHT_ANSWER)
    far = data._replace(p=-data.p[::-1])
    other, expected = solve_both(far, warm_start=first)
    assert_as_near(other, expected)
    assert_answer(other, solve(far), TIGHT_ANSWER)


def test_a_warm_start_that_is_not_finite_is_ignored():
    qp = flat(known(np.random.default_rng(11), FULL, (9,)).data)
    cold = method.solve(qp, None, 100)
    point = method.Point(*(np.full(v.shape, np.nan) for v in point_of(qp, cold)))
    assert_same_bits(method.solve(qp, point, 100), cold, cold._fields)


@pytest.mark.parametrize("rank", [None, 3])
def test_float32(rank):
    data = known(np.random.default_rng(12), FULL._replace(rank=rank), (9,)).data
    data = type(data)(*(v.astype(np.float32) for v in data))
    found, expected = solve_both(data)
    assert found.x.dtype == np.float32
    assert_as_near(found, expected)
    assert_answer(found, expected, SINGLE_ANSWER, [f for f in Answer._fields if f != "objective"])


@pytest.mark.parametrize("most", [0, 1, 3, 5, 8])
def test_few_iterations(most):
    """What stops early is left to the array code, whose answer it is then."""
    data = known(np.random.default_rng(13), FULL, (17,)).data
    found, expected = solve_both(data, max_iter=most)
    assert_as_near(found, expected)
    assert found.iterations.max() <= most
    assert_near(found.x, expected.x, TIGHT_ANSWER)


@pytest.mark.parametrize("most", [2**31, 10**30])
def test_any_number_of_iterations_may_be_allowed(most):
    data = known(np.random.default_rng(14), FULL, (3,)).data
    rows = []
    assert_same_bits(solve(data, max_iter=most, verbose=rows.append), solve(data), FIELDS)
    assert rows


def test_an_empty_batch():
    qp = flat(known(np.random.default_rng(15), FULL, (2,)).data).take(np.arange(0))
    out = method.solve(qp, None, 100, traced=True)
    assert out.x.shape == (0, 6)
    assert out.trace.shape[0] == 0


def test_what_is_returned_where_solved():
    """Complementary, in the caller's units: slacks that are limits less rows, 0 on active ones."""
    rng = np.random.default_rng(16)
    for lower, upper in product((False, True), repeat=2):
        problem = known(rng, FULL._replace(lower=lower, upper=upper), (9,))
        qp = problem_of(problem.data).qp
        data = flat(problem.data)
        out = method.solve(data, None, 100)
        kept = kept_parts(data, out.kept)
        assert not out.status.any()
        room = qp.d - qp.C(kept.x[..., None])[..., 0]
        assert_near(kept.s, np.maximum(room, 0), TIGHT_ANSWER)
        assert not kept.s[out.active].any()
        assert not kept.lam[~out.active].any()
        assert np.array_equal(np.linalg.norm(kept.y, axis=1), np.zeros(9))
        powers = kept.scaling[:, :-1]
        assert np.array_equal(np.exp2(np.round(np.log2(powers))), powers)
        assert powers.shape[1] == sum(qp.sizes) + 1
        assert_near(out.numbers[:, 0], problem.answer.objective, TIGHT_ANSWER)


def test_a_warm_start_makes_no_copy_of_the_problem_for_the_array_code():
    data = known(np.random.default_rng(74), FULL).data
    sol = kktdiff.solve_qp(*data)
    again = kktdiff.solve_qp(*data, warm_start=sol)
    assert again.iterations == 0
    assert "qp" not in vars(again._engine.problem)
