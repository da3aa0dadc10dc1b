"""Tiny problems from five solvers' suites, with their expected status, point or gradient."""

import numpy as np
import pytest

import kktdiff
from tests.checks import assert_near
from tests.robustness.datasets import facts, row_multipliers, two_sided
from tests.tolerances import DATA_ANSWER

IDS = [
    "clarabel_qp_univariate",
    "clarabel_qp_feasible",
    "clarabel_qp_dual_infeasible",
    "clarabel_lp_feasible",
    "clarabel_eq_feasible",
    "clarabel_eq_primal_infeasible",
    "clarabel_unconstrained",
    "clarabel_unconstrained_dual_infeasible",
    "osqp_pdi_feasible",
    "osqp_pdi_primal_infeasible",
    "osqp_pdi_both",
    "osqp_nonconvex",
    "jaxopt_primal_infeasible_lp",
    "jaxopt_unbounded",
    "qpsolvers_inf_inequality",
    "qpsolvers_sd3310",
    "diffopt_eq_ineq_grad",
    "diffopt_lp_inactive_grad",
]
pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def known_facts(data_folder):
    return {name: rest for name, *rest in facts(data_folder / "facts.json")}


@pytest.fixture
def fact(known_facts, name):
    """(arrays, data, expectations, solution) of one problem."""
    arrays, expected = known_facts[name]
    order = ("P", "q", "A", "l", "u", "lb", "ub")
    data = two_sided(*(arrays[f] for f in order))
    return arrays, data, expected, kktdiff.solve_qp(*data, on_failure="ignore")


def test_every_fact_of_the_file_is_tested(known_facts):
    assert sorted(known_facts) == sorted(IDS)


@pytest.mark.parametrize("name", IDS)
def test_the_status_is_the_published_one(fact):
    _, _, expected, solution = fact
    allowed = {expected["status"], expected.get("also_ok")}
    assert kktdiff.Status(int(solution.status)).name.lower() in allowed


@pytest.mark.parametrize("name", [i for i in IDS if "infeasible" not in i and "unb" not in i])
def test_the_published_point_objective_and_multipliers_are_found(fact):
    arrays, data, expected, solution = fact
    if "x" in expected:
        assert_near(solution.x, np.array(expected["x"], float), DATA_ANSWER, "x")
    else:
        assert np.all(np.isnan(solution.x))
    if "obj" in expected:
        assert_near(solution.objective, float(expected["obj"]), DATA_ANSWER, "objective")
    if "y" in expected:
        y = row_multipliers(data, solution, arrays["l"], arrays["u"])
        assert_near(y, np.array(expected["y"], float), DATA_ANSWER, "multipliers")


@pytest.mark.parametrize("name", ["diffopt_eq_ineq_grad", "diffopt_lp_inactive_grad"])
def test_the_published_gradient_is_found(fact):
    _, _, expected, solution = fact
    grads = solution.vjp(np.array(expected["grad_for_dz"], float))
    named = {"dQ": "Q", "dq": "p", "dA": "A", "db": "b", "dG": "G", "dh": "h"}
    checked = [key for key in named if key in expected]
    assert checked
    for key in checked:
        value = getattr(grads, named[key])
        wanted = np.broadcast_to(np.array(expected[key], float), value.shape)
        assert_near(value, wanted, DATA_ANSWER, key)
