"""What is shown of results: in the interpreter, in a notebook, in help."""

import pydoc

import numpy as np
import pytest

import kktdiff
from kktdiff import Status
from tests.namespaces import STRICT
from tests.problems import FULL, known

DATA = known(np.random.default_rng(60), FULL, batch=(2, 3)).data
BATCH = kktdiff.solve_qp(*DATA)
BROKEN = kktdiff.solve_qp(
    np.eye(1),
    np.array([[1.0], [np.nan], [0.0], [1.0]]),
    lb=np.array([[0.0], [0.0], [2.0], [0.0]]),
    ub=np.ones(1),
    on_failure="ignore",
)


def test_a_batch_is_shown_in_two_lines():
    first, second = repr(BATCH).split("\n")
    sizes = f"n={FULL.n}, m={FULL.m}, k={FULL.k}"
    assert first == f"Solution of 6 QPs in a batch (2, 3), {sizes}: 6 SOLVED"
    low, high = BATCH.iterations.min(), BATCH.iterations.max()
    worst = {"primal": BATCH.primal_residual, "dual": BATCH.dual_residual, "gap": BATCH.duality_gap}
    residuals = ", ".join(f"{name} {v.max():.1e}" for name, v in worst.items())
    steps = str(low) if low == high else f"{low} to {high}"
    assert second == f"iterations {steps}; worst residuals {residuals}"


def test_one_problem_is_shown_by_its_status():
    one = kktdiff.solve_qp(np.eye(2), np.ones(2))
    assert repr(one).startswith("Solution of one QP, n=2, m=0, k=0: SOLVED\niterations ")


@pytest.mark.parametrize("library", [np.array, STRICT.asarray], ids=["numpy", "strict"])
def test_one_problem_is_shown_with_its_objective_and_x(library):
    one = kktdiff.solve_qp(library([[2.0, 0.0], [0.0, 2.0]]), library([-3.0, 1.0]))
    assert repr(one).split("\n")[2] == "objective -2.5; x 1.5  -0.5"
    assert "<td style='text-align:left'>1.5  -0.5</td>" in one._repr_html_()
    long = kktdiff.solve_qp(p=library([0.5] * 12), lb=library([1.0] * 12))
    assert repr(long).endswith(f"objective 6; x {'1  ' * 10}...  (12 entries)")


def test_statuses_are_counted_and_residuals_are_of_what_is_solved():
    assert "2 SOLVED, 1 PRIMAL_INFEASIBLE, 1 INVALID_DATA\n" in repr(BROKEN)
    assert "nan" not in repr(BROKEN)
    none = kktdiff.solve_qp(np.eye(1), np.array([np.nan]), on_failure="ignore")
    assert repr(none) == "Solution of one QP, n=1, m=0, k=0: INVALID_DATA\niterations 0"


def test_an_empty_batch_is_shown():
    assert repr(kktdiff.solve_qp(np.eye(2), np.ones((0, 2)))).startswith("Solution of 0 QPs, n=2")


def test_arrays_of_any_library_are_shown_alike():
    strict = kktdiff.solve_qp(*STRICT.data(DATA))
    assert repr(strict).split("\n")[0] == repr(BATCH).split("\n")[0]
    assert strict.status_names == BATCH.status_names


def test_the_card_has_the_share_of_trustworthy_gradients():
    card = BROKEN._repr_html_()
    assert card.startswith("<table>")
    for word in ("4 QPs, n=1", "2 SOLVED", "worst residuals", "trustworthy gradients", "2 of 4"):
        assert word in card, word


def test_the_card_does_without_it_where_that_takes_long(monkeypatch):
    calls = []
    monkeypatch.setattr(
        kktdiff.Solution, "diagnostics", lambda self: calls.append(self) or pytest.fail("asked")
    )
    large = kktdiff.solve_qp(np.eye(80), np.zeros((200, 80)))
    assert "see diagnostics()" in large._repr_html_()
    assert not calls


def test_names_of_statuses_are_nested_as_the_batch_is():
    assert BATCH.status_names == [["SOLVED"] * 3] * 2
    assert BROKEN.status_names == ["SOLVED", "INVALID_DATA", "PRIMAL_INFEASIBLE", "SOLVED"]
    assert kktdiff.solve_qp(np.eye(1), np.ones(1)).status_names == "SOLVED"


def test_derivatives_are_shown_by_shape_and_size():
    one = kktdiff.solve_qp(2 * np.eye(2), np.ones((3, 2)))
    assert repr(one.vjp(np.ones((3, 2)))) == "Grads: Q (2, 2) up to 0.75, p (3, 2) up to 0.5"
    tangents = repr(one.jvp(p=np.ones((3, 2))))
    assert tangents.startswith("Tangents: x (3, 2) up to 0.5, s (3, 0), lam (3, 0), nu (3, 0), ")


def test_diagnostics_and_certificates_are_counted():
    kink = kktdiff.solve_qp(np.eye(1), np.array([[0.0], [1.0]]), lb=0).diagnostics()
    shown = "Diagnostics: 1 of 2 gradients trustworthy, 1 at a kink, largest condition"
    assert repr(kink) == f"{shown} {kink.condition.max():.1e}"
    assert repr(BROKEN.certificate()) == "Certificate: 1 of 4 proven to have no solution"


def test_help_says_what_each_status_means():
    text = pydoc.plain(pydoc.render_doc(kktdiff.Status))
    for status in Status:
        assert status.__doc__ in text
        cause, colon, cure = status.__doc__.partition(": ")
        assert cause
        assert colon
        assert cure.endswith(".")
    assert len({status.__doc__ for status in Status}) == len(Status)
