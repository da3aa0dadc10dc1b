"""Adapters by attribute, loaded when they are asked for; a missing extra names its install line."""

import subprocess
import sys

import pytest

import kktdiff
from kktdiff.adapters._extras import extra

WITHOUT = """
import sys
class Gone:  # as if they were not installed
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {gone}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Gone)
try:
    {code}
except ModuleNotFoundError as error:
    print(error.name, "|", error)
"""


def fresh(code, repository):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["torch", "jax", "cvxpy", "plain", "qpth", "qpsolvers"])
def test_every_adapter_is_an_attribute(name):
    needed = {"plain": "numpy", "qpth": "torch"}.get(name, name)
    pytest.importorskip(needed)
    assert getattr(kktdiff.adapters, name).__name__ == f"kktdiff.adapters.{name}"
    assert name in dir(kktdiff.adapters)


def test_an_unknown_adapter_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'tensorflow'"):
        kktdiff.adapters.tensorflow  # noqa: B018


def test_an_adapter_is_loaded_when_it_is_asked_for(repository):
    pytest.importorskip("torch")
    code = (
        "import sys, kktdiff; before = 'torch' in sys.modules; kktdiff.adapters.torch.solve_qp; "
        "print(before, 'torch' in sys.modules)"
    )
    assert fresh(code, repository) == "False True"


@pytest.mark.parametrize(
    ("gone", "code", "line"),
    [
        (["torch"], "from kktdiff.adapters.torch import solve_qp", "torch"),
        (["torch"], "import kktdiff; kktdiff.adapters.torch", "torch"),
        (["torch"], "from kktdiff.adapters.qpth import QPFunction", "torch"),
        (["jax"], "import kktdiff; kktdiff.adapters.jax", "jax"),
        (["qpsolvers"], "from kktdiff.adapters.qpsolvers import solve_qp", "qpsolvers"),
        (["cvxpy"], "from kktdiff.adapters.cvxpy import CvxpyLayer", "cvxpy,torch"),
        (["torch"], "from kktdiff.adapters.cvxpy import CvxpyLayer", "cvxpy,torch"),
        (["cvxpy"], "from kktdiff.adapters.cvxpy.jax import CvxpyLayer", "cvxpy,jax"),
        (["jax"], "from kktdiff.adapters.cvxpy.jax import CvxpyLayer", "cvxpy,jax"),
    ],
)
def test_a_missing_extra_names_its_install_line(gone, code, line, repository):
    for name in ("torch", "jax", "cvxpy", "qpsolvers"):
        pytest.importorskip(name)
    expected = f'{gone[0]} | {gone[0]} is not installed: pip install "kktdiff[{line}]"'
    assert fresh(WITHOUT.format(gone=gone, code=code), repository) == expected


def test_another_missing_module_is_left_as_it_is():
    with pytest.raises(ModuleNotFoundError, match="something else"), extra("torch"):
        raise ModuleNotFoundError("something else", name="other")
