"""Importing the package loads no framework and no extra that the user did not bring."""

import json
import subprocess
import sys
from importlib import util

FOREIGN = ("torch", "jax", "cupy", "matplotlib", "tqdm", "cvxpy", "qpsolvers")
LIST = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def modules_after(code, folder):
    """The modules that a fresh interpreter holds after running the code."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{LIST}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_importing_and_solving_loads_no_framework(repository):
    code = """
import kktdiff, kktdiff.backends, kktdiff.adapters.plain
kktdiff.solve_qp([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0], lb=0).vjp([1.0, 1.0])
"""
    loaded = {name.partition(".")[0] for name in modules_after(code, repository)}
    assert "kktdiff" in loaded
    assert loaded.isdisjoint(FOREIGN)


def test_importing_and_solving_changes_no_setting_of_numpy(repository):
    code = """
import numpy, warnings
def settings():
    state = numpy.random.get_state()[1].tolist()
    return numpy.geterr(), numpy.get_printoptions(), state, list(warnings.filters)
before = settings()
import kktdiff
kktdiff.solve_qp(numpy.eye(2), numpy.full(2, numpy.nan), on_failure="ignore")
assert before == settings()
"""
    assert "kktdiff" in modules_after(code, repository)


def test_asking_for_the_backends_loads_cupy_only_where_it_is_installed(repository):
    code = "import kktdiff.backends; kktdiff.backends.available()"
    loaded = {name.partition(".")[0] for name in modules_after(code, repository)}
    allowed = {"cupy"} if util.find_spec("cupy") else set()  # it is imported to see if it works
    assert loaded & set(FOREIGN) == allowed


def test_public_names_are_there_and_no_others_are_promised():
    import kktdiff

    names = {"solve_qp", "Status", "Solution", "SolveWarning", "SolveError", "backends"}
    assert names <= set(kktdiff.__all__) | {"backends"}
    assert all(hasattr(kktdiff, name) for name in kktdiff.__all__)
