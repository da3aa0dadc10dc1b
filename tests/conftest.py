"""Fixtures and profiles for the whole suite."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.namespaces import NAMESPACES

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=15, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def repository():
    return ROOT


@pytest.fixture(scope="session")
def data_folder():
    """The public test data, or a skip that says where it was looked for."""
    named = os.environ.get("KKTDIFF_DATA")
    places = ([Path(named)] if named else []) + [ROOT.parent / "shared" / "data"]
    for place in places:
        if place.is_dir():
            return place
    return pytest.skip("public test data not found: looked in $KKTDIFF_DATA, then ../shared/data")


@pytest.fixture(params=NAMESPACES, ids=lambda namespace: namespace.name)
def namespace(request):
    """An array type; the core of solving and differentiating is tested over all of them."""
    return request.param
