"""Points of the central path by the kernels, and the derivatives there, beside the array code."""

import numpy as np
import pytest

import kktdiff
from kktdiff import kernels
from kktdiff._sensitivity import central_path
from tests.checks import assert_near, element
from tests.kernels.calls import LANES, using
from tests.problems import FULL, Sizes, known
from tests.tolerances import DENSE_REFERENCE

pytestmark = pytest.mark.usefixtures("native")

PATH = {"gradient": "smoothed", "smoothing": 1e-3}
OUTPUTS = ("x", "s", "lam", "nu", "lam_lb", "lam_ub", "objective")
CASES = {
    "everything": FULL,
    "rows": Sizes(3, 9, 0),
    "box": Sizes(12, 0, 0, True, True),
    "equations": Sizes(5, 0, 2),
    "too large for lanes": Sizes(120, 30, 5, upper=True),
}


def problem(sizes, batch=5):
    """Draw problems; where there are both bounds, they fix a variable of each."""
    data, answer = known(np.random.default_rng(70), sizes, (batch,))
    if data.lb is not None and data.ub is not None:
        data.ub[:, 0] = data.lb[:, 0] = answer.x[:, 0]
    return data


def named(record):
    """Return the arrays of a record, or of a dataclass, by their names."""
    fields = record._asdict() if isinstance(record, tuple) else vars(record)
    return {name: v for name, v in fields.items() if v is not None}


def both_ways(data, variant):
    """Return the gradients of all outputs and the tangents of all inputs."""
    rng = np.random.default_rng(71)
    with using(variant):
        sol = kktdiff.solve_qp(*data)
        cotangents = {name: rng.normal(size=getattr(sol, name).shape) for name in OUTPUTS}
        tangents = {name: rng.normal(size=v.shape) for name, v in named(data).items()}
        moved = {f"d{name}": v for name, v in named(sol.jvp(**tangents, **PATH)).items()}
        return named(sol.vjp(**cotangents, **PATH)) | moved


@pytest.mark.parametrize("case", ["everything", "rows", "box"])
def test_with_soft_rows(case):
    data = problem(CASES[case])
    price = {name: 50.0 for name in ("h", "ub") if getattr(data, name) is not None}
    weights, found = np.random.default_rng(72).normal(size=data.p.shape), []
    for variant in (kernels.variant(), "off"):
        with using(variant):
            found.append(named(kktdiff.solve_qp(*data, soft=price).vjp(weights, **PATH)))
    for name, expected in found[1].items():
        if name != "soft":
            assert_near(found[0][name], expected, DENSE_REFERENCE, name)


@pytest.mark.parametrize("variant", LANES)
@pytest.mark.parametrize("case", CASES)
def test_every_output_and_input_in_both_directions(native, variant, case):
    if variant not in native.variants():
        pytest.skip(f"no {variant} here")
    data = problem(CASES[case])
    expected = both_ways(data, "off")
    for name, value in both_ways(data, variant).items():
        assert_near(value, expected[name], DENSE_REFERENCE, name)


def test_an_element_has_the_same_bits_in_any_batch():
    data = problem(FULL, 13)
    whole = named(kktdiff.solve_qp(*data).vjp(np.ones(data.p.shape), **PATH))
    for i in (0, 7, 12):
        alone = element(data, i)
        one = named(kktdiff.solve_qp(*alone).vjp(np.ones(alone.p.shape), **PATH))
        for name, value in one.items():
            assert np.array_equal(value, whole[name][i]), name


def test_an_element_whose_point_is_not_found_has_a_gradient_of_zero(monkeypatch):
    data = problem(FULL, 40)
    sol, weights = kktdiff.solve_qp(*data), np.ones(data.p.shape)
    expected = named(sol.vjp(weights, **PATH))
    monkeypatch.setattr(central_path, "_MAX_ITER", 6)
    found = named(sol.vjp(weights, **PATH))
    missed = ~found["p"].any(axis=1)
    assert 0 < missed.sum() < 40
    for name, value in found.items():
        assert not value[missed].any(), name
        assert np.array_equal(value[~missed], expected[name][~missed]), name
