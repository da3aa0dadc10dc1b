"""The constants of the headers are those of the array code."""

import re

import pytest

from kktdiff import _kkt, _settings
from kktdiff._interior_point import (
    active_set,
    certificates,
    driver,
    mehrotra,
    newton,
    program,
    scaling,
    termination,
)
from kktdiff._kkt import factors, system
from kktdiff._sensitivity import central_path
from kktdiff._status import Status
from kktdiff.kernels import amounts, method

CONSTANTS = {
    "constants.hpp": {
        "BIG": _settings.BIG,
        "INFINITE": _settings.INFINITE,
        "ROUNDING": _settings.ROUNDING,
        "CURVATURE": _settings.CURVATURE["float64"],
        "MAX_REGULARISATION": _settings.MAX_REGULARISATION,
        "MIN_REGULARISATION": _settings.MIN_REGULARISATION,
        "SPARSE_PROXIMAL": _settings.SPARSE_PROXIMAL,
        "STALL": _settings.STALL,
        "STIFF": system.STIFF,
        "SINGULAR": factors.SINGULAR,
        "STEP_FRACTION": mehrotra.STEP_FRACTION,
        "STEP_FRACTION_SHORT": mehrotra.STEP_FRACTION_SHORT,
        "SHORT_STEP": mehrotra.SHORT_STEP,
        "SHORT_FOR_RESTART": mehrotra.SHORT_FOR_RESTART,
        "ALMOST_FEASIBLE": mehrotra.ALMOST_FEASIBLE,
        "MOST_PRICE": mehrotra.MOST_PRICE,
        "ORDINARY": scaling.ORDINARY,
        "LEAST_PRODUCT": mehrotra.LEAST_PRODUCT,
        "MIN_STEP": mehrotra.MIN_STEP,
        "CENTRING_LOW": mehrotra.CENTRING[0],
        "CENTRING_HIGH": mehrotra.CENTRING[1],
        "PROXIMAL": active_set.PROXIMAL,
        "ROUNDING_TOL": active_set.ROUNDING_TOL,
        "POLISH_LOOSE": active_set._LOOSE,
        "POLISH_TRY": driver._POLISH_TRY,
        "STEP_ACCURACY": newton._ACCURACY,
        "CONTRADICTION": _settings.CONTRADICTION,
        "EXACT": certificates.EXACT,
        "STEEP": certificates._STEEP,
        "FEASIBLE": certificates._FEASIBLE,
        "WORTH_A_LOOK": certificates._WORTH_A_LOOK,
        "SURE": certificates._SURE,
        "NEARBY": certificates._NEARBY,
        "TERM_FLOOR": termination._FLOOR,
        "LEAST_MU": termination._LEAST_MU,
        "CEILING": termination._CEILING,
    },
    "driver.hpp": {
        "CORRECTIONS": driver._CORRECTIONS,
        "WARM_CORRECTIONS": driver._WARM_CORRECTIONS,
        "ACTIVE_SET_CHANGE_DIVISOR": driver._ACTIVE_SET_CHANGE_DIVISOR,
    },
    "scaling.hpp": {
        "EQUILIBRATION_PASSES": scaling.PASSES,
        "FLAT_DIRECTION": program._FLAT,
        "UNIT_NOISE": scaling._NOISE,
        "FAR": scaling._FAR,
        "FAR_LIMIT": scaling._FAR_LIMIT,
        "FARTHEST": scaling._FARTHEST,
    },
}


@pytest.fixture
def header(repository):
    """Reads a header without its comments."""

    def read(name):
        text = (repository / "kktdiff" / "kernels" / name).read_text()
        return re.sub(r"//.*", "", text)

    return read


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_constant_is_the_array_codes(header, name):
    found = {}
    for line in re.findall(r"^constexpr (?:double|int) ([^;]*);", header(name), re.MULTILINE):
        for part in line.split(","):
            constant, value = part.split("=")
            known = {"ROUNDING": _settings.ROUNDING}
            found[constant.strip()] = eval(value, {"__builtins__": {}}, known)
    assert found == CONSTANTS[name]


def test_one_floor_serves_iteration_and_polishing():
    assert active_set._FLOOR == termination._FLOOR


def test_stages(header):
    stages = stages_of(header, "STAGES")
    assert [stage for stage, _ in stages] == list(driver._STAGES)
    assert len(stages) == method.STAGES
    assert not any(on_path for _, on_path in stages)


def test_stages_of_the_central_path(header):
    tol = central_path._ACCURACY
    expected = [(mehrotra.Stage(tol, careful), True) for careful in (False, True)]
    assert stages_of(header, "PATH_STAGES") == expected


def stages_of(header, name):
    """Return the stages in `driver.hpp`, and which of them go to the central path."""
    (text,) = re.findall(rf" {name}\[\] = \{{(.*?)\}};", header("driver.hpp"), re.DOTALL)
    return [
        (mehrotra.Stage(float(a), b == "true", restarts=int(c), near=float(d)), e == "true")
        for a, b, c, d, e in re.findall(r"\{(\S+), (\w+), (\d+), (\S+), (\w+)\}", text)
    ]


def test_limits_of_refinement(header):
    """Tries of refine, and of the equations of an active set."""
    for name, most in (
        ("kkt.hpp", _kkt.solve._REFINEMENTS),
        ("active_set.hpp", active_set._REFINEMENTS),
    ):
        assert re.findall(r"tries < (\d+)", header(name)) == [str(most)]


def test_rows_of_the_trace(header):
    for name in ("signatures.hpp", "solve.hpp"):
        assert f"+ {method._TRACE_ROWS}" in header(name)


def test_the_size_up_to_which_problems_go_into_lanes(header):
    """As many entries as fit with the most lanes that there are, eight numbers of eight bytes."""
    (shift,) = re.findall(r"LANES_BYTES = 1 << (\d+)", header("solve.hpp"))
    assert 1 << int(shift) == amounts.IN_LANES * 8 * 8


def test_statuses(header):
    (text,) = re.findall(r"enum Status \{(.*?)\};", header("termination.hpp"), re.DOTALL)
    found = {name: int(value) for name, value in re.findall(r"(\w+) = (-?\d+)", text)}
    assert found.pop("RUNNING") == termination.RUNNING
    assert found.pop("UNSOUND") == method.UNSOUND
    assert found == {name: Status[name] for name in found}
