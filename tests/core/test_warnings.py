"""The one warning or error about unsolved elements: which, their x, why, and what to do."""

import re
from pathlib import Path

import numpy as np
import pytest

import kktdiff
from tests.namespaces import NUMPY, STRICT

ROWS = np.array([[1.0], [-1.0], [1.0]])


def message(*arrays, **given):
    with pytest.raises(kktdiff.SolveError) as caught:
        kktdiff.solve_qp(*arrays, **given, on_failure="raise")
    return str(caught.value)


def rows_of(text):
    found = re.search(r"rows? (.*?) (?:contradict each other|alone can't be met)", text)
    return None if found is None else found[1]


CONTRADICTIONS = {
    "rows of G": ({"G": ROWS, "h": [-1.0, -1.0, 9.0]}, "h[0], h[1]"),
    "a row and a bound": ({"G": ROWS, "h": [-1.0, 5.0, 9.0], "lb": [0.0]}, "h[0], lb[0]"),
    "a row and the nearer bound": (
        {"G": [[1.0], [-1.0], [2.0]], "h": [1.0, 5.0, 30.0], "lb": [2.0], "ub": [3.0]},
        "h[0], lb[0]",
    ),
    "the same from above": (
        {"G": [[-1.0], [1.0], [-2.0]], "h": [1.0, 5.0, 30.0], "lb": [-3.0], "ub": [-2.0]},
        "h[0], ub[0]",
    ),
    "bounds": ({"lb": [2.0], "ub": [0.0]}, "lb[0], ub[0]"),
    "equalities": ({"A": [[1.0], [1.0]], "b": [1.0, 2.0]}, "b[0], b[1]"),
    "an equality and a bound": ({"A": [[1.0]], "b": [3.0], "ub": [1.0]}, "b[0], ub[0]"),
    "a fixed variable": ({"A": [[1.0]], "b": [3.0], "lb": [1.0], "ub": [1.0]}, "b[0], ub[0]"),
}


@pytest.mark.parametrize(("given", "rows"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_the_rows_that_contradict_each_other_are_named(given, rows):
    text = message(np.eye(1), np.zeros(1), **given)
    assert rows_of(text) == rows
    for words in ("1 of 1 problems not solved", "x is NaN", 'infeasible="closest"'):
        assert words in text


def test_idle_rows_and_bounds_are_not_named():
    """x + y <= -3 with both above -1: upper bounds and the second row have no part in it."""
    rows = {"G": [[1.0, 1.0], [1.0, 2.0]], "h": [-3.0, 40.0], "lb": -1.0, "ub": 1.0}
    assert rows_of(message(None, np.ones(2), **rows)) == "h[0], lb[0], lb[1]"


def of_any_numbers(rng):
    lb = 9 * rng.normal(size=3)
    limits = {"h": rng.normal(size=6) * 9, "lb": lb, "ub": lb + rng.random(3)}
    return rng.normal(size=(6, 3)), limits


def of_small_integers(rng):
    """Rows that are parallel, and zero; many a contradiction beside the one that is named."""
    limits = {"h": rng.integers(-3, 2, size=6), "lb": np.full(3, -2), "ub": np.full(3, 2)}
    return rng.integers(-1, 2, size=(6, 3)).astype(float), limits


@pytest.mark.parametrize("draw", [of_any_numbers, of_small_integers])
def test_what_is_named_contradicts_itself_and_none_of_it_can_go(draw):
    """Random problems: those rows alone have no solution, and have one without any of them."""
    rng, seen = np.random.default_rng(7), 0
    for _ in range(5):
        G, limits = draw(rng)

        def status(names, G=G, limits=limits):
            """Solve with these rows alone."""
            some = {
                name: np.where(
                    [f"{name}[{i}]" in names for i in range(len(v))],
                    v,
                    -np.inf if name == "lb" else np.inf,
                )
                for name, v in limits.items()
            }
            found = kktdiff.solve_qp(np.eye(3), np.zeros(3), G, **some, on_failure="ignore")
            return found.status_names

        everything = [f"{name}[{i}]" for name, v in limits.items() for i in range(len(v))]
        if status(everything) != "PRIMAL_INFEASIBLE":
            continue
        named = rows_of(message(np.eye(3), np.zeros(3), G, **limits)).split(", ")
        assert status(named) == "PRIMAL_INFEASIBLE"
        for one in named:
            assert status([other for other in named if other != one]) == "SOLVED"
        seen += 1
    assert seen > 3


@pytest.mark.parametrize(
    "given",
    [
        {"G": [[0.0, 0.0], [1.0, 0.0]], "h": [-1.0, 5.0], "lb": -2.0, "ub": 2.0},
        {"G": [[0.0, 0.0]], "h": [-1e-3]},
        {"A": [[0.0, 0.0]], "b": [-1.0], "lb": 0.0},
        {"A": [[0.0, 0.0]], "b": [1.0], "lb": 0.0},
    ],
)
def test_a_row_of_zeros_that_nothing_meets_is_named_alone(given):
    text = message(np.eye(2), np.zeros(2), **given)
    assert f"row {'h' if 'h' in given else 'b'}[0] alone can't be met;" in text


def test_soft_rows_are_not_named():
    rows = {"G": np.vstack([np.eye(2), -np.eye(2)]), "h": [1.0, 1.0, -2.0, 0.0], "lb": 0.0}
    soft = {"lb": 1.0, "h": [np.inf, 1.0, np.inf, 1.0]}
    assert rows_of(message(np.eye(2), np.zeros(2), **rows, soft=soft)) == "h[0], h[2]"


def test_a_proof_of_many_rows_is_named_in_part_and_counted(monkeypatch):
    monkeypatch.setattr(kktdiff.backends, "combination", lambda rows, target: [])  # takes too long
    rows = {"G": np.vstack([np.eye(9), [[-1.0] * 9]]), "h": [-1.0] * 9 + [0.0]}
    text = message(np.eye(9), np.zeros(9), **rows)
    assert rows_of(text) == "h[0], h[1], h[2], h[3], h[4] and 5 more"


def test_rows_are_those_of_the_first_infeasible_element():
    h = np.array([[1.0, 1.0], [-1.0, -2.0], [1.0, 1.0], [-3.0, 1.0]])
    text = message(np.eye(1), np.zeros(1), ROWS[:2], h)
    assert "2 of 4 problems not solved" in text
    assert "2 PRIMAL_INFEASIBLE at 1, 3 (x is NaN)" in text
    assert "at 1 rows h[0], h[1] contradict each other" in text


def test_each_status_has_its_places_its_x_and_its_cure():
    p = np.zeros((2, 4, 2))
    p[0, 1, 0] = np.nan
    p[1, 3] = -1.0
    Q = np.broadcast_to(np.eye(2), (2, 4, 2, 2)).copy()
    Q[1, 3] = 0.0
    Q[1, 0] = -np.eye(2)
    text = message(Q, p)
    for part in (
        "3 of 8 problems not solved; their gradients are zero.",
        "1 DUAL_INFEASIBLE at (1, 3) (x is NaN): The objective has no lower bound; add bounds",
        "1 NONCONVEX at (1, 0) (x is NaN): Q has a negative eigenvalue; add a multiple",
        "1 INVALID_DATA at (0, 1) (x is NaN): NaN or an infinity in the data; p[0] is nan; mend",
    ):
        assert part in text


def test_the_message_on_its_page_is_the_real_one(repository):
    G, h = np.array([[1.0], [-1.0]]), np.array([[1.0, 1.0], [1.0, 1.0], [-2.0, 1.0], [1.0, 1.0]])
    text = message(np.eye(1), np.array([[0.0], [np.nan], [0.0], [0.0]]), G, h)
    page = (Path(repository) / "docs" / "statuses.md").read_text()
    assert text in " ".join(page.split())


INVALID = {  # the argument, its value, and the entry that is named
    "Q": ([[1.0, 0.0], [np.inf, 1.0]], "Q[1, 0] is inf"),
    "p": ([0.0, -np.inf], "p[1] is -inf"),
    "A": ([[1.0, np.nan]], "A[0, 1] is nan"),
    "b": ([np.inf], "b[0] is inf"),
    "G": ([[1.0, 1.0], [np.nan, np.inf]], "G[1, 0] is nan"),
    "h": ([np.inf, np.nan], "h[1] is nan"),
    "lb": (np.nan, "lb[0] is nan"),
    "ub": ([np.inf, np.nan], "ub[1] is nan"),
    "soft": ({"h": [1.0, np.nan]}, "soft_h[1] is nan"),
}


@pytest.mark.parametrize("library", [NUMPY, STRICT], ids=["numpy", "strict"])
@pytest.mark.parametrize(("name", "case"), INVALID.items(), ids=INVALID)
def test_an_entry_that_is_no_number_is_named(name, case, library):
    value, named = case
    data = {"Q": np.eye(2), "p": np.zeros(2), "G": np.eye(2), "h": np.ones(2)}
    data |= {"A": np.ones((1, 2)), "b": np.ones(1), name: value}
    given = {k: library.asarray(np.array(v)) for k, v in data.items() if k != "soft"}
    if "soft" in data:
        given["soft"] = {"h": library.asarray(np.array(data["soft"]["h"]))}
    assert f"NaN or an infinity in the data; {named}; mend the data." in message(**given)


def test_the_entry_is_of_the_first_invalid_element():
    p = np.zeros((2, 2, 3))
    p[0, 1, 2], p[1, 0, 0] = np.inf, np.nan
    assert "in the data; at (0, 1) p[2] is inf; mend" in message(np.eye(3), p)


@pytest.mark.parametrize(
    ("given", "row"),
    [
        ({"lb": [0.0, np.inf]}, "lb[1]"),
        ({"ub": [-1e20, 0.0]}, "ub[0]"),
        ({"G": np.eye(2), "h": [1.0, -np.inf]}, "h[1]"),
        ({"lb": np.inf, "ub": np.inf}, "lb[0]"),
    ],
    ids=["lb", "ub", "h", "both"],
)
def test_a_limit_that_is_infinite_the_wrong_way_is_named(given, row):
    assert f"row {row} alone can't be met;" in message(np.eye(2), np.zeros(2), **given)


def test_a_best_iterate_is_called_one():
    rng = np.random.default_rng(1)
    given = {"G": rng.normal(size=(5, 3)), "h": np.ones(5), "lb": -1, "ub": 1, "max_iter": 1}
    text = message(np.eye(3), rng.normal(size=3), **given)
    assert "1 MAX_ITER (x is the best iterate): Out of iterations; raise max_iter." in text


def test_a_long_list_is_cut():
    text = message(np.eye(1), np.full((9, 1), np.nan))
    assert "9 INVALID_DATA at 0, 1, 2, 3, 4 and 4 more" in text


def test_the_page_that_is_named_is_there(repository):
    page, title = re.search(r'See (\S+), "(.*?)"', message(np.eye(1), [np.nan])).groups()
    assert f"\n# {title}\n" in "\n" + (Path(repository) / page).read_text()
