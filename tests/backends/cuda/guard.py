"""Arrays whose contents the host may not look at, for a time."""

from contextlib import contextmanager
from unittest import mock

import array_api_compat.numpy as compat
import numpy as np


class ReadError(RuntimeError):
    """The host looked into device memory where it may not."""


_on = 0  # how many guards there are


def _refuse(what):
    if _on:
        raise ReadError(f"{what} reads device memory")


def _guarded(name):
    method = getattr(np.ndarray, name)

    def guarded(self, *arguments, **named):
        _refuse(name)
        return method(self, *arguments, **named)

    return guarded


def _plain(value):
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(one) for one in value)
    return value.view(np.ndarray) if isinstance(value, Device) else value


def wrapped(value):
    """The same, with arrays as `Device`; a number becomes an array, as CuPy has it."""
    if isinstance(value, tuple):
        parts = [wrapped(one) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(Device)
    return value


def _alone(*values):
    """Raise as CuPy does where its arrays meet those of NumPy."""
    if any(isinstance(v, np.ndarray) and not isinstance(v, Device) for v in values):
        raise TypeError("Unsupported type numpy.ndarray")


class Device(np.ndarray):
    """An array that stands for one on a device.

    Under `no_reading` its shape, its address and views of it are to be had, and nothing that
    computes with it or looks at it.
    """

    def __getitem__(self, key):
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(one, (np.ndarray, list)) for one in keys):
            _refuse("an index that is an array")
        if not any(one is Ellipsis for one in keys):
            keys = (*keys, ...)  # an array, also where one entry is meant
        return super().__getitem__(keys)

    def __setitem__(self, key, value):
        _refuse("__setitem__")
        _alone(value)
        super().__setitem__(key, value)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **named):
        _refuse(ufunc.__name__)
        _alone(*inputs, *out)
        named = {name: _plain(value) for name, value in named.items()}
        if out:
            named["out"] = _plain(out)
        result = getattr(ufunc, method)(*_plain(inputs), **named)
        return wrapped(result)

    def __array_function__(self, function, types, arguments, named):
        _refuse(function.__name__)
        _alone(*arguments, *(v for one in arguments if isinstance(one, list | tuple) for v in one))
        if function is np.where and not any(isinstance(v, Device) for v in arguments[1:]):
            raise TypeError("where of two numbers: CuPy takes the smallest type that holds them")
        named = {name: _plain(value) for name, value in named.items()}
        return wrapped(function(*_plain(arguments), **named))


for _name in (
    *("__bool__", "__int__", "__float__", "__complex__", "__index__", "__iter__"),
    *("__contains__", "__repr__", "__str__", "__format__", "__array__"),
    *("item", "tolist", "tobytes", "copy", "astype", "fill"),
):
    setattr(Device, _name, _guarded(_name))


class Namespace:
    """array-api-compat's NumPy, whose functions give `Device` arrays."""

    def __getattr__(self, name):
        found = getattr(compat, name)
        if not callable(found) or isinstance(found, type):
            return found

        def function(*arguments, **named):
            return wrapped(found(*arguments, **named))

        return function


@contextmanager
def no_reading():
    """A context in which looking into a `Device` array raises `ReadError`.

    NumPy's own conversions ask no array whether they may; so they are replaced for the time. A
    name that was imported from NumPy before is not, nor is `memoryview`.
    """
    global _on

    def replacement(name):
        original = getattr(np, name)

        def convert(value, *arguments, **named):
            if isinstance(value, Device):
                _refuse(f"numpy.{name}")
            return original(value, *arguments, **named)

        return convert

    names = ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray")
    replaced = {name: replacement(name) for name in names}
    with mock.patch.multiple(np, **replaced):
        _on += 1
        try:
            yield
        finally:
            _on -= 1
