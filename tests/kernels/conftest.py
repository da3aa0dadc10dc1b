"""Skips what needs the kernels where they are missing, or fails where they are a must."""

import os

import pytest

from kktdiff import kernels


@pytest.fixture
def native():
    """The extension, as it is: its variants and its call."""
    reason = kernels.available()
    if reason is None:
        return kernels._extension()
    if os.environ.get("KKTDIFF_REQUIRE_KERNELS", "0") not in ("", "0"):
        return pytest.fail(f"KKTDIFF_REQUIRE_KERNELS is set, but the kernels are {reason}")
    return pytest.skip(f"kernels: {reason}")
