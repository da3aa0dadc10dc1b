"""Our problems for libraries that know rows only."""

from kktdiff.bench import Arrays, Problem


def rows_of(problem: Problem) -> Arrays:
    """Q, p, G, h, and A, b where there are equalities: bounds are rows."""
    G, h = problem.rows()
    data = {"Q": problem.data["Q"], "p": problem.data["p"], "G": G, "h": h}
    return data | {name: problem.data[name] for name in "Ab" if name in problem.data}


def named(problem: Problem, grads: Arrays) -> Arrays:
    """Gradients of rows as gradients of our inputs: bounds went in as -x <= -lb."""
    found = {name: grads[name] for name in problem.data if name in grads}
    return found | ({"lb": -grads["h"]} if "lb" in problem.data else {})
