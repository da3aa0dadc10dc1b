"""Adapters by attribute, loaded when they are asked for; a missing extra names its install line."""

import subprocess
import sys

import pytest

import kktdiff
from kktdiff.adapters._extras import extra

WITHOUT = """
import importlib, sys
class Gone:  # as if it were not installed
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == {gone!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Gone)
for name in {names}:
    module, _, attribute = name.partition(":")
    try:
        getattr(importlib.import_module(module), attribute)
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
    pytest.importorskip("qpsolvers")
    code = (
        "import sys, kktdiff; before = 'qpsolvers' in sys.modules; "
        "kktdiff.adapters.qpsolvers.solve_qp; print(before, 'qpsolvers' in sys.modules)"
    )
    assert fresh(code, repository) == "False True"


@pytest.mark.parametrize(
    ("gone", "lines"),
    [
        ("torch", {"torch:solve_qp": "torch", "qpth:QPFunction": "torch"}),
        ("torch", {"cvxpy:CvxpyLayer": "cvxpy,torch"}),
        ("jax", {"jax:solve_qp": "jax", "cvxpy.jax:CvxpyLayer": "cvxpy,jax"}),
        ("qpsolvers", {"qpsolvers:solve_qp": "qpsolvers"}),
        ("cvxpy", {"cvxpy:CvxpyLayer": "cvxpy,torch", "cvxpy.jax:CvxpyLayer": "cvxpy,jax"}),
    ],
)
def test_a_missing_extra_names_its_install_line(gone, lines, repository):
    for name in ("torch", "jax", "cvxpy", "qpsolvers"):
        pytest.importorskip(name)
    names = [f"kktdiff.adapters.{name}" for name in lines]
    told = fresh(WITHOUT.format(gone=gone, names=names), repository).splitlines()
    sentence = f'{gone} | {gone} is not installed: pip install "kktdiff[{{}}]"'
    assert told == [sentence.format(line) for line in lines.values()]


def test_another_missing_module_is_left_as_it_is():
    with pytest.raises(ModuleNotFoundError, match="something else"), extra("torch"):
        raise ModuleNotFoundError("something else", name="other")
