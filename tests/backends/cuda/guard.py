"""Arrays that stand for a device's, over the host's memory; what is done with them is counted.

As with CuPy's, NumPy does not take them, nor do they take NumPy's arrays. Host code that reads a
value waits for the device: that is counted too.
"""

import operator
from collections import Counter

import array_api_compat.numpy as compat
import numpy as np

EVENTS = Counter()  # "operation", "read", "to_host", "to_device", "launch"
WHERE = "cuda:0"


class Device:
    """An array of the stand-in."""

    __array_ufunc__ = None  # NumPy's operators leave the work, and the refusal, to this side

    def __init__(self, values):
        self._own = np.asarray(values)

    shape = property(lambda self: self._own.shape)
    dtype = property(lambda self: self._own.dtype)
    ndim = property(lambda self: self._own.ndim)
    size = property(lambda self: self._own.size)
    itemsize = property(lambda self: self._own.itemsize)
    nbytes = property(lambda self: self._own.nbytes)
    flags = property(lambda self: self._own.flags)
    device = property(lambda self: WHERE)
    mT = property(lambda self: Device(self._own.mT))  # noqa: N815
    T = property(lambda self: Device(self._own.T))

    def __array_namespace__(self, **_):
        return NAMESPACE

    def __array__(self, *_, **__):
        raise TypeError("implicit conversion to a NumPy array is not allowed; use .get()")

    def __dlpack__(self, **_):
        raise BufferError("the array is not on the host")

    def __dlpack_device__(self):
        return 2, 0

    def __len__(self):
        return len(self._own)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        keys = key if isinstance(key, tuple) else (key,)
        found = self._own[_plain(key)]
        if any(isinstance(one, Device) for one in keys):
            EVENTS["operation"] += 1
        return Device(found)

    def __setitem__(self, key, value):
        EVENTS["operation"] += 1
        self._own[_plain(key)] = _plain(value)

    def __reduce__(self):
        EVENTS["to_host"] += 1
        return Device, (self._own.copy(),)

    def get(self):
        EVENTS["to_host"] += 1
        return self._own.copy()

    def copy(self):
        return _operation(np.copy, self)

    def all(self):
        return _operation(np.all, self)

    def view(self, dtype):
        return Device(self._own.view(dtype))

    def __eq__(self, other):
        return _operation(operator.eq, self, other)

    def __ne__(self, other):
        return _operation(operator.ne, self, other)

    __hash__ = None


def _plain(value):
    """The same for NumPy; an array of its own is refused, as CuPy does."""
    if isinstance(value, Device):
        return value._own
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type numpy.ndarray")
    if isinstance(value, tuple | list):
        return type(value)(_plain(one) for one in value)
    return value


def _wrapped(value):
    if isinstance(value, tuple):
        parts = [_wrapped(one) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return Device(value) if isinstance(value, np.ndarray | np.generic) else value


def _operation(function, *arguments, **named):
    EVENTS["operation"] += 1
    with np.errstate(all="ignore"):  # CuPy never warns of what an operation finds
        return _wrapped(function(*_plain(arguments), **{k: _plain(v) for k, v in named.items()}))


def _operator(name):
    function = getattr(operator, name)
    return lambda self, *others: _operation(function, self, *others)


def _reflected(name):
    function = getattr(operator, name)
    return lambda self, other: _operation(function, other, self)


def _read(kind):
    def read(self):
        EVENTS["read"] += 1
        return kind(self._own)

    return read


_TWO = ("add", "sub", "mul", "truediv", "pow", "matmul", "and_", "or_", "xor")
for _name in (*_TWO, "lt", "le", "gt", "ge", "neg", "invert", "abs"):
    setattr(Device, f"__{_name.rstrip('_')}__", _operator(_name))
for _name in _TWO:
    setattr(Device, f"__r{_name.rstrip('_')}__", _reflected(_name))
for _kind in (bool, int, float):
    setattr(Device, f"__{_kind.__name__}__", _read(_kind))
Device.__index__ = _read(int)
Device.tolist = _read(np.ndarray.tolist)
Device.item = _read(np.ndarray.item)
_FREE = ("empty", "reshape", "broadcast_to", "permute_dims", "isdtype")  # no work on a device
_WAITS = ("nonzero", "unique_values")  # for the size of the result


class Namespace:
    """array-api-compat's NumPy on such arrays."""

    __name__ = "stand_in"

    def __getattr__(self, name):
        if name == "linalg":
            raise AttributeError("there is no linear algebra on a device")
        found = getattr(compat, name)
        if not callable(found) or isinstance(found, type):
            return found

        def function(*arguments, device=None, **named):
            assert device in (None, WHERE), f"{name} on {device}"
            before = EVENTS["operation"]
            result = _operation(found, *arguments, **named)
            if name in _WAITS:
                EVENTS["read"] += 1
            if name in _FREE:
                EVENTS["operation"] = before
            return result

        return function

    def asarray(self, values, dtype=None, order=None, copy=None, device=None):
        own = values._own if isinstance(values, Device) else values
        result = np.asarray(own, dtype=dtype, order=order, copy=copy)
        if not isinstance(values, Device):
            EVENTS["to_device"] += 1
        elif result is not own:
            EVENTS["operation"] += 1
        return Device(result)


NAMESPACE = Namespace()
