"""Skips what needs the kernels where they are missing, or fails where they are a must."""

import importlib
import os

import pytest

from kktdiff import kernels


@pytest.fixture(scope="session")
def native():
    """The extension, as it is: its variants and its call."""
    reason = kernels.available()
    if reason is None:
        return importlib.import_module("kktdiff.kernels._native")
    if os.environ.get("KKTDIFF_REQUIRE_KERNELS", "0") not in ("", "0"):
        return pytest.fail(f"KKTDIFF_REQUIRE_KERNELS is set, but the kernels are {reason}")
    return pytest.skip(f"kernels: {reason}")
