"""XLA's interface, by which compiled code calls the kernels: its declarations, and refusals."""

import subprocess

import numpy as np
import pytest

from kktdiff import kernels

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from kktdiff.adapters.jax import _direct, solve_qp
from kktdiff.kernels import xla
from tests.adapters.jax.inputs import data
from tests.backends.cuda import emulator
from tests.problems import Sizes


@pytest.fixture
def native():
    """Skip where the kernels are missing."""
    if kernels.available() is not None:
        pytest.skip("there are no kernels")


def test_without_xlas_consent_python_solves(monkeypatch, calls):
    def refuse(*_, **__):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: version")

    monkeypatch.setattr(_direct, "_is_registered", _direct._is_registered.__wrapped__)
    inputs = data((7,), Sizes(n=3, m=5))[:4]  # a form of no other test: abstract values are kept
    inputs = tuple(map(jnp.asarray, inputs))
    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    compiled = jax.jit(solve_qp).lower(*inputs).compile()
    before = calls["solve_qp"]
    found = jax.block_until_ready(compiled(*inputs))
    assert calls["solve_qp"] == before + 1
    np.testing.assert_array_equal(found.x, solve_qp(*inputs).x)


def test_without_kernels_there_is_no_handler(monkeypatch):
    monkeypatch.setattr(kernels, "available", lambda: "none")
    assert xla.handler() is None
    assert not _direct._is_registered.__wrapped__()


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", ["sizes", "arguments", "results", "how", "options"])
def test_a_call_that_does_not_fit_is_refused(name):
    assert _direct._is_registered()
    shapes = {"Q": (3, 3), "p": (3,), "G": (9, 3), "h": (9,)}
    attributes = xla.solve(xla.problem(shapes, "float64"), ("x", "s", "nothing"))
    plain = {k: np.array(v) for k, v in attributes.items()}
    kinds = [jax.ShapeDtypeStruct(s, t) for s, t in (((3,), float), ((9,), float), ((0,), float))]
    kinds += [jax.ShapeDtypeStruct((), np.int32)] * 2
    inputs = [jnp.ones(shape) for shape in shapes.values()]
    wrong = plain | {name: plain[name][:-1]}
    with pytest.raises(jax.errors.JaxRuntimeError, match="not as its attributes say"):
        jax.block_until_ready(
            jax.jit(lambda *v: jax.ffi.ffi_call(xla.TARGET, kinds)(*v, **wrong))(*inputs)
        )


CHECK = """
#include "xla/ffi/api/c_api.h"
#include "xla.hpp"
namespace x = kktdiff::xla;
#define SAME(ours, field, theirs, other)                                                     \\
  static_assert(offsetof(x::ours, field) == offsetof(XLA_FFI_##theirs, other) &&             \\
                sizeof(x::ours::field) == sizeof(XLA_FFI_##theirs::other), #ours "." #field)
SAME(Extension, type, Extension_Base, type); SAME(Extension, next, Extension_Base, next);
SAME(Version, major, Api_Version, major_version); SAME(Version, minor, Api_Version, minor_version);
SAME(Metadata, version, Metadata, api_version); SAME(Metadata, traits, Metadata, traits);
SAME(MetadataExtension, metadata, Metadata_Extension, metadata);
SAME(Buffer, type, Buffer, dtype); SAME(Buffer, data, Buffer, data);
SAME(Buffer, rank, Buffer, rank); SAME(Buffer, dims, Buffer, dims);
SAME(Buffers, size, Args, size); SAME(Buffers, values, Args, args);
SAME(Buffers, size, Rets, size); SAME(Buffers, values, Rets, rets);
SAME(Text, start, ByteSpan, ptr); SAME(Text, length, ByteSpan, len);
SAME(Array, type, Array, dtype); SAME(Array, size, Array, size); SAME(Array, data, Array, data);
SAME(Attributes, types, Attrs, types); SAME(Attributes, names, Attrs, names);
SAME(Attributes, values, Attrs, attrs); SAME(Attributes, size, Attrs, size);
SAME(NewError, message, Error_Create_Args, message); SAME(NewError, code, Error_Create_Args, errc);
SAME(Api, create_error, Api, XLA_FFI_Error_Create); SAME(Frame, api, CallFrame, api);
SAME(Frame, stage, CallFrame, stage); SAME(Frame, arguments, CallFrame, args);
SAME(Frame, results, CallFrame, rets); SAME(Frame, attributes, CallFrame, attrs);
static_assert(x::METADATA == XLA_FFI_Extension_Metadata && x::ARRAY == XLA_FFI_AttrType_ARRAY);
static_assert(x::PRED == XLA_FFI_DataType_PRED && x::S32 == XLA_FFI_DataType_S32);
static_assert(x::S64 == XLA_FFI_DataType_S64 && x::F32 == XLA_FFI_DataType_F32);
static_assert(int(x::F64) == XLA_FFI_DataType_F64);
static_assert(x::INVALID_ARGUMENT == XLA_FFI_Error_Code_INVALID_ARGUMENT);
static_assert(x::MAJOR == XLA_FFI_API_MAJOR && x::MINOR <= XLA_FFI_API_MINOR);
"""


def test_the_declarations_are_those_of_xla(repository, tmp_path):
    compiler = emulator.compiler() or pytest.skip(emulator.NO_COMPILER)
    source = tmp_path / "check.cpp"
    source.write_text(CHECK)
    include = [f"-I{jax.ffi.include_dir()}", f"-I{repository / 'kktdiff' / 'kernels'}"]
    subprocess.run([*compiler, "-std=c++17", "-fsyntax-only", *include, str(source)], check=True)
