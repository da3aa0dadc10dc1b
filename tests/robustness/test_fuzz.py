"""Problems of every kind, at random: the references, each kind alone, and all with a new seed."""

import secrets

import numpy as np
import pytest

from kktdiff import Status
from tests.robustness import fuzz
from tests.robustness.fuzz import KINDS
from tests.robustness.kind_checks import as_solution, check
from tests.tolerances import FRESH_UNSOLVED

COUNT = 2000


@pytest.mark.parametrize("kind", KINDS)
def test_the_references_meet_their_own_checks(kind):
    for seed in range(5):
        data, reference = fuzz.draw(kind, seed)
        faults = check(data, reference, as_solution(reference))
        assert not any(mask.any() for mask in faults.values()), faults


@pytest.mark.parametrize("what", ["objective", "x"])
def test_the_checks_see_a_solution_that_is_slightly_off(what):
    data, reference = fuzz.draw("plain", 0)
    solution = as_solution(reference)
    setattr(solution, what, getattr(solution, what) + 1e-4)
    faults = check(data, reference, solution)
    assert faults[what].all()
    assert not faults["status"].any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_problem_of_a_kind_is_solved(kind):
    tallies = fuzz.run(5 * fuzz.BATCH, 2026, (kind,))
    assert not fuzz.failures(tallies), fuzz.table(tallies)


@pytest.mark.parametrize("seed", [464699454, 464699482, 435592700, 435592710])
def test_a_variable_that_is_a_thousand_units_from_its_bound_gets_there(seed):
    tallies = fuzz.run(fuzz.BATCH, seed, ("diagonal",))
    assert not fuzz.failures(tallies), fuzz.table(tallies)


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("repeated_rows", 5024),
        ("diagonal", 101),
        ("diagonal", 9000),
        ("far_limits", 884151507),
        ("variable_units", 424257),
    ],
)
def test_bounds_tell_the_unit_of_a_variable_where_coefficients_are_noise_or_absent(kind, seed):
    tallies = fuzz.run(fuzz.BATCH, seed, (kind,))
    assert not fuzz.failures(tallies), fuzz.table(tallies)


def test_problems_that_nobody_has_seen_are_solved():
    seed = secrets.randbelow(10**9)
    tallies = fuzz.run(COUNT, seed)
    report = f"seed {seed}\n{fuzz.table(tallies)}"
    unsolved = [(kind, *each) for kind, tally in tallies.items() for each in tally.unsolved]
    assert not any(tally.wrong for tally in tallies.values()), report
    assert {what for *_, what in unsolved} <= set(Status.__members__), report  # no error is raised
    assert len({(kind, batch) for kind, batch, *_ in unsolved}) <= FRESH_UNSOLVED, report


def test_a_seed_draws_the_same_problems_again():
    first, again = (fuzz.draw("penalties", 7)[0] for _ in range(2))
    np.testing.assert_array_equal(first.p, again.p)


def test_failures_are_counted_shown_and_make_the_exit_status(monkeypatch, capsys):
    def stopped(data):
        solution = as_solution(fuzz.draw("circles", 3)[1])
        solution.status[4] = Status.MAX_ITER
        solution.x[5] += 1.0
        solution.iterations = np.arange(fuzz.BATCH)
        return solution

    monkeypatch.setattr(fuzz, "solve", stopped)
    assert fuzz.main(["--kind", "circles", "--seed", "3"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("seed 3\n")
    assert "--kind circles --seed 3: index 4, MAX_ITER" in out
    assert "--kind circles --seed 3: index 5, objective x" in out
    assert "2 failures" in out
