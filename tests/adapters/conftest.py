"""Fixtures for the tests of several adapters."""

import pytest

from kktdiff import _sparse_inputs as inputs
from kktdiff import kernels


@pytest.fixture(params=["kernels", "dense copies"])
def way(request, monkeypatch):
    """Both ways in which sparse matrices are worked on."""
    if request.param == "kernels" and kernels.available() is not None:
        pytest.skip("no kernels")
    monkeypatch.setattr(inputs, "_SMALL", 0 if request.param == "kernels" else 10**9)
    monkeypatch.setattr(inputs, "_FASTER", (0.0, 0.0))
    return request.param
