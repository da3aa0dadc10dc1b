"""The one list of array types that the tests run over."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.backends.cuda.guard import Device
from tests.problems import Data

try:
    import array_api_strict
except ImportError:  # its tests are left out then: see conftest.py
    array_api_strict = SECOND_DEVICE = None
else:
    SECOND_DEVICE = array_api_strict.Device("device1")


class Namespace(NamedTuple):
    """How test data enters an array type, and how results leave it."""

    name: str
    asarray: Callable[[np.ndarray], Any]
    to_numpy: Callable[[Any], np.ndarray]

    def data(self, data):
        return Data(*(None if a is None else self.asarray(a) for a in data))


def _read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def _strict(array):
    return array_api_strict.asarray(np.array(array))


def _strict_second(array):
    return array_api_strict.asarray(np.array(array), device=SECOND_DEVICE)


def _from_numpy(array):
    assert isinstance(array, (np.ndarray, np.generic)), f"{type(array)} is no NumPy array"
    return np.asarray(array)


def _from_strict(array):
    assert isinstance(array, type(array_api_strict.asarray(0.0))), f"{type(array)} is not strict"
    return np.asarray(array.to_device(array_api_strict.Device("CPU_DEVICE")))


def _emulated(array):
    return Device(np.array(array))


def _from_emulated(array):
    assert isinstance(array, Device), f"{type(array)} is no array of the device"
    return array.get()


def _cupy(array):
    import cupy

    return cupy.asarray(array)


def _from_cupy(array):
    import cupy

    assert isinstance(array, cupy.ndarray), f"{type(array)} is no CuPy array"
    return cupy.asnumpy(array)


NUMPY = Namespace("numpy", np.array, _from_numpy)
STRICT = Namespace("strict", _strict, _from_strict)
NAMESPACES = [NUMPY, Namespace("numpy-read-only", _read_only, _from_numpy)]
if array_api_strict is not None:
    SECOND = Namespace("strict-device1", _strict_second, _from_strict)
    NAMESPACES += [SECOND]  # what STRICT is strict about, and the device
NAMESPACES += [
    Namespace("cupy-emulated", _emulated, _from_emulated),  # over the host's memory
    Namespace("cupy", _cupy, _from_cupy),
]
